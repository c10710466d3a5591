"""The planner knows no option of the command line: it returns remedies as codes, and each wording has all of them."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from string import Formatter
from typing import TYPE_CHECKING

import pytest

from sandboxer.api.errors import refused
from sandboxer.client.context import failure
from sandboxer.errors import SandboxError, UsageError
from sandboxer.errors.remedy import Notice, Remedy, RemedyCode, remedy_of
from sandboxer.model.lifecycle import Reason
from sandboxer.model.outcome import Outcome
from sandboxer.render import remedies
from sandboxer.render.errors import error_text
from sandboxer.render.plan_markdown import plan_markdown
from sandboxer.render.plan_text import plan_text
from sandboxer.render.remedies import API, COMMENT, LIBRARY, TERMINAL, in_json, worded
from tests.support.cases import piped
from tests.support.fleet import ROOT
from tests.support.plans import change, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDINGS = {"terminal": TERMINAL, "comment": COMMENT, "library": LIBRARY, "api": API}
OPTION = re.compile(r"(?<![\w-])--[a-z]")
# Its own command line, with which `make schemas` writes files: no planner.
WITHOUT = {"sandboxer/model/schemas.py"}
# Remedies of errors, of warnings and of hosts: no change has them.
OF_NO_CHANGE = {
    RemedyCode.COMPARE_CONTENTS,
    RemedyCode.RAISE_TTL,
    RemedyCode.DESTROY_UNRECORDED,
    RemedyCode.PLAN_AGAIN,
    RemedyCode.PLAN_FEWER,
    RemedyCode.PLANNED_COMMIT,
}
MANY = remedy_of(RemedyCode.RAISE_MAX_DELETES, count="12")
GUARDED = change("web", Reason.BLOCKED_GUARD, message="this is one of 12 deletes", remedy=MANY)


def texts(source: str) -> Iterator[str]:
    """Yield the constant texts of a module, docstrings included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_neither_the_planner_nor_what_it_returns_names_an_option() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): named
        for folder in ("reconcile", "model", "errors")
        for path in sorted((ROOT / "sandboxer" / folder).rglob("*.py"))
        if (named := [text for text in texts(path.read_text()) if OPTION.search(text)])
    }
    assert found.keys() <= WITHOUT, found


@pytest.mark.parametrize("wording", WORDINGS)
def test_each_wording_has_words_for_each_remedy(wording: str) -> None:
    assert WORDINGS[wording].keys() == set(RemedyCode)
    assert all(text and not text.endswith(".") for text in WORDINGS[wording].values())


def values_of(code: RemedyCode) -> set[str]:
    """Return the names of the values that the comment behind a code lists."""
    source = (ROOT / "sandboxer/errors/remedy.py").read_text()
    line = next(line for line in source.splitlines() if line.strip().startswith(f"{code.name} = "))
    listed = line.partition("  # ")[2]
    return set() if "noqa" in listed else {name for name in listed.split(", ") if name}


@pytest.mark.parametrize("code", RemedyCode)
def test_the_words_use_only_the_values_of_the_code(code: RemedyCode) -> None:
    for words in WORDINGS.values():
        assert {name for _, name, _, _ in Formatter().parse(words[code]) if name} <= values_of(code)


def test_only_the_terminal_and_comments_name_options() -> None:
    assert not [words for words in (*LIBRARY.values(), *API.values()) if OPTION.search(words)]


def test_a_value_is_text_and_no_template() -> None:
    assert worded(remedy_of(RemedyCode.REPLACE, sandbox="{0.real}"), TERMINAL).endswith("--replace {0.real}`")


def test_a_host_that_is_not_certain_has_words_too() -> None:
    assert worded(remedy_of(RemedyCode.INSPECT_HOST, host=""), TERMINAL).startswith("inspect its host: ")


def test_each_face_words_the_remedy_of_a_change(tmp_path: Path) -> None:
    plan = plan_of(GUARDED)
    assert "hint: use --max-deletes 12 if that is intended" in piped(plan_text(plan))
    assert "apply with --max-deletes 12 if that is intended" in plan_markdown(plan)
    error = failure(Outcome(GUARDED))
    assert error.hint == "raise guards.maxDeletes in sandboxer.yaml to 12 if that is intended"
    assert "hint: use --max-deletes 12 if that is intended" in piped(error_text(error))
    assert refused(error, tmp_path).detail.endswith(
        "; ask the owner of the fleet for the reason, which `sandboxer plan` shows"
    )


def test_an_error_of_its_own_is_not_covered_by_the_remedy_of_its_change() -> None:
    error = failure(Outcome(GUARDED, error="the disk is full", hint="free some space"))
    assert (error.message, error.hint, error.remedy) == ("the disk is full", "free some space", None)


def test_the_json_of_a_plan_has_the_remedy_and_its_message_where_it_always_did() -> None:
    printed = plan_of(GUARDED, warnings=(Notice("so it stays", remedy_of(RemedyCode.DESTROY_UNRECORDED, id="1f2e")),))
    found = printed.to_json(in_json)
    assert found["changes"][0]["message"] == "this is one of 12 deletes: use --max-deletes 12 if that is intended"
    assert found["changes"][0]["remedy"] == {"code": "raise_max_deletes", "values": {"count": "12"}}
    assert found["warnings"] == ["so it stays: remove it with `sandboxer destroy --without-record 1f2e`"]


def test_a_change_without_a_remedy_has_the_keys_of_before() -> None:
    assert "remedy" not in change("web", Reason.NO_OP_SYNCED).to_json()
    lost = change("web", Reason.BLOCKED_UNREACHABLE, message="no route to host")
    assert lost.to_json(in_json)["message"] == "no route to host"
    assert lost.remedy == Remedy(RemedyCode.CHECK_HOST, (("host", "lab-1"),))
    assert replace(lost, remedy=None).to_json().keys() < lost.to_json().keys()


def test_the_remedy_of_an_error_is_worded_by_the_face_and_else_its_hint_holds() -> None:
    far = UsageError("at its limit", hint="raise ttl.max", remedy=remedy_of(RemedyCode.RAISE_TTL, sandbox="web"))
    assert "--replace web" in piped(error_text(far))
    assert "hint: look again" in piped(error_text(SandboxError("web", "it is gone", hint="look again")))
    assert remedies.worded(None, TERMINAL) == ""


def test_the_reference_lists_the_remedies_of_changes_with_their_values() -> None:
    section = (ROOT / "docs/reference.md").read_text().partition("### Remedies")[2].partition("\n## ")[0]
    listed = {
        code: set(re.findall("[a-z_]+", values))
        for code, values in re.findall(r"^\| `(\w+)` \| .* \|(.*)\|$", section, re.MULTILINE)
    }
    assert listed == {code.value: values_of(code) for code in RemedyCode if code not in OF_NO_CHANGE}
