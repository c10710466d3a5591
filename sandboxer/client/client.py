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
    """A client for the sandboxes of one fleet.

    Every call reads the manifests, observes the hosts again and keeps nothing. A client is synchronous, and may be used
    from several threads. ``name`` is always a sandbox's name or its ID.

    Args:
        root: The directory of the fleet's ``sandboxer.yaml``.
        lock_timeout: How many seconds to wait for another client that changes the same sandbox.
        warn: Receives a sentence for each problem that does not fail a call, such as a host that did not answer.
        on_event: Receives the events of `sandboxer.model.run_events`, such as a change's steps; from several threads.
        run_id: The run ID of all calls in reports to State Hub; by default, each call gets a new one.
        remote: For servers that act for others: inputs must be within the Fleet's ``api.repoRoots``, or its own.

    Raises:
        ManifestError: The fleet's manifests have errors.
        SourceError: A repository or a revision cannot be read.
        ExtensionError: The fleet needs an extension that is not installed.
        UsageError: The request is invalid.
        SandboxError: A sandbox could not be changed as requested.
        HostError: A host could not be reached, or a command on it failed.

    Example::

        from sandboxer import Client

        client = Client("fleet")
        for sandbox in client.list():
            print(sandbox.name, sandbox.phase, sandbox.handle.expires_at)
    """

    root: Path | str = "."
    lock_timeout: float = 60.0
    warn: Callable[[str], None] = lambda _words: None
    on_event: Sink = ignore
    run_id: str = ""
    remote: bool = False

    # --- query

    def list(self, filter: query.SandboxFilter | None = None) -> list[Sandbox]:  # noqa: A002
        """Return the observed sandboxes, from git and imperative ones; ``filter`` selects some of them."""
        return [Sandbox(self, handle) for handle in query.handles(self._context, filter)]

    def get(self, name: str) -> Sandbox:
        """Return one sandbox.

        Raises:
            SandboxNotFound: The sandbox certainly does not exist.
            HostNotObserved: The sandbox may be on a host that did not answer in full.
        """
        return Sandbox(self, *query.handle_with_error(self._context, name))

    def find(self, name: str, sees: Callable[[Handle], bool] | None = None) -> Sandbox | None:
        """Return one sandbox, and None if it certainly does not exist.

        Args:
            sees: Returns whether the caller may see the sandbox of a handle; if not, the sandbox counts as absent.

        Raises:
            HostNotObserved: The sandbox may be on a host that did not answer in full.
        """
        handle = query.handle_if_there(self._context, name, find_inputs=True, sees=sees)
        return Sandbox(self, handle) if handle else None

    def events(self, name: str, *, follow: bool = False) -> Generator[Event | None]:
        """Yield the events of a sandbox from the journals on the hosts: each event once, oldest first.

        The first step observes the hosts. Closing the iterator ends the connections.

        Args:
            follow: Continue until the life ends; about once a second without a new event, yield None, so that the
                caller can stop.

        Raises:
            UsageError: No host has a journal of the sandbox.
        """
        return events.events(self._context, name, follow=follow)

    def wait(self, name: str, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0) -> Sandbox | None:
        """Wait until a sandbox is ready or destroyed; return it, or None if it is destroyed.

        Args:
            phase: The phase to wait for.
            timeout: The longest wait, in seconds.

        Raises:
            SandboxError: The sandbox failed, or the timeout passed.
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
        """Create an imperative sandbox, and wait until it is ready. It is deleted when its time to live is over.

        Args:
            profile: The name of its Profile.
            name: The name of the sandbox; by default generated from the profile's.
            inputs: The repository of its files: ``repo``, and optionally ``ref``, as in a manifest.
            ttl: The time to live, such as ``30m`` or ``8h``; by default the profile's.
            consumer: The consumer as ``actor/project``, such as ``atm/checks``.
            labels: The labels.
            env: The plain environment variables.
            secret_refs: The secrets: for each name where its value is, as ``env:NAME`` or ``file:PATH``.
            hosts: The hosts to choose from; by default all that the profile's placement allows.
            key: An idempotency key: a second call with the key of the same consumer returns the existing sandbox.
            by: The requester; by default ``user@machine``.
            wait: If false, return once the request is on its host, in phase ``requested``; ``resume`` then finishes it.

        Raises:
            NameTaken: Another sandbox has that name.
            KeyReused: The key belongs to a different request.
            ProvisionFailed: The engine could not create the sandbox; the message has the engine's output.
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
        """Finish creating a requested or interrupted imperative sandbox; a ready one is left unchanged.

        Raises:
            SandboxLocked: Another client holds the lock of the sandbox.
        """
        return Sandbox(self, create.resume(self._context, name))

    def recreate(self, name: str) -> Sandbox:
        """Recreate a sandbox with the same ID, from the latest commit of its inputs. Its volumes are deleted.

        A sandbox from git is recreated from its manifest, also after its expiry.
        """
        return Sandbox(self, create.recreate(self._context, name))

    def extend_ttl(self, name: str, by: timedelta) -> Sandbox:
        """Move the expiry of a sandbox to a later time, and return its new state.

        ``warn`` receives a message if git now has another expiry, which the next apply restores.

        Args:
            by: The duration to add to the expiry.

        Raises:
            UsageError: The profile does not allow such a late expiry, or the sandbox has several copies.
        """
        return Sandbox(self, destroy.extend_ttl(self._context, name, by))

    def destroy(self, name: str) -> bool:
        """Remove a sandbox and every copy of it; return False if there was none, which is success too.

        The next apply creates a sandbox from git again; ``warn`` receives a message about that.

        Raises:
            SandboxError: The sandbox could not be removed, or a host that may have it did not answer.
        """
        return destroy.destroy(self._context, name)

    def unrecorded(self, identifier: str) -> Sequence[Unrecorded]:
        """Return the resources labelled with an ID that no record and no manifest claims, one value per host.

        Raises:
            UsageError: The ID is claimed.
            HostNotObserved: A host did not answer in full.
        """
        return unrecorded.unrecorded(self._context, identifier)

    def destroy_unrecorded(self, identifier: str, shown: Sequence[Unrecorded]) -> Sequence[Unrecorded]:
        """Remove what ``unrecorded`` returned, and return what was removed. Raise what that raises.

        Args:
            shown: What may be removed: the result of ``unrecorded`` that was approved. Part of it may be gone by then.

        Raises:
            SandboxError: It could not be removed; StaleChange if there is more than that, and nothing was removed.
        """
        return unrecorded.destroy_unrecorded(self._context, identifier, shown)

    def activity(self, name: str) -> Sandbox:
        """Mark a sandbox as in use: phase ``active``, and a later expiry if its profile has ``ttl.clock: activity``.

        Raises:
            UsageError: The sandbox does not exist, or is not ready.
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
        """Return the output of a sandbox's containers by line.

        Args:
            services: The services to include; by default all.
            tail: The number of last lines of each container; None for all.
            follow: Continue until no container runs any more; one that restarts is followed again.
            timestamps: Prefix each line with its time.

        Raises:
            UsageError: The sandbox does not exist, or has no such service.
        """
        from sandboxer.client.connect.logs import logs

        return logs(self._context, name, services=services, tail=tail, follow=follow, timestamps=timestamps)

    def forward(
        self, name: str, port: str | int, *, local_port: int = 0, service: str | None = None, address: str = "127.0.0.1"
    ) -> Forward:
        """Return a local port that is forwarded to a sandbox until it is closed. ``warn`` receives connection errors.

        Args:
            port: A port name of the profile's reachability, or a container port.
            local_port: The local port; 0 picks a free one.
            service: The service of the port; needed if several have it.
            address: The local address to listen on.

        Raises:
            UsageError: The port does not exist, or the local port is taken.
        """
        from sandboxer.client.connect.forward import PortRequest, forwards

        (forward,) = forwards(self._context, name, [PortRequest(str(port), local_port, service)], address, service)
        return forward

    def forward_all(
        self, name: str, ports: Sequence[PortRequest] = (), *, service: str | None = None, address: str = "127.0.0.1"
    ) -> Sequence[Forward]:
        """Forward several ports over one connection, as ``forward`` does.

        Args:
            ports: The ports; by default, all of the profile's reachability.
            service: The service of ports that do not specify one.
            address: The local address to listen on.
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
        """Start a command in a sandbox, on a connection of its own.

        Args:
            service: Run it in a container of this service; without one, in the workspace on the host.
            command: The command; without one, a shell.
            terminal: A terminal for the command, which then carries all three streams.
            on_stderr: Receives standard error, in another thread.

        Raises:
            UsageError: The sandbox or the service does not exist.
            SandboxError: The service does not run.
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
        """Copy a file or directory out of a container; return its new path. If the copy fails, nothing changes.

        Args:
            path: The path to copy, in the container.
            target: The destination; a directory receives the copy under its own name.
            service: The service of the container; needed if there are several.
            progress: Receives the number of bytes so far.

        Raises:
            UsageError: The path does not exist, or an entry in it points outside the target.
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
        """Copy a file or directory into a container, owned by root; return its path there.

        Args:
            source: The path to copy; ``DIRECTORY/.`` means the content of the directory.
            path: The destination; a directory receives the copy under its own name.
            service: The service of the container; needed if there are several.
            progress: Receives the number of bytes so far.
        """
        from sandboxer.client.connect.copy import copy_to

        return copy_to(self._context, name, str(source), path, service, progress)

    # --- maintenance, for servers of a fleet

    def abandoned(self, busy: Collection[str] = ()) -> Sequence[Abandoned]:
        """Return the imperative sandboxes to resume, without ``busy`` IDs: no client waits for them or locks them."""
        return maintenance.abandoned(self._context, busy)

    def give_up(self, name: str, why: str) -> None:
        """Mark a sandbox that cannot be created as ``failed``, with the reason ``why``; leave a ready one unchanged."""
        maintenance.mark_failed(self._context, name, why)

    def reap(self) -> Sequence[Outcome]:
        """Delete expired sandboxes like ``prune --expired-only``, imperative ones too; return the outcome of each."""
        return maintenance.reap(self._context)

    def plan(self, *, diff: bool = False) -> JsonObject:
        """Return the plan as ``sandboxer plan -o json`` has it; ``diff`` adds the text of changed files. Read-only."""
        return query.plan(self._context, diff=diff)

    @property
    def _context(self) -> ClientContext:
        return ClientContext(self.root, self.lock_timeout, self.warn, self.on_event, self.run_id, remote=self.remote)
