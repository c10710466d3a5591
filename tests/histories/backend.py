"""ext.compose-ssh on simulated hosts: its own code, with their verbs in place of a shell's."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from sandboxer.errors import ObservationIncomplete, SandboxLocked
from sandboxer.extensions.compose_ssh import provision, teardown
from sandboxer.extensions.compose_ssh import stack as compose_stack
from sandboxer.extensions.compose_ssh.directory import SandboxDirectory, State
from sandboxer.extensions.compose_ssh.extension import ComposeSsh
from sandboxer.hosts import parallel
from sandboxer.hosts.session import HostSession, Reply
from sandboxer.lifecycle import execute, placement
from sandboxer.model.event import last_number
from tests.histories.verbs import Verbs, leave, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.protocols import HostTransport
    from tests.histories.host import SimulatedHost


class SimulatedBackend(ComposeSsh):
    """The backend, with a hook for each observation; it changes things through the verbs of a simulated host."""

    def __init__(self, hosts_observed: Callable[[SimulatedHost], None]) -> None:
        self._observed = hosts_observed

    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Return the observation of a simulated host."""
        host: Any = transport
        try:
            observation: HostObservation = host.observation(request)
        finally:
            self._observed(host)
        return observation


class SimulatedSession(HostSession):
    """A session with a simulated host. Between any two of its steps a fault may happen."""

    def __init__(self, operation: Operation, *_verbs: str) -> None:
        self._work = operation
        self.host: Any = operation.target.transport
        self.key = (operation.fleet, operation.id)
        self._verbs = Verbs(self.host, operation)

    def __enter__(self) -> Self:
        self.host.point(self.host)
        if self.key in self.host.held:
            raise SandboxLocked(self._work.name, f"{self._work.name} is held by another client")
        self.host.locks.add(self.key)
        self.host.point(self.host, "lock.after")
        self.host.held.add(self.key)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.host.held.discard(self.key)
        leave(self.host, self.key)

    def call(
        self,
        verb: str,
        *arguments: str,
        payload: bytes = b"",
        timeout: float = 60.0,
        on_line: Callable[[str], None] = lambda _line: None,
    ) -> Reply:
        """Let the host carry out a verb."""
        self.host.point(self.host, f"{verb}.before")
        doing = getattr(self._verbs, verb)(*arguments, payload=payload)
        while True:
            try:
                next(doing)
            except StopIteration as done:
                code, text = done.value or (0, "")
                break
            self.host.point(self.host)
        self.host.point(self.host, f"{verb}.after")
        return Reply(code, text.encode())

    def operation(self, verb: str, *arguments: str, timeout: float) -> Reply:
        """Carry out a verb in the same way: nothing takes long here."""
        return self.call(verb, *arguments)


class SimulatedDirectory(SandboxDirectory):
    """A sandbox's directory on a simulated host: everything except the observation is the real one's."""

    def observation(self, *, everything: bool = False, only_names: bool = False) -> State:
        """Return the current state."""
        host: Any = self.operation.target.transport
        key = (self.operation.fleet, self.operation.id)
        host.point(host, "state.before")
        sweep(host, *key)
        if self.operation.target.engine in host.stopped_engines:
            raise ObservationIncomplete(host.name, f"{self.operation.target.engine} on {host.name} does not answer")
        folder = host.folders.get(key)
        found = host.found(key) if folder else None
        if found and found.record is None and folder.record is not None:
            raise ObservationIncomplete(
                host.name, f"{self.operation.name} on {host.name} cannot be read: {found.error}"
            )
        record = found.record if found else None
        self._written, self._record = (folder.record if folder else None), record
        last = last_number("\n".join(folder.journal).encode()) if folder else 0
        self._last_event = max(last, record.last_event if record else 0)
        self._compose = "podman-compose" if self.operation.target.engine == "podman" else "docker-compose"
        host.point(host, "state.after")
        resources = tuple(r for r in host.resources.values() if r.owner and (r.owner.fleet, r.owner.id) == key)
        return State(
            record,
            frozenset(folder.trees if folder else ()),
            tuple(c for c in host.of(key) if c.engine == self.operation.target.engine),
            resources if everything else (),
        )


class Waiting:
    """The clock of a waiting client: only sleeping advances it."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds slept so far."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance the clock without sleeping."""
        self._now += seconds


class InTurn:
    """A thread pool that runs one call after the other, so that a history is deterministic."""

    def __init__(self, **_options: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], things: Iterable[Any]) -> Iterator[Any]:
        """Yield the results, in order."""
        return iter([function(thing) for thing in things])

    def shutdown(self, **_options: object) -> None:
        """Do nothing: no call is pending."""


@contextmanager
def simulated() -> Iterator[None]:
    """Create and remove sandboxes on simulated hosts, in one thread, during the block."""
    with ExitStack() as stack:
        for module in (provision, teardown):
            stack.enter_context(patch.object(module, "HostSession", SimulatedSession))
            stack.enter_context(patch.object(module, "SandboxDirectory", SimulatedDirectory))
        stack.enter_context(patch.object(compose_stack, "time", Waiting()))
        stack.enter_context(patch.object(placement, "HostSession", SimulatedSession))
        for module in (execute, parallel):
            stack.enter_context(patch.object(module, "ThreadPoolExecutor", InTurn))
        yield
