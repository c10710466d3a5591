"""What contributors' tools read agrees with the project: editors, hooks, and the pages that name them."""

from __future__ import annotations

import re
import tomllib
from configparser import ConfigParser

import pytest
import yaml

from scripts.links import problems
from tests.support.fleet import ROOT
from tests.unit.project.test_docs import MOST_IN_A_PAGE

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def editor() -> ConfigParser:
    """Return .editorconfig, whose first line stands before any section."""
    parser = ConfigParser()
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))
    return parser


def test_editors_wrap_where_the_formatter_does() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert int(editor()["*.{py,sh,toml,yaml,yml}"]["max_line_length"]) == ruff["line-length"]
    assert int(editor()["*.md"]["max_line_length"]) == MOST_IN_A_PAGE


def test_editors_indent_a_makefile_with_tabs_and_all_else_with_spaces() -> None:
    config = editor()
    assert config["top"]["root"] == "true"
    assert (config["*"]["indent_style"], config["*"]["indent_size"]) == ("space", "2")
    assert config["*.py"]["indent_size"] == "4"
    assert config["Makefile"]["indent_style"] == "tab"


def test_hooks_download_nothing() -> None:
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]
    assert {hook["language"] for repository in HOOKS["repos"] for hook in repository["hooks"]} == {"system"}


@pytest.mark.parametrize("hook", [hook for repository in HOOKS["repos"] for hook in repository["hooks"]])
def test_a_hook_runs_what_the_makefile_runs(hook: dict[str, str]) -> None:
    program, *arguments = hook["entry"].split()
    if program == "make":
        assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in arguments)
    else:
        tool = program.replace(".venv/bin", "$(BIN)") + "".join(f" {word}" for word in arguments if word[0] != "-")
        assert tool.replace("python scripts", "python -m scripts") in MAKEFILE


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_the_pages_of_a_repository_host_lead_to_ours_and_name_no_address(name: str) -> None:
    page = ROOT / name
    text = page.read_text(encoding="utf-8")
    assert list(problems(page)) == []
    assert {"CONTRIBUTING.md": "(AGENTS.md)", "SECURITY.md": "(docs/security.md)"}[name] in text
    assert not re.search(r"[\w.]+@[\w-]+\.\w|https?://", text)
