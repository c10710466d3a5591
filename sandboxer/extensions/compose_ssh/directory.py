"""A sandbox's folder on its host: what is in it, its record written and fenced, its files delivered."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete, ProvisionFailed, StaleChange
from sandboxer.extensions.compose_ssh.engines import read_engine
from sandboxer.extensions.compose_ssh.observe import file_sums
from sandboxer.extensions.compose_ssh.sections import Sections
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
    "compose_ssh/files.sh",
    "compose_ssh/confine.sh",
    "compose_ssh/resolver.sh",
    "compose_ssh/verbs.sh",
)


@dataclass(frozen=True, slots=True)
class State:
    """What is there of one sandbox while its lock is held: nobody else changes it now."""

    record: Record | None
    trees: frozenset[str]
    containers: tuple[Container, ...]
    resources: tuple[Resource, ...]


class SandboxDirectory:
    """The folder of one sandbox. Every write goes through the workbench, and so happens under the lock."""

    def __init__(self, operation: Operation, session: HostSession) -> None:
        self.operation = operation
        self.session = session
        self._written: bytes | None = None
        self._record: Record | None = None
        self._last_event = 0
        self._compose = ""

    @property
    def record(self) -> Record | None:
        """The record as it was last seen or written; None where there is none."""
        return self._record

    @property
    def path(self) -> str:
        """Its absolute path on the host."""
        return posixpath.join(self.operation.target.root, self.operation.fleet, self.operation.id)

    @property
    def workspace(self) -> str:
        """The folder of what is delivered."""
        return posixpath.join(self.path, "workspace")

    @property
    def reading(self) -> str:
        """The folder in which Compose reads the compose files; it is there only meanwhile."""
        return posixpath.join(self.path, ".compose", "files")

    def tree_path(self, tree: InputTree) -> str:
        """Return where a delivered tree lies."""
        return posixpath.join(self.workspace, "tree", tree.digest)

    def observation(self, *, everything: bool = False, only_names: bool = False) -> State:
        """Return what is there now; networks and volumes too where ``everything`` is asked for.

        Raises ObservationIncomplete where the engine or the record cannot be read, or a container of its:
        ``only_names`` is for who needs no more of containers than which there are. Raises StaleChange where the record
        is no longer what was seen or written here before.
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
                operation.target.host, f"{broken}: {unreadable}", hint=f"`destroy {operation.name}` removes it"
            )
        data = sections.body("record") or b""
        try:
            record = parse_record(data, fleet=operation.fleet, identifier=operation.id) if data else None
        except RecordRefused as refused:
            raise ObservationIncomplete(operation.target.host, f"{broken}: {refused}") from refused
        if self._record is not None and data != self._written:
            # Under the lock only somebody's hands can do that, and what this client knows is no longer true.
            how = "removed" if not data else "changed"
            raise StaleChange(
                operation.name,
                f"the record of {operation.name} on {operation.target.host} was {how} while it was worked on",
                hint=f"leave {self.path} to Sandboxer, and apply again: its containers are found by their labels",
            )
        self._written, self._record = data or None, record
        told = last_number(sections.body("journal") or b"")
        self._last_event = max(told, record.last_event if record else 0)
        trees = frozenset((sections.body("trees") or b"").decode("utf-8", "replace").split())
        self._compose = (sections.body("compose") or b"").decode("utf-8", "replace").strip()
        return State(record, trees, containers, found.resources)

    def observe_as_planned(self, *, only_names: bool = False) -> State:
        """Return what is there, which must be what the plan was made on. Raises StaleChange where it is not."""
        state = self.observation(only_names=only_names)
        record = state.record
        seen = (record.generation, record.uid) if record else (0, self.operation.expected_uid)
        uids = {c.labels.get("dev.sandboxer.uid", "") for c in state.containers}
        expected = {self.operation.expected_uid, *self.operation.lives}
        if seen != (self.operation.expected_generation, self.operation.expected_uid) or uids - expected:
            raise StaleChange(
                self.operation.name,
                f"{self.operation.name} on {self.operation.target.host} is not as the plan saw it",
                hint="somebody else changed it meanwhile: plan again",
            )
        return state

    def begin(self, record: Record, request: bytes) -> Record:
        """Make the folder, with the record and the first events inside from its first moment.

        ``request`` is what an imperative one was asked for with. Raises StaleChange where the host has no room for it,
        or another one of its name, by now.
        """
        started = (Phase.REQUESTED,) if self.operation.only_requested else (Phase.REQUESTED, Phase.PROVISIONING)
        events = self._events(record, started, former=None, after=0)
        # Of git's there is none twice, for its id is made of it; and what is made anew has it already.
        name = record.name if request and not self.operation.expected_uid else ""
        return self._begin(record, "new", events, request, most=self.operation.target.capacity or 0, name=name)

    def adopt(self, record: Record, request: bytes) -> Record:
        """Return a life that goes on its record back, where folder or record were lost."""
        at, reason = self.operation.clock(), self.operation.reason
        if self._last_event:
            events = self._events(record, (Phase.PROVISIONING,), former=Phase.PROVISIONING, after=self._last_event)
        else:
            events = gap_then(record, Phase.PROVISIONING, at=at, reason=reason)
        return self._begin(record, "adopt", events, request)

    def rewrite(self, record: Record, *through: Phase, containers: Sequence[Container] = ()) -> Record:
        """Write the next record in the place of the last one seen, having gone ``through`` these phases if any.

        ``containers`` are those that run by now, for whoever is told.
        Raises StaleChange where the record on the host is another now.
        """
        former = self._record.phase if self._record else None
        events = self._events(record, through, former=former, after=self._last_event)
        digest = hashlib.sha256(self._written or b"").hexdigest()
        what = "its record cannot be written"
        return self._write(record, events, what, "rewrite", digest, containers=containers)

    def remove(self, record: Record) -> None:
        """Remove the folder, which ends the life; State Hub is told where there is one to be told."""
        (last,) = self._events(record, (Phase.DESTROYED,), former=Phase.DESTROYING, after=self._last_event)
        kept = (last.to_line(),) if self.operation.keeps_journal else ()
        self.session.must(
            "its directory cannot be removed", "remove", record.engine, record.uid, *kept, timeout=REMOVE_SECONDS
        )
        self._written = self._record = None
        self.operation.told(last, record, ())

    def claim(self) -> str:
        """Return the place of a record of any fleet below this root that claims one of the lives, else nothing."""
        return self.session.must("its root cannot be searched for records", "claim", *self.operation.lives).text

    def remove_unrecorded(self) -> None:
        """Remove the folder of a sandbox that has no record. Raises ProvisionFailed, also where there is one."""
        engine, life = self.operation.target.engine, self.operation.lives[0]
        self.session.must("its directory cannot be removed", "remove_unrecorded", engine, life)

    def _begin(
        self, record: Record, how: str, events: list[Event], request: bytes, *, most: int = 0, name: str = ""
    ) -> Record:
        arguments = (record.uid, how, str(most), str(len(request)), name)
        return self._write(record, events, "the sandbox cannot be begun", "begin", *arguments, behind=request)

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
        """Return a record and the events that led to it, in one request: on the host they change together.

        ``behind`` the record in the payload may be more.
        """
        if events:
            record = record.model_copy(update={"phase": events[-1].phase, "last_event": events[-1].number})
        data = record.to_bytes()
        self.session.must(what, verb, *arguments, *(event.to_line() for event in events), payload=data + behind)
        self._written, self._record, self._last_event = data, record, max(self._last_event, record.last_event)
        for event in events:
            self.operation.told(event, record, containers)
        return record

    def deliver(self, tree: InputTree, paths: tuple[str, ...] | None) -> None:
        """Unpack the tree (or those ``paths`` of it) under its digest, whole or not at all."""
        data = self.operation.inputs.archive(tree, paths)
        self.session.must("its files cannot be delivered", "deliver", tree.digest, payload=data)

    def files(self) -> dict[str, FileSums] | None:
        """Return the sums of each delivered tree and each mounted folder, by its place.

        None where the host cannot tell.
        """
        return self._sums(self.session.call("files"))

    def tidy(self, keep: Iterable[str]) -> dict[str, FileSums] | None:
        """Remove what is delivered and none of ``keep``, and return the sums of what stays.

        What cannot be removed now is tried again by the next apply.
        """
        return self._sums(self.session.call("tidy", self.operation.target.engine, *keep))

    @staticmethod
    def _sums(reply: Reply) -> dict[str, FileSums] | None:
        return file_sums(reply.output) if reply.code == 0 else None

    def discard(self, places: Iterable[str]) -> None:
        """Remove folders of the workspace, by their place in it."""
        self.session.must("its damaged files cannot be removed", "discard", *places)

    def bind(self, tree: InputTree, bind: Bind) -> bool:
        """Put a mounted file or folder under its content's name; report whether it was not there."""
        target = posixpath.relpath(bind.destination, self.workspace)
        how = (
            ["as", self.operation.target.engine, *bind.access.words]
            if bind.access
            else ["rw" if bind.writable else "ro"]
        )
        what = f"{bind.source or 'the workspace'} cannot be put in place"
        return self.session.must(what, "bind", target, tree.digest, bind.source or ".", *how).text == "made"

    def put_secret_file(self, file: SecretFile) -> None:
        """Make a secret's file readable as services get it, in a copy of its own where that is not for all."""
        origin, path = self.below(file.origin), self.below(file.path)
        what = f"{origin} cannot be put in place"
        self.session.must(what, "secret_file", origin, path, self.operation.target.engine, *file.access.words)

    def below(self, path: str) -> str:
        """Return the place in the sandbox's folder of an absolute path of it."""
        return posixpath.relpath(path, self.path)

    def put(self, name: str, data: bytes, mode: str = "600") -> None:
        """Write a file of the folder, whole or not at all."""
        self.session.must(f"{name} cannot be written", "put", name, mode, payload=data)

    def read_secret(self, target: str) -> Hidden | None:
        """Return a secret that an earlier run delivered, where this run has no value of its own."""
        from sandboxer.model.hidden import Hidden

        reply = self.session.call("show", target)
        return Hidden(reply.output.decode("utf-8", "surrogateescape")) if reply.code == 0 else None

    def compose_command(self) -> str:
        """Return the Compose to use: the one that the Host or the runner names, else the one that is there."""
        if self.operation.target.compose_command:
            return self.operation.target.compose_command
        if not self._compose:
            raise ProvisionFailed(
                self.operation.name,
                f"Compose is not installed on {self.operation.target.host}: "
                "neither a plugin of Docker's nor docker-compose",
                hint=f"see `sandboxer doctor {self.operation.target.host}`",
            )
        return self._compose
