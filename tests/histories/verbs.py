"""The host's side of a session, as values: the verbs of ``session.sh`` and ``verbs.sh``, and ``clean_up.sh``.

A verb is a generator. Where it yields, the client may be gone, and the host gets no further than this.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.extensions.compose_ssh.labels import COMPOSE_PROJECT, COMPOSE_SERVICE, service_fields
from sandboxer.model.identity import Ownership
from sandboxer.model.observed import Container, Head, Resource, Tombstone
from tests.histories.host import ONE_FILE, Folder, Key, SimulatedHost

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sandboxer.extensions.base import Operation

    Doing = Generator[None, None, tuple[int, str] | None]

STALE = 74


class Verbs:
    """The verbs of one session."""

    def __init__(self, host: SimulatedHost, operation: Operation) -> None:
        self.host = host
        self.operation = operation
        self.key = (operation.fleet, operation.id)

    @property
    def folder(self) -> Folder:
        """The sandbox's directory, which exists."""
        return self.host.folders[self.key]

    # --- its directory

    def begin(self, uid: str, mode: str, most: str, behind: str, name: str, *events: str, payload: bytes) -> Doing:
        self.host.watch(mode, self.host, self.operation)
        staging = (self.operation.fleet, f".staging-{uid}")
        self.host.leftovers[staging] = self.operation.id
        yield
        there = self.host.folders.get(self.key)
        if there is not None and (mode != "adopt" or there.record is not None):
            del self.host.leftovers[staging]
            return STALE, "it is there already"
        others = [key for key, each in self.host.folders.items() if key[0] == self.operation.fleet and each.record]
        if 0 < int(most) <= len(others):
            del self.host.leftovers[staging]
            return STALE, "the host is full"
        if name and any(json.loads(self.host.folders[key].record or b"{}").get("name") == name for key in others):
            del self.host.leftovers[staging]
            return STALE, "the name is taken"
        folder = there or Folder(None)
        folder.journal += events
        yield
        folder.record = payload[: len(payload) - int(behind)]
        self.host.folders[self.key] = folder
        del self.host.leftovers[staging]
        yield
        self.host.tombstones.pop(self.key, None)
        return None

    def rewrite(self, former: str, *events: str, payload: bytes) -> Doing:
        self.host.watch("rewrite", self.host, self.operation)
        folder = self.host.folders.get(self.key)
        if folder is None:
            return 1, "there is no such folder"
        if hashlib.sha256(folder.record or b"").hexdigest() != former:
            return STALE, "the record changed meanwhile"
        folder.journal += events
        yield
        folder.record = payload
        return None

    def deliver(self, digest: str, *, payload: bytes) -> Doing:
        assert payload
        yield
        self.folder.trees.add(digest)

    def put(self, name: str, _mode: str, *, payload: bytes) -> Doing:
        yield
        self.folder.files[name] = payload

    def show(self, name: str, *, payload: bytes) -> Doing:
        yield
        found = self.folder.files.get(name)
        return (1, "") if found is None else (0, found.decode())

    def tidy(self, _engine: str, *keep: str, payload: bytes) -> Doing:
        yield
        self.folder.trees &= {name.removeprefix("tree/") for name in keep}
        return (yield from self.files(payload=payload))

    def files(self, *, payload: bytes) -> Doing:
        yield
        one = f"{ONE_FILE.files} {ONE_FILE.bytes} {ONE_FILE.seconds}"
        return 0, "".join(f"tree/{digest} {one}\n" for digest in sorted(self.folder.trees))

    def tombstone(self, *, payload: bytes) -> Doing:
        yield
        digest = json.loads(payload)["spec_digest"]
        self.host.tombstones[self.key] = Tombstone(self.operation.id, digest)

    def remove(self, _engine: str, uid: str, *, payload: bytes) -> Doing:
        self.host.watch("remove", self.host, self.operation)
        if self.host.folders.pop(self.key, None) is not None:
            self.host.leftovers[(self.operation.fleet, f".trash-{uid}")] = self.operation.id
        yield
        sweep(self.host, *self.key)

    # --- its stack

    def render(self, _kind: str, _command: str, project: str, _folder: str, *_options: str, payload: bytes) -> Doing:
        yield
        with tarfile.open(fileobj=io.BytesIO(payload)) as archive:
            given = {entry.name: found.read() for entry in archive if (found := archive.extractfile(entry))}
        stack = yaml.load(given["files/compose.yaml"], Loader=yaml.CSafeLoader)
        values = dict(line.split("=", 1) for line in given["variables"].decode().splitlines())
        return 0, json.dumps(canonical_compose(stack, project, values.get("LEVEL", "").strip("'")))

    def images(self, _engine: str, *_names: str, payload: bytes) -> Doing:
        yield
        return 0, ""  # none of them was built for a sandbox

    def close_names(self, _network: str, *_words: str, payload: bytes) -> Doing:
        yield

    def claim(self, *_uids: str, payload: bytes) -> Doing:
        yield
        return 0, ""

    def remove_unrecorded(self, _engine: str, uid: str, *, payload: bytes) -> Doing:
        folder = self.host.folders.get(self.key)
        if folder is not None and folder.record is not None:
            return STALE, "it has a record"
        return (yield from self.remove(_engine, uid, payload=payload))

    def compose(self, kind: str, _command: str, project: str, _paths: str, *words: str, payload: bytes) -> Doing:
        if self._is_stopped(self.operation.target.engine):
            return 1, "the engine is down"
        model = json.loads(self.folder.files["compose.json"])
        for kind in ("network", "volume"):
            for short, given in (model.get(f"{kind}s") or {}).items():
                name = f"{project}_{short}"
                if name not in self.host.resources:
                    owner = Ownership.of(given["labels"])
                    self.host.resources[name] = Resource(kind, name, name, self.operation.target.engine, owner)
                yield
        services = {name for name in model["services"] if name in words} or set(model["services"])
        for name in sorted(services):
            self._start(project, name, model, words)
            yield
        if "--remove-orphans" in words or kind == "podman-compose":
            for container in self.host.of(self.key):
                if container.labels[COMPOSE_SERVICE] not in model["services"]:
                    del self.host.containers[container.id]
        if self.host.failing:
            self.host.failing -= 1
            return 1, "a service failed"
        return None

    def _start(self, project: str, name: str, model: dict[str, Any], words: Sequence[str]) -> None:
        service = model["services"][name]
        there = [c for c in self.host.of(self.key) if c.labels.get(COMPOSE_SERVICE) == name]
        labels = {**service["labels"], COMPOSE_PROJECT: project, COMPOSE_SERVICE: name}
        for container in there:
            if "--force-recreate" in words or ("--no-recreate" not in words and container.labels != labels):
                del self.host.containers[container.id]
        number = self.host.made.total()
        self.host.made[name] += 1
        kept = next((c for c in self.host.of(self.key) if c.labels.get(COMPOSE_SERVICE) == name), None)
        container = kept or Container(
            hashlib.sha256(f"{self.host.name} {number}".encode()).hexdigest(),
            f"{project}-{name}-1",
            self.operation.target.engine,
            service["image"],
            "a" * 64,
            "created",
            0,
            None,
            labels,
            volumes=tuple(f"{project}_{mount['source']}" for mount in service.get("volumes", ())),
            networks=tuple(f"{project}_{network}" for network in service["networks"]),
            **service_fields(labels, name),
        )
        if "--no-start" in words:
            self.host.containers[container.id] = container
            return
        ends = service["command"] == ["true"]
        state, code = ("exited", 0) if ends else ("exited", 1) if self.host.failing else ("running", 0)
        self.host.containers[container.id] = replace(container, state=state, exit_code=code)

    def engine(self, engine: str, word: str, *identifiers: str, payload: bytes) -> Doing:
        if self._is_stopped(engine):
            return 1, "the engine is down"
        yield
        if word == "unpause":
            for identifier in identifiers:
                self.host.containers[identifier] = replace(self.host.containers[identifier], state="running")
        return None

    def logs(self, engine: str, _lines: str, _identifier: str, *, payload: bytes) -> Doing:
        yield
        return 1 if self._is_stopped(engine) else 0, "what it printed"

    def teardown(self, engine: str, uid: str, *volumes: str, payload: bytes) -> Doing:
        self.host.watch("teardown", self.host, self.operation)
        if self._is_stopped(engine):
            return 1, "the engine is down"

        def mine(owner: Ownership | None) -> bool:
            return owner is not None and (owner.fleet, owner.id, owner.uid) == (*self.key, uid)

        for container in list(self.host.containers.values()):
            if container.engine == engine and mine(Ownership.of(dict(container.labels))):
                del self.host.containers[container.id]
                yield
        for name, resource in list(self.host.resources.items()):
            if resource.engine == engine and mine(resource.owner):
                del self.host.resources[name]
                yield
        return None

    def _is_stopped(self, engine: str) -> bool:
        return engine in self.host.stopped_engines


def canonical_compose(stack: dict[str, Any], project: str, level: str) -> dict[str, Any]:
    """Return a stack as ``docker compose config --format json`` prints it."""
    services = {}
    for name, declared in stack["services"].items():
        service = {key: value for key, value in declared.items() if key not in ("environment", "volumes")}
        service["networks"] = {"default": None}
        if "environment" in declared:
            service["environment"] = {"LEVEL": level}
        if "volumes" in declared:
            source, target = declared["volumes"][0].split(":")
            service["volumes"] = [{"type": "volume", "source": source, "target": target, "volume": {}}]
        services[name] = service
    made = {"name": project, "services": services, "networks": {"default": {"name": f"{project}_default", "ipam": {}}}}
    volumes = {name: {"name": f"{project}_{name}"} for name in stack.get("volumes", ())}
    return {**made, "volumes": volumes} if volumes else made


# --- the end of an apply


def clean_up(host: SimulatedHost, lines: str) -> None:
    """Remove leftovers, forget tombstones, and note the head if the fleet has anything here and no newer head."""
    host.point(host)
    _, fleet, _, noted, forgotten = lines.splitlines()
    if fleet not in host.fleets():
        return
    for (owner, _name), identifier in list(host.leftovers.items()):
        if owner == fleet and (fleet, identifier) not in host.held:
            sweep(host, fleet, identifier)
    host.locks -= {key for key in host.locks if key[0] == fleet} - host.held - host.folders.keys()
    for identifier in forgotten.split():
        host.tombstones.pop((fleet, identifier), None)
    if noted:
        content = json.loads(noted)
        head = Head(content["commit"], datetime.fromisoformat(content["committed_at"]))
        there = host.revisions.get(fleet)
        if there is None or there.committed_at <= head.committed_at:
            host.revisions[fleet] = head
    leave_no_empty_home(host, fleet)
    host.point(host)


def sweep(host: SimulatedHost, fleet: str, identifier: str) -> None:
    """Remove staging and trash of one sandbox, whose lock is held."""
    for (owner, name), whose in list(host.leftovers.items()):
        if (owner, whose) == (fleet, identifier):
            del host.leftovers[(owner, name)]


def leave(host: SimulatedHost, key: Key) -> None:
    """End a session: without a sandbox nothing of it stays, its lock included."""
    if key not in host.folders:
        host.locks.discard(key)
        leave_no_empty_home(host, key[0])


def leave_no_empty_home(host: SimulatedHost, fleet: str) -> None:
    """Forget the head if the fleet has nothing here any more."""
    things = (host.folders, host.leftovers, host.tombstones, host.locks)
    if not any(key[0] == fleet for some in things for key in some):
        host.revisions.pop(fleet, None)
