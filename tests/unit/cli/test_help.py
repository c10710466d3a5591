"""The list of commands in the help: in groups, a whole summary each; and what a wrong word is answered."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from sandboxer.cli.groups import summary
from sandboxer.cli.main import COMMANDS, GROUPS, cli
from tests.support.fleet import ROOT

LONGEST = 50
VERBS = {
    *("Check", "Show", "Make", "Delete", "Create", "List", "Recreate", "Finish", "Wait", "Extend", "Forward", "Open"),
    *("Copy", "Run", "Serve", "Print", "Send"),
}


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def every_command() -> dict[str, click.Command]:
    """Return each command by its words, those of groups too."""
    found = {name: command(name) for name in COMMANDS}
    groups = {name: one for name, one in found.items() if isinstance(one, click.Group)}
    inner = {f"{name} {own}": one for name, group in groups.items() for own, one in group.commands.items()}
    return found | inner


def shown(*words: str, width: int = 80) -> str:
    return CliRunner().invoke(cli, [*words], terminal_width=width).output


def test_every_command_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


def test_the_groups_are_shown_one_after_the_other_with_their_commands() -> None:
    text = shown("--help").split("\n\nReconcile:\n")[1]
    titles = re.findall(r"^(\S.*):$", "Reconcile:\n" + text, re.MULTILINE)
    assert titles == list(GROUPS)
    assert re.findall(r"^  ([a-z-]+) ", text, re.MULTILINE) == [name for names in GROUPS.values() for name in names]


@pytest.mark.parametrize(("words", "one"), every_command().items())
def test_a_summary_begins_with_a_verb_and_fits_its_line(words: str, one: click.Command) -> None:
    assert len(summary(one)) <= LONGEST
    assert summary(one).split()[0] in VERBS
    assert summary(one) == (one.help or "").split("\n")[0].removesuffix("."), "the first line is the summary"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_summary_is_cut(width: int) -> None:
    for words, names in ((["--help"], COMMANDS), (["hub", "--help"], command("hub").commands)):  # type: ignore[attr-defined]
        text = re.sub(r"\s+", " ", shown(*words, width=width))
        path = " ".join(words[:-1])
        for name in names:
            assert f"{name} {summary(every_command()[f'{path} {name}'.strip()])}" in text
        assert "..." not in text.split("Show this message and exit.")[1]


def test_the_readme_has_the_same_summaries_in_the_same_groups() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8").split("## Commands")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?:\*\*([^*]+)\*\*|`sandboxer ([^`]+)`) \| (.*)\|$", page, re.MULTILINE)
    groups: dict[str, list[str]] = {}
    for title, words, text in rows:
        if title:
            groups[title] = []
            continue
        name = words.split()[0]
        if name not in groups[list(groups)[-1]]:
            groups[list(groups)[-1]].append(name)
        known = " ".join(words.split()[:2]) if name == "hub" else name
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
        assert plain.startswith(summary(every_command()[known])), words
    assert {title: tuple(names) for title, names in groups.items()} == GROUPS


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["plam"], "plan"),
        (["Apply"], "apply"),
        (["extend"], "extend-ttl"),
        (["hub", "serv"], "serve"),
        (["plan", "--targt", "web"], "--target"),
        (["--log-formt", "json", "plan"], "--log-format"),
    ],
)
def test_a_wrong_word_is_answered_with_the_one_that_was_meant(words: list[str], meant: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code != 0
    assert f"Did you mean '{meant}'?" in result.output


def test_a_word_that_is_like_none_is_answered_with_nothing_else() -> None:
    assert "Error: No such command 'frobnicate'.\n" in shown("frobnicate")
