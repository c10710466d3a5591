"""A host on this machine that has nothing but journals: the real scripts, no engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.hosts.journals import Backlog, Journals
from sandboxer.hosts.session import HostSession
from sandboxer.model.event import Event, events_of
from sandboxer.model.lifecycle import Phase
from tests.support.gitrepo import GitRepo
from tests.support.local_hosts import FLEET, ID, LocalHosts
from tests.support.planning import NOW, fleet_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ONE, TWO = "1" * 32, "2" * 32
RECORD = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "one").model_copy(update={"id": ID})
WHOLE = (Phase.REQUESTED, Phase.PROVISIONING, Phase.READY, Phase.DESTROYING, Phase.DESTROYED)


def life(uid: str, phases: int = len(WHOLE), *, identifier: str = ID, fleet: str = FLEET) -> list[Event]:
    """Return the first events of a life."""
    record = RECORD.model_copy(update={"uid": uid, "id": identifier, "fleet": fleet})
    return events_of(record, WHOLE[:phases], former=None, after=0, at=NOW, reason="r")


def document(kind: str, name: str, spec: str) -> str:
    """Return a manifest."""
    return f"apiVersion: sandboxer.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def lines(events: Iterable[Event]) -> str:
    """Return the events as lines of a journal."""
    return "".join(f"{event.to_line()}\n" for event in events)


@dataclass
class JournalHost:
    """A host of one fleet in a local folder; end it with ``close``."""

    session: LocalHosts
    journals: Journals

    @classmethod
    def create(cls, folder: Path) -> JournalHost:
        """Return an empty host."""
        session = LocalHosts(folder)
        return cls(session, Journals(FLEET, {"one": str(session.root("one"))}, session.transport))

    def fleet(self) -> GitRepo:
        """Return a fleet with this one host, committed in the folder `fleet`."""
        repo = GitRepo.create(self.session.folder / "fleet")
        repo.write("sandboxer.yaml", document("Fleet", FLEET, "{}"))
        root = json.dumps(str(self.session.root("one")))
        repo.write("manifests/one.yaml", document("Host", "one", f"{{connection: local, root: {root}}}"))
        repo.commit()
        return repo

    def close(self) -> None:
        """End what still runs."""
        self.session.close()

    @property
    def home(self) -> Path:
        """The fleet's folder."""
        return self.session.root("one") / FLEET

    def directory(self, identifier: str = ID) -> Path:
        """Return the directory of a sandbox."""
        return self.home / identifier

    def kept(self, identifier: str = ID) -> Path:
        """Return the kept journals of a destroyed sandbox."""
        return self.home / ".journals" / f"{identifier}.jsonl"

    def lives(self, uid: str, journal: str, *, identifier: str = ID, cursor: str = "") -> None:
        """Write the files of a living sandbox."""
        directory = self.directory(identifier)
        for folder in (self.session.root("one"), self.home, self.home / ".locks", directory):
            folder.mkdir(mode=0o700, exist_ok=True)
        (self.home / ".locks" / identifier).touch()
        record = RECORD.model_copy(update={"uid": uid, "id": identifier})
        (directory / "record.json").write_bytes(record.to_bytes())
        (directory / "journal.jsonl").write_text(journal)
        if cursor:
            (directory / "journal.acked").write_text(cursor)

    def left(self, journal: str, *, identifier: str = ID) -> None:
        """Write the kept journal of a destroyed sandbox."""
        self.kept(identifier).parent.mkdir(parents=True, exist_ok=True)
        self.kept(identifier).write_text(journal)

    def remove(self, uid: str, *events: Event, identifier: str = ID) -> None:
        """Remove the sandbox's directory, as a teardown does."""
        with HostSession(self.session.operation(id=identifier), "sandboxer.extensions.compose_ssh:verbs.sh") as session:
            session.must("not removed", "remove", "docker", uid, *(event.to_line() for event in events))

    def read(self) -> list[Backlog]:
        """Return the events that are not acknowledged yet."""
        return self.journals.read("one")

    def numbers(self) -> list[tuple[str, int, list[int]]]:
        """Return the same in short: the first digit of the life, the cursor, the events' numbers."""
        return [(one.uid[0], one.cursor, [event.number for event in one.events]) for one in self.read()]

    def acknowledge(self, *events: tuple[str, str, int]) -> None:
        """Note events as acknowledged."""
        self.journals.acknowledge("one", events)

    def files(self) -> list[str]:
        """Return all files except locks."""
        root = self.session.root("one")
        found = sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []
        return [path for path in found if ".locks" not in path]
