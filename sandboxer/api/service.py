"""What the routes work with: the library, in threads; the queue of operations; and the visibility of sandboxes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sandboxer.api.errors import code_location, is_for_later, refused
from sandboxer.api.operations import HandedOver, Superseded
from sandboxer.errors import ManifestError, SandboxerError, UsageError
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import named
from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sandboxer.api.metrics import Metrics
    from sandboxer.api.operations import Job, Kind, Operations
    from sandboxer.api.streams import Streams
    from sandboxer.api.tokens import Grant
    from sandboxer.api.workers import Workers
    from sandboxer.client import Client
    from sandboxer.model.handle import Handle
    from sandboxer.model.run_events import Level

T = TypeVar("T")

UNMADE = frozenset({Phase.REQUESTED, Phase.PROVISIONING})
READY = frozenset({Phase.READY, Phase.ACTIVE})

_READY_SECONDS = 5.0


class Shared(Generic[T]):
    """One call shared by all callers that request it before it begins; it never began before their request."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._now: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return or raise what the shared call does."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._now))
        return await asyncio.shield(self._next)

    async def _after(self, former: asyncio.Task[T] | None) -> T:
        if former is not None:
            await asyncio.wait({former})
        self._now, self._next = self._next, None
        return await self._call()


@dataclass
class Service:
    """The parts of one server. ``connect`` returns a client that reports its warnings to the given function.

    ``check`` raises SandboxerError if the manifests are invalid. ``log`` is the server's own log.
    """

    root: Path
    connect: Callable[[Callable[[str], None]], Client]
    check: Callable[[], None]
    operations: Operations
    reads: Workers
    writes: Workers
    streams: Streams
    metrics: Metrics
    log: Callable[[Level, str], None]
    heartbeat: float
    behind_proxy: bool = False
    _swept: bool = field(default=False, init=False)
    _checked: float = field(default=0.0, init=False)
    _listing: Shared[tuple[list[Handle], bool]] = field(init=False)

    def __post_init__(self) -> None:
        """Let one observation serve all requests for the list."""
        self._listing = Shared(lambda: self.call(self.reads, self._list))

    def client(self, warn: Callable[[str], None] | None = None) -> Client:
        """Return a client; its warnings go to the log unless ``warn`` is given."""
        return self.connect(warn or (lambda words: self.log("warning", words)))

    # --- queries

    async def call(self, workers: Workers, call: Callable[[], T], *, usage: ProblemKind = ProblemKind.CONFLICT) -> T:
        """Return the result of a call of the library.

        Raise HttpProblem if it fails; ``usage`` is the kind of a call that is invalid at present.
        """
        try:
            return await workers.call(call)
        except SandboxerError as error:
            raise self.refused(error, usage) from None

    def refused(self, error: SandboxerError, usage: ProblemKind = ProblemKind.CONFLICT) -> HttpProblem:
        """Return the problem for an error of the library."""
        return refused(error, self.root, usage=usage)

    async def find(self, grant: Grant, name: str) -> Handle | None:
        """Return the handle of a sandbox; None if surely none is visible to the token, as for another consumer's."""
        found = await self.call(self.reads, lambda: self.client().find(name, grant.sees))
        return found.handle if found is not None else None

    async def there(self, grant: Grant, name: str) -> Handle:
        """Return the handle of a sandbox. Raise HttpProblem (404) if there is none."""
        handle = await self.find(grant, name)
        if handle is None:
            raise absent(name)
        return handle

    async def handles(self) -> tuple[list[Handle], bool]:
        """Return every sandbox on the hosts, and whether all hosts answered in full. Raise HttpProblem on errors."""
        return await self._listing.get()

    def _list(self) -> tuple[list[Handle], bool]:
        warnings: list[str] = []
        found = [sandbox.handle for sandbox in self.client(warnings.append).list()]
        for words in warnings:
            self.log("warning", words)
        return sorted(found, key=sort_key), not warnings

    def mark_swept(self) -> None:
        """Note that the hosts were observed once since this server began."""
        self._swept = True

    async def ready(self) -> None:
        """Raise HttpProblem if this server is not ready: invalid manifests, or hosts that were not observed yet."""
        if not self._swept or self.operations.closed:
            if self.operations.closed:
                raise HttpProblem(ProblemKind.SHUTTING_DOWN, "server is shutting down", headers={"Retry-After": "1"})
            detail = "the first observation is not complete"
            raise HttpProblem(ProblemKind.NOT_READY, detail, headers={"Retry-After": "1"})
        if time.monotonic() - self._checked > _READY_SECONDS:
            try:
                await self.reads.call(self.check)
            except SandboxerError:
                detail = "the fleet's manifests have errors: its owner can run `sandboxer validate`"
                raise HttpProblem(ProblemKind.FLEET_INVALID, detail, headers={"Retry-After": "5"}) from None
            self._checked = time.monotonic()

    # --- operations

    def begin(self, identifier: str, kind: Kind) -> Job:
        """Queue an operation on a sandbox; if the server is shutting down, hand it over at once."""
        acts: dict[Kind, Callable[[str], Any]] = {
            "make": self._make,
            "recreate": lambda one: self.client().recreate(one).handle,
            "destroy": lambda one: self.client().destroy(one),
        }
        return self.operations.submit(identifier, kind, lambda: acts[kind](identifier))

    async def outcome(self, job: Job, seconds: float) -> tuple[bool, Any]:
        """Return whether a job ended within this time, and its result. Raise HttpProblem if it failed.

        A create that waits for a host or a lock has not ended: it is retried later.
        """
        if not await job.over(seconds):
            return False, None
        error = job.future.exception()
        if error is None:
            return True, job.future.result()
        if isinstance(error, HandedOver) or (job.kind == "make" and is_for_later(error)):
            return False, None
        if isinstance(error, Superseded):
            raise HttpProblem(ProblemKind.CONFLICT, "the sandbox was destroyed before it was created")
        if isinstance(error, SandboxerError):
            raise self.refused(error)
        raise HttpProblem(ProblemKind.INTERNAL_ERROR, "internal server error; see the server's output")

    def ended(self, job: Job, seconds: float, error: BaseException | None) -> None:
        """Count a finished job, and log it."""
        outcome = "done" if error is None else "left" if is_for_later(error) else "failed"
        self.metrics.ended(job.kind, outcome, seconds)
        words = {"make": "created", "recreate": "recreated", "destroy": "destroyed"}[job.kind]
        if error is None:
            self.log("info", f"{named('sandbox', job.id)} was {words} in {seconds:.1f} s")
        else:
            self.log("warning", f"{named('sandbox', job.id)} was not {words}: {words_of(error)}")

    def _make(self, identifier: str) -> Handle:
        client = self.client()
        try:
            return client.resume(identifier).handle
        except Exception as error:
            if not is_for_later(error):
                self._give_up(client, identifier, error)
            raise

    def _give_up(self, client: Client, identifier: str, error: Exception) -> None:
        """Record an accepted create as failed: an accepted sandbox ends ready or failed, never `requested` for ever."""
        try:
            client.give_up(identifier, words_of(error))
        except SandboxerError as other:
            self.log(
                "warning", f"{named('sandbox', identifier)} could not be marked as failed, will retry: {other.message}"
            )


def sort_key(handle: Handle) -> tuple[str, str]:
    """Return the sort key of a sandbox in a list."""
    return handle.name, handle.id


def absent(name: str) -> HttpProblem:
    """Return the problem for a sandbox that does not exist or is not visible to the token."""
    return HttpProblem(ProblemKind.SANDBOX_NOT_FOUND, f"no {named('sandbox', name)}")


def must_be_imperative(handle: Handle) -> None:
    """Raise HttpProblem for a sandbox from git: its manifest decides what happens to it."""
    if handle.origin == "git":
        raise HttpProblem(ProblemKind.FROM_GIT, f"{named('sandbox', handle.name)} is from git: change its manifest")


def words_of(error: BaseException) -> str:
    """Return the error in one line."""
    if isinstance(error, ManifestError):
        found = [one.message for one in error.diagnostics if one.severity == "error"]
        return "; ".join(found[:3]) or error.message
    if isinstance(error, UsageError) and error.hint:
        return f"{error.message}: {error.hint}"
    return error.message if isinstance(error, SandboxerError) else code_location(error)
