"""What both servers have in common is tested on one of them, or on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.api.apis import Library
from tests.unit.hub.hubs import RunningHub

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture(scope="session")
def refusing_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """For tests of what is refused: it holds nothing, and stays so."""
    with RunningHub(tmp_path_factory.mktemp("refusing") / "hub.sqlite") as running:
        yield running
