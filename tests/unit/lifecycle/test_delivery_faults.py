"""Random faults on the way to a hub, over lives that begin and end: it has every event once, and in its order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import HostUnreachable
from sandboxer.hosts.journals import Journals
from sandboxer.lifecycle import delivery as module
from tests.support.deliveries import Deliveries
from tests.support.handles import registration
from tests.support.hub_faults import Between, compare
from tests.support.hubs import LyingHub
from tests.support.journal_host import JournalHost, life, lines
from tests.support.local_hosts import FLEET
from tests.unit.hub.hubs import TOKEN, RunningHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.lifecycle.delivery import Delivery
    from sandboxer.model.event import Event
    from sandboxer.model.hub import Registration

NAMES = tuple(f"0000000{number}" for number in range(3))
FAULTS = 40


class _Lives:
    """What happens on a host: lives begin and end, and their client reports it."""

    def __init__(self, host: JournalHost, chance: random.Random) -> None:
        self._host = host
        self._chance = chance
        self.began = 0
        self.living: dict[str, list[Event]] = {}

    def go_on(self, delivery: Delivery) -> None:
        """Each name begins a life, ends one, or stays as it is."""
        for name in NAMES:
            if name not in self.living and self._chance.random() < 0.7:
                self.began += 1
                self._step(delivery, name, life(f"{self.began:032x}", identifier=name)[:3])
            elif name in self.living and self._chance.random() < 0.5:
                uid = self.living[name][0].uid
                *_, destroying, destroyed = life(uid, identifier=name)
                self._step(delivery, name, [destroying])
                self._host.remove(uid, destroyed, identifier=name)
                del self.living[name]
                delivery.enqueue(destroyed, "one")

    def _step(self, delivery: Delivery, name: str, events: list[Event]) -> None:
        journal = self.living[name] = [*self.living.get(name, ()), *events]
        self._host.lives(events[0].uid, lines(journal), identifier=name)
        for event in events:
            delivery.enqueue(event, "one")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    host = JournalHost.create(tmp_path)
    yield host
    host.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_event_arrives_once(
    host: JournalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.002)
    chance, broken, dead = random.Random(seed), list[str](), list[bool]([False])

    def transport(name: str) -> object:
        if dead[0]:
            raise HostUnreachable(name, "gone")
        return host.session.transport(name)

    journals = Journals(FLEET, {"one": str(host.session.root("one"))}, transport)  # type: ignore[arg-type]
    with RunningHub(tmp_path / "hub.sqlite") as hub, Deliveries(tmp_path, token=TOKEN) as deliver:
        between = Between(hub.url.rstrip("/"), broken.append, seed)
        lives = _Lives(host, chance)
        with LyingHub(choose=between.choose) as lying:
            while len(broken) < FAULTS:
                delivery = deliver(lying, lambda uid, identifier, name: _registration(uid, identifier))
                delivery.begin(journals, ["one"])
                lives.go_on(delivery)
                dead[0] = chance.random() < 0.2  # the run is gone before it could note what it sent
                delivery.finish(grace=0.2, most=1.0)
                dead[0] = False
            between.honest = True
            last = deliver(lying)
            last.begin(journals, ["one"])
            assert last.finish(grace=20, most=60) == []
        between.close()
        received = hub.events(limit=1000)
        assert all(not one.events for one in host.read())
        known = {one["id"]: one["phase"] for one in hub.sandboxes()}
    there = {events[0].uid: [event.number for event in events] for events in lives.living.values()}
    assert compare(received, there, lives.began) == (0, 0)
    assert known == dict.fromkeys(lives.living, "ready")
    assert not (host.home / ".journals").exists()


def _registration(uid: str, identifier: str) -> Registration:
    return registration(id=identifier, uid=uid, fleet=FLEET, host="one")
