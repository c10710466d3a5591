"""A hub for each test that requests one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.hub.hubs import RunningHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "hub.sqlite") as running:
        yield running


@pytest.fixture(scope="session")
def refusing_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """For tests of what is refused: it holds nothing, and stays so."""
    with RunningHub(tmp_path_factory.mktemp("refusing") / "hub.sqlite") as running:
        yield running
