"""What the documentation says is so: its commands exist, its examples are good, its tables are complete."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import TYPE_CHECKING, get_args

import click
import pytest

from sandboxer import __version__
from sandboxer.cli.main import COMMANDS, cli
from sandboxer.extensions.base import REQUIRED_OPERATIONS
from sandboxer.extensions.capabilities import CAPABILITIES
from sandboxer.model.lifecycle import TRANSITIONS, Action, Health, Phase, Reason, Sync
from sandboxer.model.run_events import ServiceState
from sandboxer.profiles.loader import load
from scripts import fields
from tests.support.fleet import ROOT, shipped_files
from tests.support.markdown import blocks, commands, links, pages, prose

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.errors.diagnostic import Diagnostic

PAGES = [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in pages()]
README = ROOT / "README.md"
REFERENCE = ROOT / "docs/reference.md"
MOST_IN_A_PAGE = 130  # characters in a line

# Words that promise, praise or put off; and folders of one person's machine.
FORBIDDEN = re.compile(
    r"\b(TODO|FIXME|TBD|blazing(ly)?|seamless(ly)?|powerful|robust|cutting[- ]edge|state[- ]of[- ]the[- ]art|simply"
    r"|effortless(ly)?|next[- ]generation|world[- ]class|enterprise[- ]grade|revolutionary|just works|leverage)\b"
    r"|/home/\w+|/Users/\w+",
    re.IGNORECASE,
)


def check_command(words: list[str]) -> None:
    """Raise click's error where Sandboxer would not take this command line."""
    arguments = words[1:]
    while arguments[:1] in (["-C"], ["--log-format"]):
        arguments = arguments[2:]
    if not arguments or arguments in (["--version"], ["--help"]):
        return
    command = cli.get_command(click.Context(cli), arguments[0]) if arguments[0] != "COMMAND" else cli
    if command is None:
        raise click.UsageError(f"no such command: {arguments[0]}")
    try:
        command.make_context(arguments[0], arguments[1:])
    except click.exceptions.Exit:
        return  # --help


@pytest.mark.parametrize("page", PAGES)
def test_every_sandboxer_command_is_one_that_it_takes(page: Path) -> None:
    for command in commands(page):
        if re.match(r"(sandboxer|sandbox) ", command):
            words = [word.strip("[]") for word in shlex.split(command)]
            try:
                check_command(words)
            except click.ClickException as error:
                pytest.fail(f"{page.name}: `{command}`: {error.format_message()}")


def test_a_command_that_is_none_is_found_out() -> None:
    for wrong in ("sandboxer plan --no-such", "sandboxer nothing", "sandboxer get", "sandboxer plan -o xml"):
        with pytest.raises(click.ClickException):
            check_command(shlex.split(wrong))


@pytest.mark.parametrize("page", PAGES)
def test_no_word_that_promises_or_puts_off(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = FORBIDDEN.search(text)
    assert found is None, f"{page.name}: {found and found[0]}"
    assert all(len(line) <= MOST_IN_A_PAGE or line.startswith(("|", "nft ")) for line in text.splitlines()), page.name


@pytest.mark.parametrize(
    "page", [param for param in PAGES if any(block.language == "yaml" for block in blocks(param.values[0]))]
)
def test_the_manifests_of_a_page_are_a_good_fleet(page: Path) -> None:
    """All of them together; a page that shows no Fleet of its own is read beside the one that ships.

    What lies in a folder `fleet` beside the page is part of it.
    """
    shown = "---\n".join(
        block.text for block in blocks(page) if block.language == "yaml" and "apiVersion" in block.text
    )
    files = {"sandboxer.yaml": shown.encode()} if "kind: Fleet" in shown else {}
    beside = {path.relative_to(page.parent / "fleet").as_posix(): path for path in page.parent.glob("fleet/*/*.yaml")}
    more = {} if files else {**shipped_files(), "manifests/shown.yaml": shown.encode()}
    more |= {name: path.read_bytes() for name, path in beside.items()}
    assert problems({**files, **more}) == []


def problems(files: dict[str, bytes]) -> list[Diagnostic]:
    """Return what the loader says of these files."""
    return list(load(files).diagnostics)


def test_the_readme_has_the_version_and_licence_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# What is installed: the first word that is no option. A path or an address of git is ours, or one that the page made.
INSTALL = re.compile(r"\b(?:(?:pip3?|pipx|uv pip|uv tool) install|uvx|pipx run) (?:-\S+ )*['\"]?([^\s'\"`]+)")
PLACE = re.compile(r"\.|/|git\+|\S+\.whl$")
OTHERS = {"podman-compose"}


def strangers(line: str) -> list[str]:
    """Return the names that a line says to install from an index, those of other known programs aside."""
    return [name for name in INSTALL.findall(line) if not PLACE.match(name) and name not in OTHERS]


def test_no_page_installs_a_strangers_package() -> None:
    """Of this project nothing is on an index: what is installed is a folder, and never a name."""
    folders = (*ROOT.glob("sandboxer/**/*.py"), *ROOT.glob("scripts/*"), *ROOT.glob("tests/lab/*.py"))
    found = 0
    for path in (*pages(), *folders, ROOT / "Makefile"):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            found += len(INSTALL.findall(line))
            assert strangers(line) == [], f"{path}: {line}"
            assert not re.search(r"\bsandboxer\[(api|hub|otel)", line), f"{path}: {line}"
    assert found > 5
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] != "sandboxer"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("pip install 'sandboxer[api]'", ["sandboxer[api]"]),
        ("run `pip install --upgrade sandboxer-fleet`", ["sandboxer-fleet"]),
        ("pipx install sandboxer", ["sandboxer"]),
        ("uv tool install sandboxer-ssh, or uvx sandboxer", ["sandboxer-ssh,", "sandboxer"]),
        ("pip install '.[api]' and pip install -e .", []),
        ("pip install --no-index ./acme-1.0-py3-none-any.whl", []),
        ("pip install git+https://example.org/sandboxer", []),
    ],
)
def test_a_name_to_install_is_found(line: str, names: list[str]) -> None:
    assert strangers(line) == names


def test_the_readme_lists_every_command_and_no_other() -> None:
    table = re.findall(r"^\| `sandboxer ([\w-]+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(set(table)) == sorted(COMMANDS)


def test_what_the_readme_calls_planned_is_not_there_yet() -> None:
    planned = prose(README).split("Planned, but not available yet")[1].split("Limits to know")[0]
    assert not set(re.findall(r"`([a-z-]+)`", planned)) & COMMANDS.keys()


def test_the_reference_has_every_word_of_the_closed_lists() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    reasons = re.findall(r"^\|[^|]*\| `(\w+)` \|", text, re.MULTILINE)
    assert reasons == [reason.value for reason in Reason]
    rows = re.findall(r"^\| `([a-z-]+)` \| `\w+_because", text, re.MULTILINE)
    assert rows == [action.value for action in Action]
    for title, words in (("sync", Sync), ("health", Health), ("phase", Phase)):
        (line,) = re.findall(rf"^\| {title} \| (.*) \|$", text, re.MULTILINE)
        assert re.findall(r"`(\w+)`", line) == [word.value for word in words]


def test_the_command_line_has_every_state_of_a_service() -> None:
    text = (ROOT / "docs/command-line.md").read_text(encoding="utf-8").split("## Progress")[1].split("\n## ")[0]
    states = [
        state for first in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for state in re.findall(r"`(\w+)`", first)
    ]
    assert sorted(states) == sorted(get_args(ServiceState))


def test_the_reference_has_the_steps_of_a_life() -> None:
    text = REFERENCE.read_text(encoding="utf-8").split("### A sandbox's life")[1]
    rows = re.findall(r"^\| (nothing|`[a-z]+`) \| (`[^|]*) \|$", text, re.MULTILINE)
    documented = {former.strip("`"): set(re.findall(r"`([a-z]+)`", after)) for former, after in rows}
    assert documented == {former or "nothing": set(after) for former, after in TRANSITIONS.items() if after}


def test_the_tables_of_manifests_are_what_the_models_specify() -> None:
    text = fields.PAGE.read_text(encoding="utf-8")
    assert fields.page(text) == text, "run: .venv/bin/python -m scripts.fields"
    assert set(re.findall(r"<!-- fields: (\w+) -->", text)) == set(fields.KINDS)


def test_the_page_on_extensions_names_what_every_extension_needs() -> None:
    methods = re.findall(r"^\| `(\w+)\(", (ROOT / "docs/extensions.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(methods) == (*REQUIRED_OPERATIONS, *CAPABILITIES)


def test_decisions_are_numbered_dated_and_listed() -> None:
    adrs = sorted((ROOT / "docs/adr").glob("*.md"))
    listed = [link for link in links(ROOT / "docs/architecture.md") if link.startswith("adr/")]
    assert listed == [f"adr/{adr.name}" for adr in adrs]
    for number, adr in enumerate(adrs, start=1):
        first, _, third, *_ = adr.read_text(encoding="utf-8").splitlines()
        assert first.startswith(f"# {number:04} ")
        assert adr.name.startswith(f"{number:04}-")
        assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d\. Status: \w+\.", third)


def test_paths_that_the_architecture_names_are_there() -> None:
    table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("## Where to change what")[1]
    for path in re.findall(r"`([\w/*]+\.(?:py|sh)|\w+/)`", table.split("## Why")[0]):
        found = list((ROOT / "sandboxer").rglob(path.rstrip("/")))
        assert found, path


def test_the_picture_requests_no_address() -> None:
    picture = (ROOT / "docs/images/plan.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"')]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert "repair_because_drift" in picture
