"""The database where it does not do as it should."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import SandboxerError
from sandboxer.hub.database import Database
from sandboxer.hub.incoming import event_of
from sandboxer.hub.store import Store
from sandboxer.web.problems import ProblemKind
from tests.support.problems import assert_problem
from tests.unit.hub.hubs import RunningHub, event

if TYPE_CHECKING:
    from pathlib import Path


def test_a_disk_that_is_full_is_reported_and_nothing_is_half_there(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[Store] = []
    add = Store.add

    def caught(store: Store, incoming: object) -> bool:
        stores.append(store)
        return add(store, incoming)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(Store, "add", caught)
    hub.take(event(1))
    connection = stores[0]._database.write
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = event(2, more="x" * 200_000)
    answer = hub.post(large)
    assert_problem(answer, ProblemKind.BUSY)
    assert answer.headers["Retry-After"] == "5"
    assert [one["data"]["number"] for one in hub.events()] == [1]
    connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    hub.take(large)
    assert hub.client.get("/metrics").text.count('sandboxer_hub_events_total{status="refused"} 0.0') == 1


def test_a_file_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    database = Database(path)
    database.write.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SandboxerError, match="version 99"):
        Database(path)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    Database(path).close()
    path.chmod(0o644)
    database = Database(path)
    try:
        assert all(one.stat().st_mode & 0o077 == 0 for one in tmp_path.iterdir())
    finally:
        database.close()


def test_events_are_on_disk_before_they_are_answered_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub.sqlite")
    try:
        for connection in (store._database.write, store._database.read):
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._database.write.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store.add(event_of(json.dumps(event(1)).encode()))
    finally:
        store.close()
