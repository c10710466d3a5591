"""The fault matrix and its table: the same rows, and figures that are read as they were written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts import faults


def line(**figures: Any) -> str:
    """Return what one test of a row writes."""
    whole = {
        "fault": "f",
        "must": "m",
        "test": "t",
        "broken": 2,
        "leaked": 0,
        "doubled": 0,
        "found": [],
        "most": {},
        "seconds": 1.0,
        "passed": True,
        "full": True,
    }
    return json.dumps(whole | figures)


def test_every_row_of_the_table_has_a_test_and_every_test_a_row() -> None:
    assert faults.shown(faults.PAGE.read_text(encoding="utf-8")) == faults.rows()


def test_the_figures_of_one_rows_tests_are_added_up() -> None:
    lines = [
        line(test="a", found=["x"], most={"{:.0f} s": 2.1}),
        line(test="b", broken=3, leaked=1, found=["x", "y"], most={"{:.0f} s": 3}),
        line(fault="g"),
    ]
    figures, wrong = faults.read(lines)
    assert figures["f"] == faults.Figures(5, 1, 0, ("x", "y", "at most 3 s"), 2.0)
    assert set(figures) == {"f", "g"}
    assert wrong == []


def test_of_several_runs_of_a_test_the_last_counts() -> None:
    figures, wrong = faults.read([line(broken=9, passed=False), line(broken=1)])
    assert figures["f"].broken == 1
    assert wrong == []


@pytest.mark.parametrize("bad", [{"passed": False}, {"full": False}])
def test_a_row_that_failed_or_was_quick_is_wrong(bad: dict[str, bool]) -> None:
    assert faults.read([line(**bad)])[1] == ["failed, or not run in full: t"]


def test_the_page_keeps_its_order_and_its_text() -> None:
    rows = "".join(f"| {fault} | m |\n" for fault in ("fault", "---", "b", "a", "gone"))
    text = f"before\n<!-- faults -->\n{rows}<!-- end -->\nafter\n"
    one = faults.Figures(1200, 0, 0, ("lock free after 31 s", "a|b"), 61.2)
    written = faults.page(text, dict.fromkeys(("a", "b", "new"), one), dict.fromkeys(("a", "b", "new"), "m"))
    assert list(faults.shown(written)) == ["b", "a", "new"]
    assert "| b | m | 1,200 | 0 | 0 | lock free after 31 s; a\\|b | 61 |" in written
    assert written.startswith("before\n")
    assert written.endswith("<!-- end -->\nafter\n")
