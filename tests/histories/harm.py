"""Faults and foreign changes: what happens to hosts and their sandboxes without Sandboxer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.labels import COMPOSE_PROJECT, service_fields
from sandboxer.model.identity import LABEL_UID, sandbox_id
from sandboxer.model.observed import Container
from tests.histories.host import ENGINES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sandboxer.model.observed import Engine
    from tests.histories.host import SimulatedHost
    from tests.histories.judge import Judge


class Ground:
    """Hosts, and the true time ``now``; ``runner_ahead`` is how far the runner's clock is ahead of it."""

    now: datetime
    runner_offset: timedelta
    hosts: dict[str, SimulatedHost]
    judge: Judge

    @property
    def runner_clock(self) -> datetime:
        """The clock of the machine that Sandboxer runs on."""
        return self.now + self.runner_offset

    # --- faults of a host

    def cut(self, host: str) -> None:
        """Make a host unreachable."""
        self.hosts[host].reachable = False

    def stop_engine(self, host: str) -> None:
        """Stop Docker, so that it no longer answers; containers keep running."""
        self.hosts[host].stopped_engines.add("docker")

    def garble(self, host: str) -> None:
        """Let the host answer, but interrupt each observation of it."""
        self.hosts[host].garbled = True

    def link(self, host: str) -> None:
        """Put a symbolic link in place of the fleets' folders, which makes observations incomplete."""
        self.hosts[host].linked = True

    @property
    def broken(self) -> bool:
        """Whether any host has a fault."""
        return any(
            host.stopped_engines or host.garbled or host.linked or not host.reachable for host in self.hosts.values()
        )

    def heal(self, host: str | None = None) -> None:
        """End all faults of a host, or of all hosts. An engine that comes back stops what kept running."""
        for healed in [self.hosts[host]] if host else self.hosts.values():
            self._stop(healed, healed.stopped_engines)
            healed.reachable, healed.garbled, healed.linked = True, False, False
            healed.stopped_engines.clear()
            healed.failing = 0

    @staticmethod
    def _stop(host: SimulatedHost, engines: Collection[Engine]) -> None:
        for container in list(host.containers.values()):
            if container.engine in engines and container.state in ("running", "paused"):
                host.containers[container.id] = replace(container, state="exited", exit_code=137)

    def pass_time(self, seconds: int) -> None:
        """Advance every clock."""
        self.now += timedelta(seconds=seconds)

    def set_clock(self, host: str | None, seconds: int) -> None:
        """Set a host's clock (or the runner's) this far ahead of the true time."""
        if host is None:
            self.runner_offset = timedelta(seconds=seconds)
        else:
            self.hosts[host].newer_on_hosts = timedelta(seconds=seconds)

    def wipe(self, host: str) -> None:
        """Reboot a host with /tmp cleared; containers, networks and volumes are still there."""
        there = self.hosts[host]
        for key in there.folders:
            self.judge.forget(host, key)
        for things in (
            there.folders,
            there.leftovers,
            there.tombstones,
            there.revisions,
            there.locks,
            there.directories,
        ):
            things.clear()

    def boot(self, host: str) -> None:
        """Reboot a host: containers stop, and its disk stays as it is."""
        self._stop(self.hosts[host], ENGINES)

    # --- changes of a sandbox. A host that has nothing of it stays as it is.

    def hurt(self, host: str, fleet: str, name: str, damage: str) -> None:
        """Let a container be ``removed``, ``stopped`` or ``paused``, or everything except the directory be ``gone``."""
        there, key = self.hosts[host], (fleet, sandbox_id(fleet, name))
        containers = sorted(there.of(key), key=lambda container: container.name)
        for container in containers if damage == "gone" else containers[-1:]:
            if damage in ("removed", "gone"):
                del there.containers[container.id]
            elif container.state == "running":
                state: Any = "paused" if damage == "paused" else "exited"
                there.containers[container.id] = replace(container, state=state, exit_code=137 * (damage == "stopped"))
        for resource in list(there.resources.values()) if damage == "gone" else ():
            if resource.owner and (resource.owner.fleet, resource.owner.id) == key:
                del there.resources[resource.name]

    def lose(self, host: str, fleet: str, name: str, what: str) -> None:
        """Remove the sandbox's ``folder``, its ``record``, or its ``workspace``."""
        there, key = self.hosts[host], (fleet, sandbox_id(fleet, name))
        if key not in there.folders:
            return
        self.judge.forget(host, key)
        if what == "folder":
            del there.folders[key]
            there.locks.discard(key)  # a person who removes the one also removes the other
        elif what == "record":
            there.folders[key].record = None
        else:
            there.folders[key].trees.clear()

    def tamper(self, host: str, fleet: str, name: str, what: str) -> None:
        """Truncate its record (``torn``), change its ``life``, or give its labels to a ``stranger``."""
        there, key = self.hosts[host], (fleet, sandbox_id(fleet, name))
        # One life on two hosts would mean that they are one machine, which is another fault.
        life = hashlib.sha256(f"{what} {host} {fleet} {name}".encode()).hexdigest()[:32]
        folder = there.folders.get(key)
        if what == "stranger":
            for container in there.of(key)[:1]:
                self._run_container(there, {**container.labels, LABEL_UID: life})
        elif folder is not None and folder.record:
            if what == "torn":
                folder.record = folder.record[: len(folder.record) // 2]
            elif there.record(key) is not None:
                folder.record = json.dumps({**json.loads(folder.record), "uid": life}).encode()

    def occupy(self, host: str, what: str) -> None:
        """Let somebody else run a ``container`` or a compose ``project``, or create a ``directory`` below the root."""
        there = self.hosts[host]
        if what == "directory":
            there.directories.add("somebody")
        else:
            self._run_container(there, {COMPOSE_PROJECT: "other"} if what == "project" else {})

    @staticmethod
    def _run_container(host: SimulatedHost, labels: Mapping[str, str]) -> None:
        number = host.made.total()
        host.made["foreign"] += 1
        host.containers[f"foreign-{number}"] = Container(
            f"foreign-{number}",
            f"foreign-{number}",
            "docker",
            "theirs",
            "c" * 64,
            "running",
            0,
            None,
            labels,
            **service_fields(labels, f"foreign-{number}"),
        )
