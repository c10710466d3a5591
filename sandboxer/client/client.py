"""The client: what a caller may ask of a fleet's sandboxes. How it is done is in the files beside this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sandboxer.client import create, destroy, events, maintenance, query, unrecorded
from sandboxer.client.context import ClientContext, NullView
from sandboxer.client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path

    from sandboxer.client.connect.forward import Forward
    from sandboxer.client.connect.forward import PortRequest as PortRequest
    from sandboxer.client.connect.logs import Logs
    from sandboxer.client.connect.shell import Shell
    from sandboxer.client.maintenance import Abandoned
    from sandboxer.client.unrecorded import Unrecorded
    from sandboxer.model.event import Event
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.protocols import Terminal
    from sandboxer.wiring import Run


@dataclass(frozen=True, slots=True)
class Client:
    """The sandboxes of a fleet. ``root`` is the folder of its ``sandboxer.yaml``.

    Every call looks at the hosts anew and keeps nothing; a client may be used from several threads. ``lock_timeout`` is
    how many seconds to wait for another client at the same sandbox. ``view`` is told what is done, ``warn`` what went
    wrong and failed nothing. ``around`` is entered while the hosts are looked at. ``remote`` is for whoever passes on
    what others ask for: then inputs must be of the Fleet's ``api.repoRoots``, or its own repository.

    Every method raises ManifestError, SourceError or ExtensionError where the fleet cannot be used, UsageError where
    what is asked for makes no sense, and SandboxError or HostError where it cannot be done.
    """

    root: Path | str = "."
    lock_timeout: float = 60.0
    view: ApplyView = field(default_factory=NullView)
    warn: Callable[[str], None] = lambda _words: None
    around: Callable[[Run], AbstractContextManager[None]] | None = None
    remote: bool = False

    # --- what there is

    def list(self, wanted: query.SandboxFilter | None = None) -> list[Sandbox]:
        """Return every sandbox that the hosts show and ``wanted`` takes, git's and imperative ones alike.

        ``warn`` is told of each host that did not answer in full.
        """
        return [Sandbox(self, handle) for handle in query.handles(self._context, wanted)]

    def get(self, name: str) -> Sandbox:
        """Return the sandbox of a name or id.

        Raises SandboxNotFound where there surely is none, and else as ``find`` does.
        """
        return Sandbox(self, query.handle_named(self._context, name))

    def find(self, name: str, sees: Callable[[JsonObject], bool] | None = None) -> Sandbox | None:
        """Return what ``get`` does, and None where there surely is none.

        Raises HostNotObserved where a host did not answer in full.

        One whose handle ``sees`` refuses is as one that is not there.
        """
        handle = query.handle_if_there(self._context, name, find_inputs=True, sees=sees)
        return Sandbox(self, handle) if handle else None

    def events(self, name: str, *, follow: bool = False) -> Generator[Event | None]:
        """Yield the life of a sandbox, as the journals on the hosts tell it: each event once, the oldest first.

        With ``follow`` it goes on until the life ends, and gives None about once a second where nothing is new, so that
        a caller can stop; closing the iterator ends the connections. The first step looks at the hosts, and raises
        UsageError where none has a journal. ``warn`` is told of a silent host.
        """
        return events.events(self._context, name, follow=follow)

    def wait(self, name: str, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0) -> Sandbox | None:
        """Wait until a sandbox is ready, or gone; return it, None where it is gone.

        Raises SandboxError after ``timeout`` seconds, and at once where it failed.
        """
        handle = query.wait(self._context, name, phase, timeout)
        return Sandbox(self, handle) if handle else None

    # --- what changes it

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
        """Make a sandbox and wait until it is ready; git neither knows nor ends it, its time to live does.

        Everything is as a Sandbox manifest has it: ``inputs`` are repo and ref, ``ttl`` is a duration, ``consumer`` is
        ``actor/project``, ``secret_refs`` are sources by name, ``hosts`` narrow the profile's placement. Without a
        ``name`` it gets one after its profile.

        Asked again with the same ``key`` of the same consumer, it gives the one that is there; KeyReused where other
        words are asked for with it, NameTaken where the name has another sandbox. ``by`` says who asks, else
        ``user@machine``. Without ``wait`` it is only put on record, in phase `requested`, and ``resume`` makes it.
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
        """Make an imperative sandbox that is only on record, or was cut off, to its end; a ready one stays as it is.

        Raises SandboxLocked where another client is at it.
        """
        return Sandbox(self, create.resume(self._context, name))

    def recreate(self, name: str) -> Sandbox:
        """Make a sandbox anew: the same id, the same inputs at a fresh commit. An expired one of git too."""
        return Sandbox(self, create.recreate(self._context, name))

    def extend_ttl(self, name: str, by: timedelta) -> Sandbox:
        """Put the end of a sandbox off by so much; return it as it is then.

        Raises UsageError beyond the profile's longest, and where it is in doubt which copy is meant. Where git has
        another end by now, and the next apply keeps to that, ``warn`` is told.
        """
        return Sandbox(self, destroy.extend_ttl(self._context, name, by))

    def destroy(self, name: str) -> bool:
        """Remove a sandbox and every copy of it; False where there was none, which is success too.

        One of git's comes back with the next apply, of which ``warn`` is told. Raises SandboxError where a host on
        which it may be did not answer.
        """
        return destroy.destroy(self._context, name)

    def unrecorded(self, identifier: str) -> Sequence[Unrecorded]:
        """Return what carries the labels of an ID that no record and no manifest claims, a value for each host.

        Raises UsageError for an ID that is claimed, HostNotObserved where a host did not answer in full.
        """
        return unrecorded.unrecorded(self._context, identifier)

    def destroy_unrecorded(self, identifier: str) -> Sequence[Unrecorded]:
        """Remove what ``unrecorded`` returns, and return it. Raises as it does, and SandboxError where it fails."""
        return unrecorded.destroy_unrecorded(self._context, identifier)

    def activity(self, name: str) -> Sandbox:
        """Mark a sandbox as in use: phase `active`, and a later end where its profile has ``ttl.clock: activity``.

        Raises UsageError where there is none, or it is not ready.
        """
        return Sandbox(self, maintenance.mark_active(self._context, name))

    # --- what is in it

    def logs(
        self,
        name: str,
        *,
        services: Sequence[str] = (),
        tail: int | None = None,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Logs:
        """Return what the containers of a sandbox printed, a line at a time: of these ``services``, all of them
        without any.

        ``tail`` is how many last lines of each container, None for all. With ``follow`` it goes on until no container
        runs any more; one that starts again is followed again. ``close`` ends it from any thread, on the host too.
        Raises UsageError for a sandbox or a service that is not there.
        """
        from sandboxer.client.connect.logs import logs

        return logs(self._context, name, services=services, tail=tail, follow=follow, timestamps=timestamps)

    def forward(
        self, name: str, port: str | int, *, local_port: int = 0, service: str | None = None, address: str = "127.0.0.1"
    ) -> Forward:
        """Return a port of this machine that leads into a sandbox until it is closed.

        ``local_port`` 0 takes a free one.

        ``port`` is a name of the profile's reachability, or a container's port; ``service`` is needed where several
        have it. ``warn`` is told of what goes wrong with a connection. Raises UsageError, HostUnreachable.
        """
        from sandboxer.client.connect.forward import PortRequest, forwards

        (forward,) = forwards(self._context, name, [PortRequest(str(port), local_port, service)], address, service)
        return forward

    def forward_all(
        self, name: str, ports: Sequence[PortRequest] = (), *, service: str | None = None, address: str = "127.0.0.1"
    ) -> Sequence[Forward]:
        """Return what ``forward`` does, of several ports over one connection.

        Without any, of all of the profile's reachability.
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

        With a ``terminal`` it has that on all three streams. ``on_stderr`` gets standard error from another thread.
        Raises UsageError, SandboxError where the service does not run.
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
        """Copy a file or folder out of a container; return where it lies now, whole, or nothing is changed.

        Into a ``target`` that is a folder it goes under its own name. ``progress`` is told the bytes so far. Raises
        UsageError, also for what leads out of the target, and SandboxError where the engine cannot do it.
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
        """Copy a file or folder into a container; return where it lies there. It belongs to root there.

        Into a ``path`` that is a folder it goes under its own name; a ``source`` that ends in ``/.`` means what is in
        it. ``progress`` is told the bytes so far. Raises UsageError, SandboxError.
        """
        from sandboxer.client.connect.copy import copy_to

        return copy_to(self._context, name, str(source), path, service, progress)

    # --- what whoever serves a fleet looks after

    def abandoned(self, busy: Collection[str] = ()) -> Sequence[Abandoned]:
        """Return the imperative sandboxes to go on with: nobody waits for them, and nobody is at them.

        None with a busy id.
        """
        return maintenance.abandoned(self._context, busy)

    def give_up(self, name: str, why: str) -> None:
        """Mark a sandbox that cannot be made as `failed`, told with ``why``; one that is ready, or gone, stays so."""
        maintenance.mark_failed(self._context, name, why)

    def reap(self) -> Sequence[Outcome]:
        """Delete what has expired, git's and others, as ``prune --expired-only`` does; return what came of each."""
        return maintenance.reap(self._context)

    def plan(self) -> JsonObject:
        """Return the plan of the fleet, as ``sandboxer plan -o json`` writes it. Reads only."""
        return query.plan(self._context)

    # --- how

    @property
    def _context(self) -> ClientContext:
        return ClientContext(self.root, self.lock_timeout, self.view, self.warn, self.around, remote=self.remote)
