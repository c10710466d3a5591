"""A server for each test that requests one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.api.apis import Library, RunningApi

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def api(library: Library) -> Iterator[RunningApi]:
    with RunningApi(library) as running:
        yield running


@pytest.fixture(scope="session")
def refusing_api() -> Iterator[RunningApi]:
    """For tests of what is refused: there is nothing, and it stays so."""
    with RunningApi(Library()) as running:
        yield running
