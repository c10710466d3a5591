"""Selectors of labels: what kubectl would select, and a reason for what it would refuse."""

from __future__ import annotations

import pytest

from sandboxer.model.selector import parse_selector

SETS = {
    "web": {"team": "payments", "tier": "gold"},
    "api": {"team": "payments", "tier": "silver"},
    "old": {"team": "search", "legacy": ""},
    "odd": {"team": "search & co"},
    "bare": {},
}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("team=payments", "web api"),
        ("team==payments", "web api"),
        (" team = payments ", "web api"),
        ("team!=payments", "old odd bare"),
        ("tier in (gold,silver)", "web api"),
        ("tier in ( gold , bronze )", "web"),
        ("tier notin (gold)", "api old odd bare"),
        ("tier", "web api"),
        ("!tier", "old odd bare"),
        ("! tier", "old odd bare"),
        ("legacy=", "old"),
        ("team = search & co", "odd"),
        ("team in (search & co, x)", "odd"),
        ("team=a=b", ""),
        ("legacy in ()", "old"),
        ("team=payments,tier!=gold", "api"),
        ("tier in (gold,silver),team=payments,!legacy", "web api"),
        ("in=in", ""),
        ("team=payments,team=search", ""),
    ],
)
def test_what_is_selected(text: str, selected: str) -> None:
    selector = parse_selector(text)
    assert [name for name, labels in SETS.items() if selector.selects(labels)] == selected.split()


def test_two_selectors_select_what_both_do() -> None:
    both = parse_selector("team=payments") & parse_selector("tier=gold")
    assert [name for name, labels in SETS.items() if both.selects(labels)] == ["web"]
    assert both.text == "team=payments,tier=gold"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "''"),
        ("team=payments,", "''"),
        (",team", "''"),
        ("=a", "'=a'"),
        ("team>3", "'team>3'"),
        ("team in a", "'team in a'"),
        ("team in (a", "parentheses in 'team in (a'"),
        ("team in a)", "parentheses in 'team in a)'"),
        ("te am=a", "'te am=a'"),
        ("team\x1b[2J", r"'team\x1b[2J'"),
    ],
)
def test_what_is_none_is_refused_with_its_part(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=r"requirement|parentheses") as caught:
        parse_selector(text)
    assert part in str(caught.value)
