"""Compares the raw files with Compose's reading of them, which must contain nothing else.

Compose is given a plain form of what was read here, so the two agree. Where they do not, one of the two readers has a
fault that somebody may exploit, and the sandbox is refused rather than created from what only one of them read.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.extensions.compose_ssh.plain_yaml import RESET, Plain, Tagged, bare, is_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.extensions.compose_ssh.findings import Findings

SECTIONS = ("networks", "volumes", "secrets", "configs")
MAX_SCALARS = 100_000
MAX_PATHS = 500_000

_WHY = "Compose reads this file differently; write it in the plain long form"
_TOP = frozenset({"name", "services", "version", *SECTIONS})
# Keys that Compose adds to each service, or to one that has another key.
_ALWAYS = frozenset({"command", "entrypoint", "networks"})
_WITH = {
    "env_file": ("environment",),
    "label_file": ("labels",),
    "extends": ("extends",),
    "deploy": ("scale",),
    "scale": ("deploy",),
    "gpus": ("deploy",),
    "links": ("depends_on",),
    "volumes_from": ("depends_on",),
    "network_mode": ("depends_on",),
    "ipc": ("depends_on",),
    "pid": ("depends_on",),
}
_ENTRY = frozenset({"name", "ipam"})
_WORDS = ("cap_add", "cgroup", "dns", "group_add", "image", "ipc", "network_mode", "pid", "security_opt", "user",
          "volumes_from")  # fmt: skip
_PATHS = (("build", "context"), ("build", "dockerfile"), ("build", "additional_contexts"), ("volumes", "source"),
          ("env_file", "path"))  # fmt: skip
_DEFAULTS = frozenset({".", "Dockerfile"})


@dataclass(slots=True)
class FileParts:
    """The mappings that make up each service and each top-level entry, and the base directories of their paths."""

    services: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sections: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def service(self, name: str, service: dict[str, Any], folder: str) -> None:
        """Add a part of a service, as one file writes it."""
        self.services.setdefault(name, []).append(service)
        self.folders.add(folder)

    def document(self, document: dict[str, Any], folder: str) -> None:
        """Add the top-level entries of one document."""
        self.folders.add(folder)
        for kind in SECTIONS:
            section = bare(document.get(kind))
            for name, entry in section.items() if isinstance(section, dict) else ():
                plain = bare(entry)
                self.sections.setdefault(kind, {}).setdefault(name, []).append(plain if isinstance(plain, dict) else {})

    def compare(self, model: Mapping[str, Any], findings: Findings, *, root: str, project: str) -> None:
        """Add a finding for each part of Compose's model that no file contains.

        ``model`` is normalised. ``root`` is the directory on the host in which Compose read the files. ``project`` is
        the project name that Compose was given.
        """
        _Comparison(self, findings, posixpath.normpath(root), project).model(model)


class _Comparison:
    def __init__(self, parts: FileParts, findings: Findings, root: str, project: str) -> None:
        self._parts, self._findings, self._root, self._project = parts, findings, root, project

    def differs(self, where: str) -> None:
        self._findings.add(where, _WHY)

    def model(self, model: Mapping[str, Any]) -> None:
        for key in model.keys() - _TOP:
            if not key.startswith("x-"):
                self.differs(key)
        for name, service in _entries(model.get("services")):
            parts = self._parts.services.get(name)
            if parts is None:
                self.differs(f"services.{name}")
            elif isinstance(service, dict):
                self._service(f"services.{name}", service, parts)
        for kind in SECTIONS:
            known = self._parts.sections.get(kind, {})
            for name, entry in _entries(model.get(kind)):
                if name in known:
                    self._entry(f"{kind}.{name}", name, entry, known[name])
                elif (kind, name) != ("networks", "default"):
                    self.differs(f"{kind}.{name}")

    def _service(self, where: str, service: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        keys = _keys(parts)
        known = keys | _ALWAYS | {more for key in keys for more in _WITH.get(key, ())}
        for key in service.keys() - known:
            self.differs(f"{where}.{key}")
        for key in _WORDS:
            self._texts(f"{where}.{key}", service.get(key), _Texts(part.get(key) for part in parts))
        for key, inner in _PATHS:
            texts = _Texts(part.get(key) for part in parts)
            self._texts(f"{where}.{key}", _inner(service.get(key), inner), texts)

    def _entry(self, where: str, name: str, entry: Any, parts: list[dict[str, Any]]) -> None:
        if not isinstance(entry, dict):
            return
        for key in entry.keys() - _keys(parts) - _ENTRY:
            self.differs(f"{where}.{key}")
        for key in ("name", "file", "environment", "content", "external", "driver"):
            texts = _Texts([*(part.get(key) for part in parts), name, f"{self._project}_{name}"])
            self._texts(f"{where}.{key}", entry.get(key), texts)

    def _texts(self, where: str, value: Any, texts: _Texts) -> None:
        for written in _scalars(value):
            text = written.replace("$$", "$")
            if not (texts.open or text in texts.all or text in _DEFAULTS or self._is_path(text, texts)):
                self.differs(where)

    def _is_path(self, text: str, texts: _Texts) -> bool:
        """Return whether one of the texts leads to this path from one of the directories."""
        return posixpath.normpath(text) in texts.paths([posixpath.join(self._root, one) for one in self._parts.folders])


class _Texts:
    """All scalars in some values, and what precedes a colon in them.

    ``open`` says that one of them holds a variable.
    """

    def __init__(self, values: Any) -> None:
        self.all: set[str] = set()
        self._paths: set[str] = set()
        self.open = False
        for value in values:
            for text in _scalars(value):
                plain = text.replace("$$", "")
                self.open = self.open or "$" in plain
                self.all |= {text.replace("$$", "$"), text.partition(":")[0], text.lower(), text.partition("=")[2]}
                if isinstance(text, Plain) and is_number(text):  # as podman-compose reads it; Compose expects text here
                    self.all.add(str(yaml.safe_load(text)))

    def paths(self, folders: list[str]) -> set[str]:
        """Return the paths to which they may lead from one of these folders, always the same ones; none if too many."""
        if not self._paths and len(self.all) * len(folders) <= MAX_PATHS:
            written = [*self.all, "."]
            self._paths = {posixpath.normpath(posixpath.join(folder, one)) for folder in folders for one in written}
        return self._paths


def _scalars(value: Any) -> Iterator[str]:
    """Yield the scalars in a value as text, at most ``MAX_SCALARS`` of them, in no particular order."""
    todo, left = [value], MAX_SCALARS
    while todo and left:
        left -= 1
        one = todo.pop()
        if isinstance(one, Tagged):
            todo.append(bare(one))
        elif isinstance(one, dict):
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
        elif isinstance(one, bool):
            yield str(one).lower()
        elif one is not None:
            yield one if isinstance(one, str) else str(one)


def _inner(value: Any, key: str) -> Any:
    parts = value if isinstance(value, list) else [value]
    return [part.get(key) for part in parts if isinstance(part, dict)]


def _keys(parts: list[dict[str, Any]]) -> set[str]:
    return {key for part in parts for key, item in part.items() if not (isinstance(item, Tagged) and item.tag == RESET)}


def _entries(section: Any) -> Iterator[tuple[str, Any]]:
    yield from section.items() if isinstance(section, dict) else ()
