"""A sandbox's directory on its host: its content, its record (written behind a fence) and the delivered files."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete, ProvisionFailed, StaleChange
from sandboxer.extensions.compose_ssh.compose_tool import ComposeTool, kind_by_name, kind_by_version
from sandboxer.extensions.compose_ssh.engines import read_engine
from sandboxer.extensions.host_observation import file_sums
from sandboxer.extensions.sections import Sections
from sandboxer.model.event import events_of, gap_then, last_number
from sandboxer.model.identity import LABEL_FLEET
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import Record, RecordRefused, parse_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandboxer.extensions.base import Operation
    from sandboxer.extensions.compose_ssh.policy import Bind, SecretFile
    from sandboxer.extensions.host_session import HostSession, Reply
    from sandboxer.model.event import Event
    from sandboxer.model.hidden import Hidden
    from sandboxer.model.observed import Container, FileSums, Resource
    from sandboxer.model.protocols import InputTree

REMOVE_SECONDS = 300.0  # a tenant may have left millions of files
VERBS = (
    "compose_ssh/engine.sh",
    "files.sh",
    "compose_ssh/confine.sh",
    "compose_ssh/resolver.sh",
    "compose_ssh/verbs.sh",
)


@dataclass(frozen=True, slots=True)
class State:
    """What exists of one sandbox while its lock is held, so that nobody else changes it."""

    record: Record | None
    trees: frozenset[str]
    containers: tuple[Container, ...]
    resources: tuple[Resource, ...]


class SandboxDirectory:
    """The directory of one sandbox. Every write goes through the session, and so happens under the lock."""

    def __init__(self, operation: Operation, session: HostSession) -> None:
        self.operation = operation
        self.session = session
        self._written: bytes | None = None
        self._record: Record | None = None
        self._last_event = 0
        self._compose = ""

    @property
    def record(self) -> Record | None:
        """The record as it was last observed or written; None if there is none."""
        return self._record

    @property
    def path(self) -> str:
        """The directory's absolute path on the host."""
        return posixpath.join(self.operation.target.root, self.operation.fleet, self.operation.id)

    @property
    def workspace(self) -> str:
        """The directory of delivered files."""
        return posixpath.join(self.path, "workspace")

    @property
    def reading(self) -> str:
        """The directory in which Compose reads the compose files; it exists only during that step."""
        return posixpath.join(self.path, ".compose", "files")

    def tree_path(self, tree: InputTree) -> str:
        """Return the path of a delivered tree."""
        return posixpath.join(self.workspace, "tree", tree.digest)

    def observation(self, *, everything: bool = False, only_names: bool = False) -> State:
        """Return what exists now; networks and volumes too if ``everything`` is requested.

        Raise ObservationIncomplete if the engine, the record or one of the sandbox's containers cannot be read; with
        ``only_names``, for callers that need only to know which containers exist, a container may be unreadable. Raise
        StaleChange if the record is no longer the one that was observed or written here before.
        """
        operation, engine = self.operation, self.operation.target.engine
        reply = self.session.call("state", engine, "all" if everything else "containers")
        sections = Sections(reply.output + b"\n", self.session.nonce)
        broken = f"{operation.name} on {operation.target.host} cannot be read"
        if reply.code != 0 or not sections.complete:
            raise ObservationIncomplete(operation.target.host, f"{broken}: {reply.text[-300:]}")
        found = read_engine(engine, sections)
        if found is None or found.error:
            raise ObservationIncomplete(operation.target.host, f"{engine} on {operation.target.host} does not answer")
        containers = tuple(c for c in found.containers if c.labels.get(LABEL_FLEET) == operation.fleet)
        unreadable = next((c.unreadable for c in containers if c.unreadable), None)
        if unreadable and not only_names:
            raise ObservationIncomplete(
                operation.target.host,
                f"{broken}: {unreadable}",
                hint=f"remove the sandbox with `sandboxer destroy {operation.name}`",
            )
        data = sections.body("record") or b""
        try:
            record = parse_record(data, fleet=operation.fleet, identifier=operation.id) if data else None
        except RecordRefused as refused:
            raise ObservationIncomplete(operation.target.host, f"{broken}: {refused}") from refused
        if self._record is not None and data != self._written:
            # Under the lock only a manual change can do that, and what this client knows is no longer true.
            change = "removed" if not data else "changed"
            raise StaleChange(
                operation.name,
                f"the record of {operation.name} on {operation.target.host} was {change} during the operation",
                hint=f"do not edit {self.path}, and apply again: containers are found by their labels",
            )
        self._written, self._record = data or None, record
        journaled = last_number(sections.body("journal") or b"")
        self._last_event = max(journaled, record.last_event if record else 0)
        trees = frozenset((sections.body("trees") or b"").decode("utf-8", "replace").split())
        self._compose = (sections.body("compose") or b"").decode("utf-8", "replace").strip()
        return State(record, trees, containers, found.resources)

    def observe_as_planned(self, *, only_names: bool = False) -> State:
        """Return what exists, which must be what the plan was made from. Raise StaleChange if it is not."""
        state = self.observation(only_names=only_names)
        record = state.record
        seen = (record.generation, record.uid) if record else (0, self.operation.expected_uid)
        uids = {c.labels.get("dev.sandboxer.uid", "") for c in state.containers}
        expected = {self.operation.expected_uid, *self.operation.lives}
        if seen != (self.operation.expected_generation, self.operation.expected_uid) or uids - expected:
            raise StaleChange(
                self.operation.name,
                f"{self.operation.name} on {self.operation.target.host} changed after the plan",
                hint="plan again",
            )
        return state

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

    def deliver(self, tree: InputTree, paths: tuple[str, ...] | None) -> None:
        """Unpack the tree (or only ``paths`` of it) under its digest, whole or not at all."""
        data = self.operation.inputs.archive(tree, paths)
        self.session.must("the files cannot be delivered", "deliver", tree.digest, payload=data)

    def files(self) -> dict[str, FileSums] | None:
        """Return the sums of each delivered tree and each mounted directory, by path; None if the host cannot tell."""
        return self._sums(self.session.call("files"))

    def tidy(self, keep: Iterable[str]) -> dict[str, FileSums] | None:
        """Remove what was delivered and is not in ``keep``, and return the sums of what stays.

        The next apply tries again to remove what cannot be removed now.
        """
        return self._sums(self.session.call("tidy", self.operation.target.engine, *keep))

    @staticmethod
    def _sums(reply: Reply) -> dict[str, FileSums] | None:
        return file_sums(reply.output) if reply.code == 0 else None

    def discard(self, places: Iterable[str]) -> None:
        """Remove directories of the workspace, given by their paths in it."""
        self.session.must("the damaged files cannot be removed", "discard", *places)

    def bind(self, tree: InputTree, bind: Bind) -> bool:
        """Put a mounted file or directory under its content's name; return whether it was missing."""
        target = posixpath.relpath(bind.destination, self.workspace)
        access = (
            ["as", self.operation.target.engine, *bind.access.words]
            if bind.access
            else ["rw" if bind.writable else "ro"]
        )
        what = f"{bind.source or 'the workspace'} cannot be installed"
        return self.session.must(what, "bind", target, tree.digest, bind.source or ".", *access).text == "made"

    def put_secret_file(self, file: SecretFile) -> None:
        """Make a secret's file readable as services get it, in a separate copy where that is not for everybody."""
        origin, path = self.below(file.origin), self.below(file.path)
        what = f"{origin} cannot be installed"
        self.session.must(what, "secret_file", origin, path, self.operation.target.engine, *file.access.words)

    def below(self, path: str) -> str:
        """Return the path, relative to the sandbox's directory, of an absolute path in it."""
        return posixpath.relpath(path, self.path)

    def put(self, name: str, data: bytes, mode: str = "600") -> None:
        """Write a file of the directory, whole or not at all."""
        self.session.must(f"{name} cannot be written", "put", name, mode, payload=data)

    def read_secret(self, target: str) -> Hidden | None:
        """Return a secret that an earlier run delivered, for a run that has no value for it."""
        from sandboxer.model.hidden import Hidden

        reply = self.session.call("show", target)
        return Hidden(reply.output.decode("utf-8", "surrogateescape")) if reply.code == 0 else None

    def compose_tool(self) -> ComposeTool:
        """Return the Compose to use: the one that the Host or the runner names, else the one found on the host.

        One whose name does not say which of the two it is runs ``version`` for that. Raise ProvisionFailed if none is
        installed, or if that fails.
        """
        target = self.operation.target
        command = target.compose_command or self._compose
        hint = f"see `sandboxer doctor {target.host}`"
        if not command.split():
            missing = f"Compose is not installed on {target.host}: neither a plugin of Docker's nor docker-compose"
            raise ProvisionFailed(self.operation.name, missing, hint=hint)
        argv, kind = tuple(command.split()), kind_by_name(command)
        if kind is None:
            reply = self.session.call("engine", *argv, "version")
            if reply.code != 0:
                broken = f"`{command} version` fails on {target.host}: {reply.words}"
                raise ProvisionFailed(self.operation.name, broken, hint=hint)
            kind = kind_by_version(reply.text)
        return ComposeTool(kind, argv)
