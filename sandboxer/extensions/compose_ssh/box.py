"""A sandbox's folder on its host: what is in it, its record written and fenced, its files delivered."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import LookIncomplete, ProvisionFailed, StaleChange
from sandboxer.extensions.compose_ssh.engines import read_engine
from sandboxer.extensions.compose_ssh.sections import Sections
from sandboxer.model.record import Record, RecordRefused, parse_record

if TYPE_CHECKING:
    from sandboxer.extensions.base import Work
    from sandboxer.extensions.compose_ssh.policy import Bind
    from sandboxer.extensions.workbench import Workbench
    from sandboxer.model.hidden import Hidden
    from sandboxer.model.observed import Container, Resource
    from sandboxer.model.seams import InputTree

VERBS = ("compose_ssh/engine.sh", "compose_ssh/verbs.sh")


@dataclass(frozen=True, slots=True)
class State:
    """What is there of one sandbox while its lock is held: nobody else changes it now."""

    record: Record | None
    trees: frozenset[str]
    containers: tuple[Container, ...]
    resources: tuple[Resource, ...]


class Box:
    """The folder of one sandbox. Every write goes through the workbench, and so happens under the lock."""

    def __init__(self, work: Work, bench: Workbench) -> None:
        self.work = work
        self.bench = bench
        self._written: bytes | None = None
        self._compose = ""

    @property
    def path(self) -> str:
        """Its absolute path on the host."""
        return posixpath.join(self.work.place.root, self.work.fleet, self.work.id)

    @property
    def workspace(self) -> str:
        """The folder of what is delivered."""
        return posixpath.join(self.path, "workspace")

    def tree_path(self, tree: InputTree) -> str:
        """Where a delivered tree lies."""
        return posixpath.join(self.workspace, "tree", tree.digest)

    def look(self, *, everything: bool = False) -> State:
        """What is there now; networks and volumes too where ``everything`` is asked for.

        Raises LookIncomplete where the engine or the record cannot be read.
        """
        work, engine = self.work, self.work.place.engine
        reply = self.bench.call("state", engine, "all" if everything else "containers")
        sections = Sections(reply.output + b"\n", self.bench.nonce)
        broken = f"{work.name} on {work.place.host} cannot be read"
        if reply.code != 0 or not sections.complete:
            raise LookIncomplete(work.place.host, f"{broken}: {reply.text[-300:]}")
        found = read_engine(engine, sections)
        if found is None or found.error:
            raise LookIncomplete(work.place.host, f"{engine} on {work.place.host} does not answer")
        data = sections.body("record") or b""
        try:
            record = parse_record(data, fleet=work.fleet, identifier=work.id) if data else None
        except RecordRefused as refused:
            raise LookIncomplete(work.place.host, f"{broken}: {refused}") from refused
        self._written = data or None
        trees = frozenset((sections.body("trees") or b"").decode("utf-8", "replace").split())
        self._compose = (sections.body("compose") or b"").decode("utf-8", "replace").strip()
        return State(record, trees, found.containers, found.resources)

    def look_as_planned(self) -> State:
        """What is there, which must be what the plan was made on. Raises StaleChange where it is not."""
        state = self.look()
        record = state.record
        seen = (record.generation, record.uid) if record else (0, self.work.expected_uid)
        uids = {c.labels.get("dev.sandboxer.uid", "") for c in state.containers}
        if seen != (self.work.expected_generation, self.work.expected_uid) or uids - {self.work.expected_uid}:
            raise StaleChange(
                self.work.name,
                f"{self.work.name} on {self.work.place.host} is not as the plan saw it",
                hint="somebody else changed it meanwhile: plan again",
            )
        return state

    def begin(self, record: Record, *, adopt: bool = False) -> Record:
        """Makes the folder, with the record inside from its first moment; or ``adopt`` one that lost its record."""
        data = record.to_bytes()
        what = "the sandbox cannot be begun"
        self.bench.must(what, "begin", record.uid, "adopt" if adopt else "new", payload=data)
        self._written = data
        return record

    def rewrite(self, record: Record) -> Record:
        """Writes the next record in the place of the last one seen. Raises StaleChange where that is another now."""
        data = record.to_bytes()
        former = hashlib.sha256(self._written or b"").hexdigest()
        self.bench.must("its record cannot be written", "rewrite", former, payload=data)
        self._written = data
        return record

    def deliver(self, tree: InputTree, paths: tuple[str, ...] | None) -> None:
        """Unpacks the tree (or those ``paths`` of it) under its digest, whole or not at all."""
        data = self.work.inputs.archive(tree, paths)
        self.bench.must("its files cannot be delivered", "deliver", tree.digest, payload=data)

    def bind(self, tree: InputTree, bind: Bind) -> bool:
        """Puts a mounted file or folder under its content's name; tells whether it was not there."""
        place = posixpath.relpath(bind.destination, self.workspace)
        mode = "rw" if bind.writable else "ro"
        what = f"{bind.source or 'the workspace'} cannot be put in place"
        return self.bench.must(what, "bind", place, tree.digest, bind.source or ".", mode).text == "made"

    def put(self, name: str, data: bytes, mode: str = "600") -> None:
        """Writes a file of the folder, whole or not at all."""
        self.bench.must(f"{name} cannot be written", "put", name, mode, payload=data)

    def read_secret(self, place: str) -> Hidden | None:
        """A secret that an earlier run delivered, where this run has no value of its own."""
        from sandboxer.model.hidden import Hidden

        reply = self.bench.call("show", place)
        return Hidden(reply.output.decode("utf-8", "surrogateescape")) if reply.code == 0 else None

    def compose_command(self) -> str:
        """The Compose to use: the one that the Host or the runner names, else the one that is there."""
        if self.work.place.compose_command:
            return self.work.place.compose_command
        if not self._compose:
            raise ProvisionFailed(
                self.work.name,
                f"Compose is not installed on {self.work.place.host}: neither a plugin of Docker's nor docker-compose",
                hint=f"see `sandboxer doctor {self.work.place.host}`",
            )
        return self._compose
