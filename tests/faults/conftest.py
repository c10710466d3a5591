"""The fixture of every row of the fault matrix; fleets are created as in ``tests/lab``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.matrix import Row
from tests.lab.conftest import fleet, new_fleet

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["fleet", "new_fleet", "row"]

_CALL = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the outcome of the test itself, for the row's figures."""
    report = yield
    if report.when == "call":
        item.stash[_CALL] = report
    return report


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """Yield the row of a test, as its marker ``fault`` names it; write its figures at the end."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "a row needs the marker fault"
    row = Row(*marker.args)
    yield row
    report = request.node.stash.get(_CALL, None)
    passed = report is not None and report.passed
    row.write(request.node.nodeid, passed=passed)
    assert row.broken or not passed, "a row that broke nothing shows nothing"
