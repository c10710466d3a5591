"""One rule's case: a fleet of its own on the host, and what a plan and an apply would do there, step by step."""

from __future__ import annotations

import os
import signal
import warnings
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sandboxer.errors import SandboxerError, StaleChange
from sandboxer.extensions.base import ObserveRequest, Operation, Provenance, Target
from sandboxer.extensions.capabilities import LiveSandbox
from sandboxer.extensions.conformance.host import HostView
from sandboxer.extensions.conformance.rule import RuleBroken, demand, skip
from sandboxer.extensions.conformance.transports import WatchedTransport
from sandboxer.model.event import Event
from sandboxer.model.observed import Reachable
from sandboxer.reconcile.observed_sandbox import ObservedSandbox, observed_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sandboxer.extensions.conformance.subject import Subject
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.record import Record

Returned = TypeVar("Returned")
ATTEMPTS = 4
BEGUN, APPLIED, REMOVED = "create_because_absent", "update_because_changed", "delete_because_orphaned"


class Case:
    """What a rule works with. ``backend`` is the extension's instance, ``raw`` a transport to the host.

    ``name`` is the fleet's. ``crash_points`` is the maximum number of points at which a run is killed; 0 for all.
    ``renew_limit`` begins the rule's time limit again.
    """

    def __init__(
        self,
        subject: Subject,
        raw: HostTransport,
        root: str,
        name: str,
        crash_points: int = 0,
        renew_limit: Callable[[], None] = lambda: None,
    ) -> None:
        assert subject.backend is not None  # noqa: S101 - a Subject has one once it is made
        self.subject = subject
        self.backend = subject.backend
        self.raw = raw
        self.root = root
        self.name = name
        self.view = HostView(raw, root)
        self.crash_points = crash_points
        self.renew_limit = renew_limit
        self.events: list[Event] = []
        self._desired: dict[tuple[str, str], DesiredSandbox] = {}

    # --- the desired state ---------------------------------------------------------------------------------------

    def desired(self, sandbox: str = "one", ref: str = "first") -> DesiredSandbox:
        """Return a sandbox as git declares it, with the input of a commit."""
        if (sandbox, ref) not in self._desired:
            fleet = self.subject.fleet(self.name, **{sandbox: {"inputs": {"repo": ".", "ref": ref}}})
            self._desired[sandbox, ref] = fleet.sandboxes[sandbox]
        return self._desired[sandbox, ref]

    def imperative(self) -> DesiredSandbox:
        """Return a sandbox as somebody requests it, without git; the same one each time."""
        if ("requested", "") not in self._desired:
            self._desired["requested", ""] = self.subject.requested(self.name, "requested")
        return self._desired["requested", ""]

    def folder(self, desired: DesiredSandbox) -> str:
        """Return the path of a sandbox's folder below the root."""
        return f"{self.name}/{desired.id}"

    # --- what is on the host -------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The host's name."""
        return self.subject.host.metadata.name if self.subject.host else "here"

    @property
    def request(self) -> ObserveRequest:
        """The request to observe the host."""
        spec = self.subject.host.spec if self.subject.host else None
        runtime, tool = (spec.runtime, spec.tool) if spec else ("auto", None)
        return ObserveRequest(self.host, self.root, self.name, runtime, tool)

    def observe(self, transport: HostTransport | None = None) -> Reachable:
        """Return the backend's observation of the host. Raise RuleBroken if it cannot be used."""
        observation = self.backend.observe(transport or self.raw, self.request)
        if not isinstance(observation, Reachable):
            raise RuleBroken(f"`observe` returned {observation!r}")
        problem = observation.error or observation.backend_error
        demand(problem is None, f"the host cannot be used: {problem}")
        return observation

    def observed(self, desired: DesiredSandbox, observation: Reachable | None = None) -> ObservedSandbox:
        """Return a sandbox as an observation shows it; without one, observe the host now."""
        copies = observed_host(observation or self.observe(), self.name, self.root).copies
        return copies.get(desired.id) or ObservedSandbox(self.host, desired.id, None)

    def record(self, desired: DesiredSandbox) -> Record:
        """Return a sandbox's record. Raise RuleBroken if it has none."""
        observed = self.observed(desired)
        if observed.record is None:
            found = observed.found.error if observed.found else "nothing of it is there"
            raise RuleBroken(f"`observe` shows no record of {desired.name}: {found}")
        return observed.record

    def journal(self, desired: DesiredSandbox) -> list[Event]:
        """Return the events in a sandbox's journal."""
        lines = self.view.read(f"{self.folder(desired)}/journal.jsonl").splitlines()
        return [Event.model_validate_json(line) for line in lines if line]

    # --- what an apply does --------------------------------------------------------------------------------------

    def operation(
        self, desired: DesiredSandbox, reason: str = BEGUN, transport: HostTransport | None = None, **changes: Any
    ) -> Operation:
        """Return the operation on a sandbox, as a plan sees the host now."""
        observation = self.observe()
        observed = self.observed(desired, observation)
        spec = self.subject.host.spec if self.subject.host else None
        engine = observed.engine if observed.engine is not None else (observation.engine or "")
        if self.subject.description.spec.capabilities.runtimes and not engine:
            skip(f"{self.host} has no engine that the extension supports")
        target = Target(
            host=self.host,
            root=self.root,
            transport=transport or self.raw,
            engine=engine if self.subject.description.spec.capabilities.runtimes else "",
            tool=spec.tool if spec else None,
            cpus=observation.cpus,
            memory_bytes=observation.memory_bytes,
            holder="the conformance suite none",
        )
        operation = Operation(
            target=target,
            fleet=self.name,
            id=desired.id,
            name=desired.name,
            reason=reason,
            expected_generation=observed.generation,
            expected_uid=observed.uid,
            inputs=self.subject.inputs,
            provenance=Provenance(),
            progress=lambda _step: None,
            clock=lambda: datetime.now(UTC).replace(microsecond=0),
            on_event=lambda event, _record, _containers: self.events.append(event),
            lives=() if observed.record else tuple(sorted({owner.uid for owner in observed.owners()})),
        )
        return replace(operation, **changes)

    def provision(self, desired: DesiredSandbox, *, fresh: bool | None = None, **given: Any) -> Record:
        """Create or update a sandbox as an apply would; ``given`` are keyword arguments of ``operation``."""

        def act() -> Record:
            operation = self.operation(desired, **given)
            new = not operation.expected_generation if fresh is None else fresh
            return self.backend.provision(operation, desired, fresh=new)

        return _planned_again(act) if "expected_uid" not in given else act()

    def teardown(self, desired: DesiredSandbox, *, tombstone: str | None = None, **given: Any) -> None:
        """Remove a sandbox."""

        def act() -> None:
            self.backend.teardown(self.operation(desired, **{"reason": REMOVED, **given}), tombstone=tombstone)

        return _planned_again(act) if "expected_uid" not in given else act()

    def watched(self, before_step: Callable[[], None] = lambda: None) -> WatchedTransport:
        """Return a transport that calls back before each command and each request."""
        return WatchedTransport(self.raw, before_step)

    def live(self, desired: DesiredSandbox) -> tuple[LiveSandbox, Container | None]:
        """Return a sandbox as the capabilities are given it, and a container of it that runs, if it has one."""
        observed, record = self.observed(desired), self.record(desired)
        sandbox = LiveSandbox(desired.name, self.name, self.root, observed, record, self._connect)
        running = [one for one in observed.containers if one.state == "running"]
        return sandbox, (running[0] if running else None)

    def _connect(self) -> AbstractContextManager[HostTransport]:
        from contextlib import closing

        return closing(self.subject.connect())

    def in_child(self, act: Callable[[], object], **environment: str) -> int | None:
        """Run something in a process of its own, with a transport of its own; return its exit code.

        None means that it was killed.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no other thread is in the middle of anything
            child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                os.environ.update(environment)
                self.raw = self.subject.connect()  # the parent's connection is the parent's
                self.view = HostView(self.raw, self.root)
                act()
                code = 0
            os._exit(code)
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        return None if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else os.WEXITSTATUS(status)

    # --- the end -------------------------------------------------------------------------------------------------

    def clean_up(self) -> None:
        """Remove everything of this case, whatever the backend does about it.

        Without its folder, what only labels name is a leftover, whatever its record contained.
        """
        self.subject.inputs.restore()
        for first in (True, False):
            found = True
            with suppress(Exception):
                found = self._remove_sandboxes()
            if found or first:
                with suppress(SandboxerError):
                    self.view.remove(self.name)
            if not found:
                return

    def _remove_sandboxes(self) -> bool:
        """Remove every sandbox of the fleet that the host shows; return whether there was any."""
        copies = observed_host(self.observe(), self.name, self.root).copies
        there = [one for one in copies.values() if one.generation or one.containers or one.resources]
        for one in there:
            name = one.record.name if one.record else "one"
            with suppress(Exception):  # the others are removed nevertheless
                self.teardown(replace(self.desired(), id=one.id, name=name))
        return bool(there)


def _planned_again(act: Callable[[], Returned]) -> Returned:
    """Carry a change out as an apply does: where the host is no longer as it was observed, it plans again.

    This happens where the work of a killed client has not ended on the host yet.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return act()
        except StaleChange:
            continue
    return act()
