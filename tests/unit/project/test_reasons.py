"""A reason explains and never steers: only the planner assigns one, and nobody decides by it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from sandboxer.model.lifecycle import Action, Block, Reason
from sandboxer.reconcile.change import blocked, decided_as
from tests.support.fleet import ROOT
from tests.support.plans import change

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = {
    "sandboxer/reconcile/approval.py",  # an approval holds for the reason that was approved: two plans are compared
    "sandboxer/reconcile/blocks.py",  # where the planner gives a blocked change what it waits for, and its remedy
}
TEXTS = {reason.value for reason in Reason}


def is_reason(node: ast.AST) -> bool:
    """Return whether an expression is a member of Reason or its text, or the reason of anything; or has one in it."""
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return any(map(is_reason, elements))
        case ast.Attribute(attr="value", value=of):
            return is_reason(of)
        case ast.Attribute(attr="reason") | ast.Attribute(value=ast.Name("Reason")) | ast.Name("reason"):
            return True
        case ast.Call(func=ast.Name("str" | "frozenset" | "set" | "Reason"), args=[of]):
            return is_reason(of)
        case ast.Constant(value=str(text)):
            return text in TEXTS
    return False


def decisions(source: str) -> Iterator[int]:
    """Yield the lines that decide by a reason: a comparison, a case, or a lookup in a table of reasons."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, comparators=others):
                found = any(is_reason(side) for side in (left, *others))
            case ast.Subscript(slice=key):
                found = is_reason(key)
            case ast.Dict(keys=keys):
                found = any(key is not None and is_reason(key) for key in keys)
            case ast.Call(func=ast.Attribute(attr="get" | "startswith" | "endswith"), args=args):
                found = any(is_reason(arg) for arg in (node.func, *args)) or is_reason(node.func.value)
            case ast.MatchValue(value=value):
                found = is_reason(value)
            case ast.Match(subject=subject):
                found = is_reason(subject)
            case _:
                found = False
        if found:
            yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "if change.reason is Reason.DELETE_STRAY: ...",
        "if outcome.change.reason == word: ...",
        "if c.reason == 'delete_because_stray': ...",
        "if c.reason != word: ...",
        "if operation.reason in KNOWN: ...",
        "if word == 'delete_because_stray': ...",
        "if word in {'blocked_because_stale', 'other'}: ...",
        "if reason is Reason.DELETE_STRAY: ...",
        "if reason.startswith('blocked'): ...",
        "if str(c.reason) == word: ...",
        "if word in frozenset({Reason.NO_OP_EXPIRED}): ...",
        "TABLE = {'blocked_because_stale': 1}",
        "found = TABLE[self.reason]",
        "if change.reason in (Reason.NO_OP_SYNCED, Reason.NO_OP_EXPIRED): ...",
        "found = TABLE.get(change.reason, None)",
        "found = TABLE[outcome.change.reason]",
        "TABLE = {Reason.BLOCKED_STALE: 1}",
        "match change.reason:\n    case _: ...",
        "match word:\n    case Reason.BLOCKED_STALE: ...",
        "change.reason.startswith('blocked')",
        "change.reason.value.startswith('blocked')",
    ],
)
def test_a_decision_by_a_reason_is_found(source: str) -> None:
    assert list(decisions(source))


def test_an_assignment_of_a_reason_is_no_decision() -> None:
    assert not list(decisions("blocked(change, Reason.BLOCKED_LOCKED, text)\nprint(f'({change.reason})')"))


def test_nobody_decides_by_a_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "sandboxer").rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in ALLOWED
        for line in decisions(path.read_text())
    ]
    assert not found, found


def test_every_reason_to_block_has_what_it_waits_for() -> None:
    reasons = [reason for reason in Reason if reason.name.startswith("BLOCKED_")]
    waits = {blocked(change("web", Reason.NO_OP_SYNCED), reason, "").block for reason in reasons}
    assert waits == set(Block)


def test_a_blocked_change_is_no_delete_any_more() -> None:
    stray = change("web", Reason.DELETE_STRAY, stray=True, expired=True, volumes=("data",))
    held = blocked(stray, Reason.BLOCKED_GUARD, "")
    assert (held.action, held.stray, held.expired, held.volumes) == (Action.BLOCKED, False, False, ())


def test_nothing_that_steers_is_left_of_a_former_decision() -> None:
    stale = blocked(change("web", Reason.DELETE_STRAY, stray=True, expired=True), Reason.BLOCKED_STALE, "")
    again = decided_as(stale, Action.DELETE, Reason.DELETE_REQUESTED, "its removal was requested")
    assert (again.block, again.remedy, again.stray, again.expired) == (None, None, False, False)
