"""A fleet's git as values: a linear history of commits, and the desired fleet of each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.errors import InputUnavailable
from sandboxer.model.documents import Document, Manifests
from sandboxer.model.identity import sandbox_id
from sandboxer.model.manifest import KINDS
from sandboxer.model.protocols import Archive, InputTree, Revision, TreeEntry
from sandboxer.profiles.loader import built_in_extensions
from sandboxer.profiles.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.model.desired import DesiredSandbox, Fleet

Spec = dict[str, Any]

HOSTS = ("lab-1", "lab-2", "lab-3")
IMAGE = "sandboxer-lab/busybox:1"
BEGINNING = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

_SLEEPS = {"image": IMAGE, "command": ["sleep", "9999"], "stop_signal": "SIGKILL"}
STACKS: dict[str, Spec] = {
    "small": {"services": {"web": {**_SLEEPS, "environment": {"LEVEL": "${LEVEL:-}"}}}},
    "large": {
        "services": {
            "web": {**_SLEEPS, "environment": {"LEVEL": "${LEVEL:-}"}, "volumes": ["data:/data"]},
            "job": {"image": IMAGE, "command": ["true"], "restart": "no"},
        },
        "volumes": {"data": None},
    },
}
"""The compose files that there are, by the profile that runs them."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The content of one commit: the specs of its sandboxes and of its hosts."""

    id: str
    at: datetime
    sandboxes: Mapping[str, Spec] = field(default_factory=dict)
    hosts: Mapping[str, Spec] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole content, as one line."""
        return json.dumps({"sandboxes": self.sandboxes, "hosts": self.hosts})

    def named(self, fleet: str, identifier: str) -> str | None:
        """Return the name of its sandbox with this ID."""
        return next((name for name in self.sandboxes if sandbox_id(fleet, name) == identifier), None)

    def possible_hosts(self, name: str) -> frozenset[str]:
        """Return the hosts that the sandbox's placement names."""
        spec = self.sandboxes.get(name)
        return frozenset() if spec is None else self.hosts.keys() & spec.get("placement", {}).get("hosts", self.hosts)


def documents_of(fleet: str, sandboxes: Mapping[str, Spec], hosts: Mapping[str, Spec]) -> list[Spec]:
    """Return the manifests of a commit."""
    made = [document("Fleet", fleet, {"guards": {"maxDeletes": 1}})]
    made += [document("Profile", name, profile(name)) for name in STACKS]
    made += [document("Host", name, {"address": f"{name}.example", **spec}) for name, spec in hosts.items()]
    made += [
        document("Sandbox", name, {key: value for key, value in spec.items() if key != "labels"}, spec.get("labels"))
        for name, spec in sandboxes.items()
    ]
    return made


def profile(name: str) -> Spec:
    """Return the spec of the profile that runs a stack."""
    return {
        "extension": "ext.compose-ssh",
        "workspace": {"path": f"stacks/{name}"},
        "resources": {"cpus": 0.5, "memory": "64MiB", "pids": 64},
        "readiness": {"timeout": "30s"},
    }


def document(kind: str, name: str, spec: Spec, labels: Mapping[str, str] | None = None) -> Spec:
    """Return a manifest as parsed from YAML."""
    metadata = {"name": name, "labels": dict(labels)} if labels else {"name": name}
    return {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}


class Repository:
    """A fleet's repository: a line of commits, the newest last."""

    def __init__(self, fleet: str, hosts: Iterable[str] = HOSTS) -> None:
        self.fleet = fleet
        self.commits = [Commit(self._id(0), BEGINNING - timedelta(days=1), {}, {host: {} for host in hosts})]

    @property
    def head(self) -> Commit:
        """The newest commit."""
        return self.commits[-1]

    @property
    def names(self) -> frozenset[str]:
        """All present and former names of its sandboxes."""
        return frozenset(name for commit in self.commits for name in commit.sandboxes)

    def commit(self, **changes: Mapping[str, Spec]) -> Commit:
        """Commit other ``sandboxes`` or ``hosts``, each replaced as a whole."""
        at = self.head.at + timedelta(minutes=1)
        self.commits.append(replace(self.head, id=self._id(len(self.commits)), at=at, **changes))
        return self.head

    def is_ancestor(self, older: str, newer: str) -> bool | None:
        """Return whether one commit lies before another; None if one of them is not in this repository."""
        ids = [commit.id for commit in self.commits]
        return ids.index(older) <= ids.index(newer) if {older, newer} <= set(ids) else None

    def had_name(self, name: str, commit: str | None) -> bool:
        """Return whether the fleet once had another name: it never had."""
        return False

    def before(self, commit: Commit) -> Commit | None:
        """Return the commit before this one, if its content differs."""
        index = self.commits.index(commit)
        former = self.commits[index - 1] if index else None
        same = former and (former.sandboxes, former.hosts) == (commit.sandboxes, commit.hosts)
        return None if same else former

    def fleet_at(self, commit: Commit) -> Fleet:
        """Return the desired fleet of a commit."""
        former = self.before(commit)
        fleet = _fleet(self.fleet, commit.text, former.text if former else None)
        return replace(fleet, commit=commit.id, root_commit=self.commits[0].id, committed_at=commit.at)

    def desired(self, name: str, spec: Spec) -> DesiredSandbox:
        """Return a sandbox as it would be desired if it were in git."""
        return _fleet(self.fleet, replace(self.head, sandboxes={name: spec}).text, None).sandboxes[name]

    def _id(self, number: int) -> str:
        return hashlib.sha1(f"{self.fleet} {number}".encode()).hexdigest()


def manifests_of(fleet: str, commit: Commit) -> Manifests:
    """Return the manifests of a commit, validated as when they are read from files."""
    return _manifests(fleet, commit.text)


@lru_cache(maxsize=20_000)
def _fleet(name: str, text: str, former: str | None) -> Fleet:
    before = [] if former is None else [_manifests(name, former)]
    return resolve(_manifests(name, text), Revision({}), Files(), _no_secret, before)


@lru_cache(maxsize=20_000)
def _manifests(fleet: str, text: str) -> Manifests:
    found = [_checked(json.dumps(content)) for content in documents_of(fleet, **json.loads(text))]
    models = {kind: {d.name: d.model for d in found if d.kind == kind} for kind in KINDS}
    return Manifests(
        models["Fleet"][fleet], models["Host"], models["Profile"], built_in(), models["Sandbox"], tuple(found), ()
    )


built_in = cache(built_in_extensions)


@cache
def _checked(text: str) -> Document:
    content = json.loads(text)
    model = KINDS[content["kind"]].model_validate(content)
    return Document(content["kind"], content["metadata"]["name"], "sandboxer.yaml", content, model, None)  # type: ignore[arg-type]


def _no_secret(_reference: object) -> Any:
    raise AssertionError("these sandboxes have no secrets")


class Files:
    """Input files of sandboxes: a folder for each stack."""

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        """Return the tree of a folder, the same at every commit."""
        if path.rpartition("/")[2] not in STACKS:
            raise InputUnavailable(f"{repo} has no {path}")
        entries = {"compose.yaml": TreeEntry("compose.yaml", "0" * 40)}
        digest = hashlib.sha256(path.encode()).hexdigest()
        return InputTree(repo, ref, digest[:40], path, digest, entries)

    def give_up(self) -> None:
        """Do nothing: no read takes time."""

    def read(self, tree: InputTree, path: str) -> bytes:
        """Return the compose file."""
        return yaml.safe_dump(STACKS[tree.path.rpartition("/")[2]]).encode()

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """Return the delivered archive; only the existence of the files counts."""
        data = tree.digest.encode()
        return Archive(len(data), (piece for piece in (data,)))
