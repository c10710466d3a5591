"""A sandbox's directory on its host, for every backend: its record, written behind a fence, and what is delivered.

A backend derives its own class from it, for what it keeps there beyond that. Its session needs the verbs of
``files.sh`` and ``delivery.sh``::

    class Folder(RecordedDirectory):
        def note(self, text): self.put("workspace/note.txt", text.encode())
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors import (
    CommandTimeout,
    HostUnreachable,
    ObservationIncomplete,
    OutputTooLarge,
    ProvisionFailed,
    SandboxerError,
    StaleChange,
)
from sandboxer.errors.cause import Cause
from sandboxer.extensions import failures, records
from sandboxer.hosts import last_error
from sandboxer.hosts.observation import file_sums
from sandboxer.model.event import events_of, gap_then, last_number
from sandboxer.model.hidden import Hidden
from sandboxer.model.lifecycle import Phase, may_follow
from sandboxer.model.record import RecordRefused, parse_record
from sandboxer.model.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sandboxer.extensions.base import Operation
    from sandboxer.hosts.session import HostSession, Reply
    from sandboxer.model.desired import SecretValue
    from sandboxer.model.event import Event
    from sandboxer.model.observed import Container, FileSums
    from sandboxer.model.protocols import InputTree, TreeEntry
    from sandboxer.model.record import Record

REMOVE_SECONDS = 300.0  # a tenant may have left millions of files


class RecordedDirectory:
    """The directory of one sandbox. Every write goes through the session, and so happens under the lock."""

    def __init__(self, operation: Operation, session: HostSession) -> None:
        self.operation = operation
        self.session = session
        self._written: bytes | None = None
        self._record: Record | None = None
        self._last_event = 0
        self._step = "record"
        self._secrets: list[Hidden] = []

    @property
    def record(self) -> Record | None:
        """The record as it was last observed or written; None if there is none."""
        return self._record

    @property
    def path(self) -> str:
        """The directory's absolute path on the host."""
        return posixpath.join(self.operation.target.root, self.operation.fleet, self.operation.id)

    def take(self, data: bytes, journal: bytes) -> Record | None:
        """Return the record as the host has it now, from its bytes and the end of its journal.

        Raise ObservationIncomplete if it cannot be read, and StaleChange if it is no longer the one that was observed
        or written here before.
        """
        operation, host = self.operation, self.operation.target.host
        try:
            record = parse_record(data, fleet=operation.fleet, identifier=operation.id) if data else None
        except RecordRefused as refused:
            raise ObservationIncomplete(host, f"{operation.name} on {host} cannot be read: {refused}") from refused
        if self._record is not None and data != self._written:
            # Under the lock only a manual change can do that, and what this client knows is no longer true.
            change = "removed" if not data else "changed"
            raise StaleChange(
                operation.name,
                f"the record of {operation.name} on {host} was {change} during the operation",
                hint=f"do not edit {self.path}, and apply again",
            )
        self._written, self._record = data or None, record
        self._last_event = max(last_number(journal), record.last_event if record else 0)
        return record

    def begin(self, record: Record, request: bytes) -> Record:
        """Create the directory, with the record and the first events in it from its first moment.

        ``request`` is what an imperative sandbox was requested with. Raise StaleChange if the host has meanwhile
        reached its capacity, or has another sandbox of this name.
        """
        started = (Phase.REQUESTED,) if self.operation.only_requested else (Phase.REQUESTED, Phase.PROVISIONING)
        events = self._events(record, started, former=None, after=0)
        # A sandbox of git's exists once, for its id is derived from it; a recreated one has its name already.
        name = record.name if request and not self.operation.expected_uid else ""
        return self._begin(record, "new", events, request, most=self.operation.target.capacity or 0, name=name)

    def adopt(self, record: Record, request: bytes) -> Record:
        """Write the record of a life that continues although its directory or record was lost."""
        at, reason = self.operation.clock(), self.operation.reason
        if self._last_event:
            events = self._events(record, (Phase.PROVISIONING,), former=Phase.PROVISIONING, after=self._last_event)
        else:
            events = gap_then(record, Phase.PROVISIONING, at=at, reason=reason)
        return self._begin(record, "adopt", events, request)

    def rewrite(self, record: Record, *through: Phase, containers: Sequence[Container] = ()) -> Record:
        """Write the next record in place of the last one observed, after the phases in ``through``, if any.

        ``containers`` are those that run now, for the receiver of the events. Raise StaleChange if the record on the
        host is another one.
        """
        former = self._record.phase if self._record else None
        events = self._events(record, through, former=former, after=self._last_event)
        digest = hashlib.sha256(self._written or b"").hexdigest()
        what = "the record cannot be written"
        return self._write(record, events, what, "rewrite", digest, containers=containers)

    def remove(self, record: Record) -> None:
        """Remove the directory, which ends the life, and report the last event; with a State Hub the host keeps it."""
        (last,) = self._events(record, (Phase.DESTROYED,), former=Phase.DESTROYING, after=self._last_event)
        kept = (last.to_line(),) if self.operation.keeps_journal else ()
        self.session.must(
            "the directory cannot be removed", "remove", record.engine, record.uid, *kept, timeout=REMOVE_SECONDS
        )
        self._written = self._record = None
        self.operation.on_event(last, record, ())

    def claim(self) -> str:
        """Return the path of a record, of any fleet below this root, that claims one of the lives; else nothing."""
        return self.session.must("the root cannot be searched for records", "claim", *self.operation.lives).text

    def remove_unrecorded(self) -> None:
        """Remove the directory of a sandbox without a record. Raise StaleChange if there is one, or ProvisionFailed."""
        engine, life = self.operation.target.engine, self.operation.lives[0]
        self.session.must("the directory cannot be removed", "remove_unrecorded", engine, life)

    def begin_removal(self, record: Record, *, expired: bool = False, again: bool = False, **update: Any) -> Record:
        """Write that the sandbox is being removed, and ``update`` of its record, before anything of it goes.

        With ``again`` it is to be recreated, which the record of an imperative one says: nothing else would.
        """
        requested = record.requested.model_copy(update={"again": again}) if record.requested else None
        known = records.again(record.model_copy(update={**update, "requested": requested}))
        if record.phase is not Phase.DESTROYING:
            through = (Phase.EXPIRED,) if expired and record.phase is not Phase.EXPIRED else ()
            return self.rewrite(known, *through, Phase.DESTROYING)
        return self.rewrite(known) if requested != record.requested else record

    def put_tombstone(self, spec_digest: str) -> None:
        """Write that a sandbox with a document of this digest has expired, so that it does not come back by itself."""
        content = json.dumps({"spec_digest": spec_digest, "at": self.operation.clock().isoformat()}).encode()
        self.session.must("the tombstone cannot be written", "tombstone", payload=content)

    def begin_step(self, step: str, words: str = "") -> None:
        """Begin a step of the operation, which an error within it names; report it in ``words``, if there are any."""
        self._step = step
        if words:
            self.operation.progress(words)

    def cause_of(self, error: SandboxerError) -> Cause:
        """Return why an operation failed; a backend that knows the words of its tools extends this."""
        return failures.cause_of(error)

    def hint_of(self, code: str) -> str:
        """Return what to do about a failure whose error does not say; a backend with codes of its own extends this."""
        return failures.hint_of(code)

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Record an error within, and the phase `failed`, where work was begun and the host still answers.

        The whole text is put beside the record first: a record never names a failure whose text is still to come.
        """
        try:
            yield
        except (HostUnreachable, CommandTimeout, OutputTooLarge, StaleChange):
            raise  # the session is over and nothing more can be written; or nothing failed, and it is planned again
        except SandboxerError as error:
            begun = self._record
            if begun is not None and (begun.attempt is not None or begun.phase is Phase.DESTROYING):
                self._note(begun, error)
            raise

    def _note(self, begun: Record, error: SandboxerError) -> None:
        cause = self.cause_of(error)
        message, hint = self._hidden(error.message), self._hidden(error.hint) or self.hint_of(cause.code)
        cause = replace(cause, message=self._hidden(cause.message) or message, text=self._hidden(cause.text) or message)
        failure = failures.failure_of(cause, hint, at=self.operation.clock(), step=self._step)
        if self.session.call("show", "record.json").code != 0:
            return  # a removal that failed at its very end: to write here would make the directory again
        with suppress(SandboxerError):  # without its text, the record still has the cause
            self.put(last_error.FILE, failures.text_of(cause.text, failure))
        record = records.again(begun).model_copy(update={"error": failure})
        through = (Phase.FAILED,) if may_follow(begun.phase, Phase.FAILED) else ()
        with suppress(SandboxerError):  # the error being raised matters more
            self.rewrite(record, *through)

    def _hidden(self, text: str) -> str:
        """Return the text without the secrets that the run knows, nor those that only the host knew."""
        return Redactor([secret.reveal() for secret in self._secrets]).redact(self.operation.hide(text))

    def _begin(
        self, record: Record, mode: str, events: list[Event], request: bytes, *, most: int = 0, name: str = ""
    ) -> Record:
        arguments = (record.uid, mode, str(most), str(len(request)), name)
        return self._write(record, events, "the sandbox cannot be created", "begin", *arguments, behind=request)

    def _events(self, record: Record, through: tuple[Phase, ...], *, former: Phase | None, after: int) -> list[Event]:
        at, reason = self.operation.clock(), self.operation.reason
        return events_of(record, through, former=former, after=after, at=at, reason=reason)

    def _write(
        self,
        record: Record,
        events: list[Event],
        what: str,
        verb: str,
        *arguments: str,
        behind: bytes = b"",
        containers: Sequence[Container] = (),
    ) -> Record:
        """Write a record and the events that led to it in one request, so that on the host they change together.

        ``behind`` is what follows the record in the payload.
        """
        if events:
            record = record.model_copy(update={"phase": events[-1].phase, "last_event": events[-1].number})
        data = record.to_bytes()
        self.session.must(what, verb, *arguments, *(event.to_line() for event in events), payload=data + behind)
        self._written, self._record, self._last_event = data, record, max(self._last_event, record.last_event)
        for event in events:
            self.operation.on_event(event, record, containers)
        return record

    def put(self, name: str, data: bytes, mode: str = "600") -> None:
        """Write a file of the directory, whole or not at all."""
        self.session.must(f"{name} cannot be written", "put", name, mode, payload=data)

    def deliver(self, tree: InputTree, paths: tuple[str, ...] | None) -> None:
        """Unpack the tree (or only ``paths`` of it) under its digest, whole or not at all."""
        data = self.operation.inputs.archive(tree, paths)
        self.session.must("the files cannot be delivered", "deliver", tree.digest, payload=data)

    def files(self) -> dict[str, FileSums] | None:
        """Return the sums of each delivered tree and mounted directory, by path; None if they cannot be read."""
        return self._sums(self.session.call("files"))

    def tidy(self, keep: Iterable[str]) -> dict[str, FileSums] | None:
        """Remove what was delivered and is not in ``keep``, and return the sums of what stays.

        The next apply tries again to remove what cannot be removed now.
        """
        return self._sums(self.session.call("tidy", self.operation.target.engine, *keep))

    @staticmethod
    def _sums(reply: Reply) -> dict[str, FileSums] | None:
        return file_sums(reply.output) if reply.code == 0 else None

    def put_secret(self, secret: SecretValue, version: str) -> tuple[str, Hidden]:
        """Deliver a secret; return its file's path in the directory, and its value.

        A run that has no value for it gets the one that an earlier run delivered. Raise ProvisionFailed without either.
        """
        target = f"secrets/{secret.name}.{version}"
        if secret.value is not None:
            self._secrets.append(secret.value)
            self.put(target, secret.value.reveal().encode("utf-8", "surrogateescape"))
            return target, secret.value
        reply = self.session.call("show", target)
        if reply.code != 0:
            raise ProvisionFailed(
                self.operation.name,
                f"the secret {secret.name} (from {secret.source}) is available neither on this machine nor on the host",
                hint=f"set the secret in `{secret.source}`",
                cause=Cause("secret-missing", f"the secret {secret.name} (from {secret.source}) has no value"),
            )
        kept = Hidden(reply.output.decode("utf-8", "surrogateescape"))
        self._secrets.append(kept)
        return target, kept


def is_whole(found: FileSums, entries: Iterable[TreeEntry]) -> bool:
    """Return whether a directory with these sums has the entries and no other file, by number and times."""
    times = [entry.seconds for entry in entries if entry.target is None]
    return (found.files, found.seconds) == (len(times), sum(times))
