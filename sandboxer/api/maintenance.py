"""Periodic work of the server: it resumes interrupted operations and deletes expired sandboxes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sandboxer.api.errors import code_location
from sandboxer.errors import SandboxerError
from sandboxer.model.text import named
from sandboxer.render.remedies import in_json
from sandboxer.web.problems import HttpProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.api.operations import Kind
    from sandboxer.api.service import Service

SWEEP_SECONDS = 60.0


class Maintenance:
    """Sweeps immediately and every minute; reaps every given number of seconds, or never with 0. Each has a thread."""

    def __init__(self, service: Service, reap_every: float) -> None:
        self._service = service
        self._over = threading.Event()
        self._rounds = [(self.sweep, SWEEP_SECONDS), *([(self.reap, reap_every)] if reap_every else [])]

    def start(self) -> None:
        """Start the threads."""
        for act, seconds in self._rounds:
            threading.Thread(target=self._repeat, args=(act, seconds), name=act.__name__, daemon=True).start()

    def close(self) -> None:
        """Start no further round."""
        self._over.set()

    def sweep(self) -> None:
        """Queue requested and interrupted operations that nobody works on any more."""
        service = self._service
        kinds: dict[str, Kind] = {"resume": "make", "destroy": "destroy"}
        for one in service.client().abandoned(busy=service.operations.busy()):
            try:
                with service.operations.reserve():
                    service.begin(one.id, kinds[one.wants])
            except HttpProblem:
                return  # the queue is full; the next round finds it again
            service.log("info", f"resuming {named('sandbox', one.name)} ({one.id}): {one.wants}")

    def reap(self) -> None:
        """Delete expired sandboxes, within the guards."""
        for outcome in self._service.client().reap():
            change = outcome.change
            if outcome.ok:
                what = f"{named('sandbox', change.sandbox)} on {named('host', change.host or '')}"
                self._service.log("info", f"{what} has expired: {outcome.change.action}")
            else:
                why = outcome.error or in_json(change.message, change.remedy)
                self._service.log(
                    "warning", f"{named('sandbox', change.sandbox)} has expired, but was not deleted: {why}"
                )

    def _repeat(self, act: Callable[[], None], seconds: float) -> None:
        while not self._over.is_set():
            try:
                act()
            except SandboxerError as error:
                self._service.log("warning", f"{act.__name__}: {error.message}")
            except Exception as error:  # noqa: BLE001 - the server survives any error
                self._service.log("error", f"{act.__name__}: {code_location(error)}")
            if act == self.sweep:
                self._service.mark_swept()
            self._over.wait(seconds)
