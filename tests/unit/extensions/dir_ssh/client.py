"""A client of the backend itself, which can be killed at each point that it passes."""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import StaleChange
from sandboxer.extensions.base import ObserveRequest, Operation, Provenance, Target
from sandboxer.extensions.dir_ssh.extension import DirSsh
from sandboxer.model.lifecycle import Phase
from sandboxer.model.observed import Reachable

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.observed import ObservedDirectory
    from sandboxer.wiring.source import FleetSource
    from tests.unit.extensions.dir_ssh.local_fleet import LocalFleet


@dataclass
class Client:
    """A client of the backend itself, which does what a plan of its observation would do."""

    fleet: LocalFleet
    source: FleetSource
    notes: Path

    def observe(self) -> ObservedDirectory | None:
        """Return the sandbox as the host has it."""
        request = ObserveRequest("here", self.fleet.root, "acme")
        with closing(LocalTransport("here")) as transport:
            observation = DirSsh().observe(transport, request)
        assert isinstance(observation, Reachable)
        assert observation.error is None
        return observation.found.get(self.fleet.id("work"))

    def apply(self, *, present: bool = True) -> None:
        """Apply the sandbox, or tear it down; again while the host ends what a dead client began."""
        for _ in range(5):
            with suppress(StaleChange):
                return self._apply(present=present)
        raise AssertionError("it changes all the time")

    def _apply(self, *, present: bool) -> None:
        found = self.observe()
        record = found.record if found else None
        assert found is None or record is not None, "a directory without a record"
        desired = self.source.fleet().sandboxes["work"]
        with closing(LocalTransport("here")) as transport:
            operation = Operation(
                target=Target("here", self.fleet.root, transport, "", None, 1.0, 1, "a client"),
                fleet="acme",
                id=desired.id,
                name="work",
                reason="a_test",
                expected_generation=record.generation if record else 0,
                expected_uid=record.uid if record else "",
                inputs=self.source.inputs(),
                provenance=Provenance(),
                progress=lambda _step: None,
                clock=lambda: datetime.now(UTC).replace(microsecond=0),
            )
            if present:
                DirSsh().provision(operation, desired, fresh=bool(record and record.phase is Phase.DESTROYING))
            else:
                DirSsh().teardown(operation)

    def killed_at(self, point: str, *, present: bool = True) -> None:
        """Apply in another process, which dies at a point."""
        child = os.fork()
        if child == 0:
            os.environ["SANDBOXER_CRASH_AT"] = point
            with suppress(BaseException):
                self.apply(present=present)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert point.startswith("@") or os.WTERMSIG(status) == signal.SIGKILL, point

    def points(self, *, present: bool = True) -> list[str]:
        """Return the points that an apply passes; before one step is the same as after another."""
        self.killed_at(f"@{self.notes}", present=present)
        found = [point for point in self.notes.read_text().splitlines() if ".before" not in point]
        self.notes.unlink()
        assert len(found) > 10
        return found

    def must_be_complete(self, content: str, point: str) -> None:
        """Fail unless the sandbox is in its desired state, with nothing beside it."""
        found = self.observe()
        assert found is not None
        assert found.record is not None
        assert found.record.phase is Phase.READY, point
        assert found.record.attempt is None, point
        assert (self.fleet.directory / "work/a.txt").read_text() == content, point
        assert (self.fleet.tree / "a.txt").read_text() == content, point
        there = {path.name for path in self.fleet.directory.iterdir()}
        assert there == {"work", "work.of", "workspace", "env", "record.json", "journal.jsonl"}, point
        beside = {path.name for path in self.fleet.directory.parent.iterdir()}
        assert beside == {self.fleet.id("work"), ".locks"}, point
