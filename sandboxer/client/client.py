"""The client: what a caller may do with a fleet's sandboxes. The modules beside this one implement it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sandboxer.client import create, destroy, events, maintenance, query, unrecorded
from sandboxer.client.context import ClientContext
from sandboxer.client.sandbox import Sandbox
from sandboxer.model.run_events import ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from sandboxer.client.connect.forward import Forward
    from sandboxer.client.connect.forward import PortRequest as PortRequest
    from sandboxer.client.connect.logs import Logs
    from sandboxer.client.connect.shell import Shell
    from sandboxer.client.maintenance import Abandoned
    from sandboxer.client.unrecorded import Unrecorded
    from sandboxer.model.event import Event
    from sandboxer.model.handle import Handle
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.protocols import Terminal
    from sandboxer.model.run_events import Sink


@dataclass(frozen=True, slots=True)
class Client:
    """A client for the sandboxes of a fleet. ``root`` is the directory of its ``sandboxer.yaml``.

    Every call observes the hosts again and keeps nothing; a client may be used from several threads. ``lock_timeout``
    is how many seconds to wait for another client at the same sandbox. ``warn`` receives problems that fail nothing,
    ``on_event`` what happens: manifests read, hosts observed, the steps of changes (``sandboxer.model.run_events``).
    ``run_id`` names the calls in reports to State Hub, else each has a name of its own. ``remote`` is for servers that
    pass on requests of others: then inputs must be of the Fleet's ``api.repoRoots``, or its own repository.

    Every method raises ManifestError, SourceError or ExtensionError if the fleet cannot be used, UsageError if the
    request makes no sense, and SandboxError or HostError if it cannot be carried out.
    """

    root: Path | str = "."
    lock_timeout: float = 60.0
    warn: Callable[[str], None] = lambda _words: None
    on_event: Sink = ignore
    run_id: str = ""
    remote: bool = False

    # --- query

    def list(self, wanted: query.SandboxFilter | None = None) -> list[Sandbox]:
        """Return every observed sandbox that ``wanted`` takes, git's and imperative ones alike.

        ``warn`` receives each host that did not answer in full.
        """
        return [Sandbox(self, handle) for handle in query.handles(self._context, wanted)]

    def get(self, name: str) -> Sandbox:
        """Return the sandbox with a name or id.

        Raise SandboxNotFound if it certainly does not exist, and else what ``find`` raises.
        """
        return Sandbox(self, query.handle_named(self._context, name))

    def find(self, name: str, sees: Callable[[Handle], bool] | None = None) -> Sandbox | None:
        """Return the sandbox as ``get`` does, and None if it certainly does not exist.

        One whose handle ``sees`` refuses counts as absent. Raise HostNotObserved if a host did not answer in full.
        """
        handle = query.handle_if_there(self._context, name, find_inputs=True, sees=sees)
        return Sandbox(self, handle) if handle else None

    def events(self, name: str, *, follow: bool = False) -> Generator[Event | None]:
        """Yield the events of a sandbox from the journals on the hosts: each event once, the oldest first.

        With ``follow`` it continues until the life ends, and yields None about once a second if nothing is new, so that
        a caller can stop; closing the iterator ends the connections. The first step observes the hosts, and raises
        UsageError if none has a journal. ``warn`` receives each unreachable host.
        """
        return events.events(self._context, name, follow=follow)

    def wait(self, name: str, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0) -> Sandbox | None:
        """Wait until a sandbox is ready, or gone; return it, None if it is gone.

        Raise SandboxError after ``timeout`` seconds, and at once if it failed.
        """
        handle = query.wait(self._context, name, phase, timeout)
        return Sandbox(self, handle) if handle else None

    # --- change

    def create(
        self,
        profile: str,
        *,
        name: str | None = None,
        inputs: Mapping[str, str] | None = None,
        ttl: str | None = None,
        consumer: str | None = None,
        labels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        secret_refs: Mapping[str, str] | None = None,
        hosts: Sequence[str] = (),
        key: str | None = None,
        by: str | None = None,
        wait: bool = True,
    ) -> Sandbox:
        """Create a sandbox and wait until it is ready; git neither knows nor ends it, its time to live does.

        Everything is as in a Sandbox manifest: ``inputs`` are repo and ref, ``ttl`` is a duration, ``consumer`` is
        ``actor/project``, ``secret_refs`` are sources by name, ``hosts`` narrow the profile's placement. Without a
        ``name`` it gets one derived from its profile.

        A second request with the same ``key`` of the same consumer returns the existing one. Raise KeyReused if that
        request differs, NameTaken if another sandbox has the name. ``by`` names the requester, else ``user@machine``.
        Without ``wait`` the request is only recorded, in phase `requested`, and ``resume`` creates the sandbox.
        """
        request = create.new_request(
            profile,
            name,
            inputs=inputs or {},
            ttl=ttl,
            consumer=consumer,
            labels=labels or {},
            env=env or {},
            secret_refs=secret_refs or {},
            hosts=hosts,
            by=by,
            detached=not wait,
            key=key,
        )
        if wait and not key:
            return Sandbox(self, create.create(self._context, request))
        made = create.submit(self._context, request)
        return Sandbox(self, create.resume(self._context, request.id) if wait else made)

    def resume(self, name: str) -> Sandbox:
        """Finish creating an imperative sandbox that is only requested, or interrupted; a ready one stays as it is.

        Raise SandboxLocked if another client holds its lock.
        """
        return Sandbox(self, create.resume(self._context, name))

    def recreate(self, name: str) -> Sandbox:
        """Recreate a sandbox: the same id, the same inputs at a fresh commit. Also an expired one of git's."""
        return Sandbox(self, create.recreate(self._context, name))

    def extend_ttl(self, name: str, by: timedelta) -> Sandbox:
        """Move the expiry of a sandbox by ``by``; return its new state.

        Raise UsageError beyond the profile's maximum, and if it is ambiguous which copy is meant. If git now has
        another expiry, which the next apply restores, ``warn`` receives that.
        """
        return Sandbox(self, destroy.extend_ttl(self._context, name, by))

    def destroy(self, name: str) -> bool:
        """Remove a sandbox and every copy of it; return False if there was none, which is success too.

        One of git's comes back with the next apply, of which ``warn`` is notified. Raise SandboxError if a host that
        may have it did not answer.
        """
        return destroy.destroy(self._context, name)

    def unrecorded(self, identifier: str) -> Sequence[Unrecorded]:
        """Return what carries the labels of an ID that no record and no manifest claims, a value for each host.

        Raise UsageError for an ID that is claimed, HostNotObserved if a host did not answer in full.
        """
        return unrecorded.unrecorded(self._context, identifier)

    def destroy_unrecorded(self, identifier: str) -> Sequence[Unrecorded]:
        """Remove what ``unrecorded`` returns, and return it. Raise what that raises, and SandboxError on failure."""
        return unrecorded.destroy_unrecorded(self._context, identifier)

    def activity(self, name: str) -> Sandbox:
        """Mark a sandbox as in use: phase `active`, and a later expiry if its profile has ``ttl.clock: activity``.

        Raise UsageError if it does not exist, or is not ready.
        """
        return Sandbox(self, maintenance.mark_active(self._context, name))

    # --- connect

    def logs(
        self,
        name: str,
        *,
        services: Sequence[str] = (),
        tail: int | None = None,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Logs:
        """Return the output of a sandbox's containers by line, of these ``services``, or of all without any.

        ``tail`` is how many last lines of each container, None for all. With ``follow`` it continues until no container
        runs any more; one that restarts is followed again. ``close`` ends it from any thread, on the host too. Raise
        UsageError for a sandbox or a service that does not exist.
        """
        from sandboxer.client.connect.logs import logs

        return logs(self._context, name, services=services, tail=tail, follow=follow, timestamps=timestamps)

    def forward(
        self, name: str, port: str | int, *, local_port: int = 0, service: str | None = None, address: str = "127.0.0.1"
    ) -> Forward:
        """Return a local port that is forwarded to a sandbox until it is closed.

        ``port`` is a name of the profile's reachability, or a container's port; ``service`` is needed if several have
        it. ``local_port`` 0 takes a free one. ``warn`` receives the errors of a connection. Raise UsageError,
        HostUnreachable.
        """
        from sandboxer.client.connect.forward import PortRequest, forwards

        (forward,) = forwards(self._context, name, [PortRequest(str(port), local_port, service)], address, service)
        return forward

    def forward_all(
        self, name: str, ports: Sequence[PortRequest] = (), *, service: str | None = None, address: str = "127.0.0.1"
    ) -> Sequence[Forward]:
        """Forward several ports over one connection, as ``forward`` does.

        Without any, forward the profile's whole reachability.
        """
        from sandboxer.client.connect.forward import forwards

        return forwards(self._context, name, ports, address, service)

    def shell(
        self,
        name: str,
        service: str | None = None,
        command: Sequence[str] = (),
        *,
        terminal: Terminal | None = None,
        on_stderr: Callable[[bytes], None],
    ) -> Shell:
        """Start a command in a container of ``service``, without one in the workspace; without a command, a shell.

        With a ``terminal``, that is all three streams. ``on_stderr`` receives standard error in another thread. Raise
        UsageError, and SandboxError if the service does not run.
        """
        from sandboxer.client.connect.shell import shell

        return shell(self._context, name, service, command, terminal, on_stderr)

    def copy_from(
        self,
        name: str,
        path: str,
        target: Path | str,
        *,
        service: str | None = None,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> Path:
        """Copy a file or directory out of a container; return its new path. It is copied whole, or nothing changes.

        A ``target`` that is a directory receives it under its own name. ``progress`` receives the number of bytes so
        far. Raise UsageError, also for what leads out of the target, and SandboxError if the engine fails.
        """
        from sandboxer.client.connect.copy import copy_from

        return copy_from(self._context, name, path, target, service, progress)

    def copy_to(
        self,
        name: str,
        source: Path | str,
        path: str,
        *,
        service: str | None = None,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> str:
        """Copy a file or directory into a container; return its path there. It belongs to root there.

        A ``path`` that is a directory receives it under its own name; a ``source`` that ends in ``/.`` means its
        content. ``progress`` receives the number of bytes so far. Raise UsageError, SandboxError.
        """
        from sandboxer.client.connect.copy import copy_to

        return copy_to(self._context, name, str(source), path, service, progress)

    # --- maintenance, for servers of a fleet

    def abandoned(self, busy: Collection[str] = ()) -> Sequence[Abandoned]:
        """Return the imperative sandboxes to resume: nobody waits for them, and nobody holds their lock.

        None with a ``busy`` id is among them.
        """
        return maintenance.abandoned(self._context, busy)

    def give_up(self, name: str, why: str) -> None:
        """Mark a sandbox that cannot be created as `failed`, with the reason ``why``.

        One that is ready, or gone, stays so.
        """
        maintenance.mark_failed(self._context, name, why)

    def reap(self) -> Sequence[Outcome]:
        """Delete expired sandboxes, git's and others, as ``prune --expired-only`` does; return the outcome of each."""
        return maintenance.reap(self._context)

    def plan(self) -> JsonObject:
        """Return the plan of the fleet, as ``sandboxer plan -o json`` writes it. Read-only."""
        return query.plan(self._context)

    # --- internals

    @property
    def _context(self) -> ClientContext:
        return ClientContext(self.root, self.lock_timeout, self.warn, self.on_event, self.run_id, remote=self.remote)
