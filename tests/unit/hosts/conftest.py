"""What the tests of a host's journals share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.journal_host import JournalHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    """Yield a host with a fleet's folder, this machine."""
    host = JournalHost.create(tmp_path)
    yield host
    host.close()
