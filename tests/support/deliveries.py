"""Deliveries as a run makes them, to a LyingHub."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from sandboxer.adapters.hub import StateHub
from sandboxer.lifecycle.delivery import Delivery
from sandboxer.model.fleet_manifests import StateHub as Settings
from tests.support.hubs import TOKEN, LyingHub
from tests.support.local_hosts import FLEET, ID
from tests.support.planning import NOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxer.model.hub import CloudEvent, Registration

STARTED_RUN = "7" * 32


class Deliveries:
    """Factory of deliveries to a hub, as if the fleet were in ``folder``; it registers nothing by itself."""

    def __init__(self, folder: Path, *, token: str = TOKEN) -> None:
        self._folder = folder
        self._hubs: list[StateHub] = []
        (folder / "hub-token").write_text(token)

    def __call__(self, lying: LyingHub, registration: Callable[..., Registration | None] = lambda *_: None) -> Delivery:
        settings = Settings.model_validate({"url": lying.url, "token": "file:hub-token"})
        self._hubs.append(StateHub(settings, self._folder))
        return Delivery(self._hubs[-1], registration)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hub in self._hubs:
            hub.close()


def numbers(lying: LyingHub, identifier: str = ID) -> list[tuple[str, int]]:
    """Return the first digit of the life and the number of each event of a sandbox that the hub received."""
    reported = [event["data"] for event in lying.events if event["subject"] == identifier]
    return [(data["uid"][0], data["number"]) for data in reported]


def of(uid: str, *numbers: int) -> list[tuple[str, int]]:
    """Return what ``numbers`` returns for these events."""
    return [(uid[0], number) for number in numbers]


def finished(delivery: Delivery) -> list[str]:
    """Return the problems once everything possible is delivered: this machine may be slow."""
    return delivery.finish(grace=30, most=60)


def is_ready(delivery: Delivery) -> None:
    """Wait until everything that was read is delivered."""
    deadline = time.monotonic() + 20
    while delivery._reading or delivery._workers:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def started() -> CloudEvent:
    """Return the event of a run's start."""
    from sandboxer.model.hub import RUN_STARTED, RunData, run_event

    return run_event(RUN_STARTED, RunData(run_id=STARTED_RUN, fleet=FLEET, command="apply", commit=None, at=NOW), NOW)
