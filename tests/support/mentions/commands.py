"""Commands that a text mentions: of `sandboxer`, targets of the Makefile, and modules that Python runs."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import click

from sandboxer.cli.main import cli
from tests.support.fleet import ROOT
from tests.support.mentions.texts import VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

PROGRAMS = ("sandboxer", "sandbox")
# Stand for any command, or for the rest of a line.
_ANY = {"COMMAND", "…", "...", VALUE}
_MODULE = re.compile(r"\bpython3? -m ((?:scripts|tests|sandboxer|benchmarks)\b[\w.]*\w)")
# A target of the framework before Sandboxer, whose callers the pages help to move.
_FORMER_TARGETS = {"e2e"}


def faults(text: Text) -> Iterator[str]:
    """Yield each command of a text that does not exist, and each wrong option or choice of one that does."""
    for line in text.command_lines:
        words = [word.strip("[]()") for word in line.split()]
        match words:
            case [program, _, *_] if program in PROGRAMS:
                yield from (f"`{line}`: {fault}" for fault in _sandboxer(words[1:]))
            case ["make", _, *_]:
                yield from (f"`{line}`: no such target: {target}" for target in _targets(words[1:]) - make_targets())
    modules = dict.fromkeys(_MODULE.findall("\n".join((text.words, *text.shell))))
    yield from (f"no such module: {name}" for name in modules if not _runs(name))


def bare_command(line: str) -> Iterator[str]:
    """Yield what does not exist of a command line that begins with the name of one of our commands."""
    return _sandboxer([word.strip("[]()") for word in line.split()])


def command_named(name: str, of: click.Command = cli) -> click.Command | None:
    """Return the command of a name in a group; None if there is no such command, or no group."""
    return of.get_command(click.Context(of), name) if isinstance(of, click.Group) else None


@cache
def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return a command's options by each of their names, `--help` included."""
    named = [one for one in command.get_params(click.Context(command)) if isinstance(one, click.Option)]
    found = {name: one for one in named for name in (*one.opts, *one.secondary_opts)}
    return found | dict.fromkeys(("-h", "--help"), click.Option(["--help"], is_flag=True))


def _sandboxer(words: list[str]) -> Iterator[str]:
    command: click.Command = cli
    rest = iter(words)
    for word in rest:
        if word == "--":
            return
        if word.startswith("-") and word != "-":
            yield from _option(command, word, rest)
        elif isinstance(command, click.Group):
            if any(name in _ANY or name.startswith("<") for name in word.split("|")):
                return
            found = [command_named(name, command) for name in re.split(r"[|,/]", word) if name]
            if None in found:
                yield f"no such command: {word}"
                return
            command = found[-1] or cli


def _option(command: click.Command, word: str, rest: Iterator[str]) -> Iterator[str]:
    """Check an option, and what is given to it; what follows a value is left in `rest`."""
    name, _, given = word.rstrip(",.").partition("=")
    option = options_of(command).get(name)
    if option is None:
        yield f"{command.name} has no option {name}"
    elif not option.is_flag and not option.count:
        value = given or next(rest, "")
        choices = getattr(option.type, "choices", None)
        if choices and re.fullmatch(r"[a-z][a-z-]*", value) and value not in choices:
            yield f"{name} of {command.name} takes no {value}"


@cache
def make_targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) | _FORMER_TARGETS


def _targets(words: list[str]) -> set[str]:
    if "-C" in words:
        return set()  # of another project
    return {word.rstrip(".,") for word in words if re.fullmatch(r"[a-z][a-z-]*[.,]?", word)}


def _runs(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()
