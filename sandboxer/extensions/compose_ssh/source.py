"""Inspects the raw compose files before any engine reads them.

Compose follows ``include``, ``extends``, ``env_file`` and ``label_file`` to whatever file they name, and trusts what
it reads. So each of them is followed here first, and only through the files of the input: a path that leaves them, that
depends on a variable, or that would be fetched from elsewhere is refused. Compose is given only what was found, each
compose file in its plain form.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import env_files
from sandboxer.extensions.compose_ssh.comparison import FileParts
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.plain_form import Budget, plain_form
from sandboxer.extensions.compose_ssh.plain_yaml import RESET, SpanTable, Tagged, UnreadableError, bare, documents
from sandboxer.extensions.compose_ssh.tags import carried_out
from sandboxer.extensions.compose_ssh.tree import NotInTreeError, NotTrackedError, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandboxer.model.protocols import TreeEntry

MAX_STEPS = 10_000
MAX_FILES = 200
MAX_TEXT = 8 * 1024 * 1024

_REMOTE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:|^github\.com/|@|#|\.git$")
_VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$\{?([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What Compose will read and what it will need.

    ``files`` are the paths in the tree that Compose opens, compose files and the links on the way included. ``builds``
    says whether a service is built, ``contexts`` from which directories, as far as the raw files show. ``variables``
    are the names that the files take from the environment. ``opened`` is what Compose is given in their place: the
    content of each path that it opens, without links; ``folders`` must exist too. ``parts`` is what the files say;
    ``documents`` are those of each compose file, by the path at which Compose opens it, and ``places`` where they are.
    """

    files: tuple[str, ...]
    contexts: tuple[str, ...]
    builds: bool
    variables: frozenset[str]
    opened: Mapping[str, bytes] = field(repr=False)
    folders: tuple[str, ...]
    parts: FileParts = field(repr=False)
    documents: Mapping[str, list[Any]] = field(repr=False)
    places: SpanTable = field(repr=False)


def inspect(
    files: Mapping[str, bytes],
    read: Callable[[str], bytes],
    entries: Mapping[str, TreeEntry],
    *,
    sandbox: str,
    podman: bool = False,
    findings: Findings | None = None,
) -> SourceReport:
    """Follow the compose files to everything that Compose would read.

    ``files`` are the compose files in Compose's order, paths in the tree to bytes; the directory of the first one is
    the project directory. ``read`` returns the bytes of another path of ``entries``. ``podman`` says that
    podman-compose will read them. Raise ComposeRefused with every finding, in the name of ``sandbox``; errors of
    ``read`` pass through. ``findings`` collects them for the caller too.
    """
    inspection = _Inspection(Tree(entries), read, Findings(sandbox) if findings is None else findings)
    project = posixpath.dirname(next(iter(files), ""))
    inspection.dotenv(project)
    for path, data in files.items():
        for document in inspection.parse(path, data):
            inspection.document(document, project, path)
        inspection.compose_files.setdefault(posixpath.normpath(path), inspection.parse(path, data))
    inspection.findings.raise_any()
    opened = inspection.contents(list(map(posixpath.normpath, files)), podman=podman)
    inspection.findings.raise_any()
    return SourceReport(
        tuple(sorted(inspection.files)),
        tuple(sorted(inspection.contexts)),
        inspection.builds,
        frozenset(inspection.variables),
        opened,
        tuple(sorted(inspection.folders | {project})),
        inspection.parts,
        inspection.compose_files,
        inspection.places,
    )


class _Inspection:
    """The walk. A *folder* is what relative paths of a file are relative to: Compose's working directory there."""

    def __init__(self, tree: Tree, read: Callable[[str], bytes], findings: Findings) -> None:
        self.tree = tree
        self.read = read
        self.findings = findings
        self.files: set[str] = set()
        self.contexts: set[str] = set()
        self.variables: set[str] = set()
        self.builds = False
        self.parts = FileParts()
        self.places = SpanTable()
        self.compose_files: dict[str, list[Any]] = {}
        self.folders: set[str] = set()
        self._texts: dict[str, bytes] = {}
        self._parsed: dict[str, list[Any]] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._steps = 0

    def refuse(self, where: str, why: str, file: str) -> None:
        self.findings.add(where, why, file)

    def parse(self, path: str, data: bytes) -> list[Any]:
        """Return the documents of one compose file; parse each file once."""
        if path not in self._parsed:
            self.files.add(path)
            self._parsed[path] = []
            self.variables.update(_VARIABLE.findall(data.decode(errors="replace")))
            try:
                self._parsed[path] = documents(data, self.places)
            except UnreadableError as error:
                self.findings.add(path, f"cannot be read: {error}", at=error.at)
        return self._parsed[path]

    def contents(self, order: list[str], *, podman: bool) -> dict[str, bytes]:
        """Return what Compose is given for each path that it opens; ``order`` are the compose files that are merged."""
        budget = Budget()
        opened = dict(self._texts)
        files = self._without_tags(order) if podman else self.compose_files
        for path, found in files.items():
            try:
                if path in opened:
                    raise ValueError("is read as both a compose file and another file; copy it")
                opened[path] = plain_form(found, budget)
            except ValueError as error:
                self.findings.add(path, str(error))
        return opened

    def _without_tags(self, order: list[str]) -> dict[str, list[Any]]:
        """Return the files in a form that podman-compose reads right: one document each, and every tag carried out."""
        done: dict[str, list[Any]] = {}
        for path, found in self.compose_files.items():
            if len(found) > 1:
                self.findings.add(path, "has several documents, and podman-compose reads one; give each a file")
        groups = [order, *([path] for path in self.compose_files if path not in order)]
        for group in groups:
            try:
                plain = carried_out(self.compose_files[path][0] if self.compose_files[path] else None for path in group)
            except ValueError as error:
                self.findings.add(", ".join(group), str(error))
                continue
            done |= {path: [document] for path, document in zip(group, plain, strict=True)}
        return done

    def text(self, path: str, real: str) -> None:
        """Take an env file or label file that Compose opens at ``path``."""
        if path in self._texts:
            return
        data = self.read(real)
        try:
            env_files.check(data)
        except ValueError as error:
            self.findings.add(path, str(error))
        self._texts[path] = data
        if sum(map(len, self._texts.values())) > MAX_TEXT:
            self.findings.add(path, f"is one env file too many; all of them may have {MAX_TEXT} bytes")

    def dotenv(self, folder: str) -> None:
        """Take the project's ``.env`` if there is one: Compose reads it by itself."""
        path = posixpath.join(folder, ".env")
        try:
            trail = self.tree.trail(path)
        except NotInTreeError:
            return
        if self.tree.is_file(trail[-1]):
            self.files.update(trail)
            self.text(path, trail[-1])

    def document(self, document: Any, folder: str, file: str) -> None:
        """Follow one document: its includes and all of its services."""
        if document is None:
            return
        if not isinstance(document, dict):
            self.refuse("the file", "is not a mapping", file)
            return
        if bare(document.get("models")):
            self.refuse("models", "models run outside any container; remove it", file)
        self.parts.document(document, folder)
        for index, include in enumerate(_listed(document.get("include"))):
            self.include(include, folder, file, f"include[{index}]")
        services = bare(document.get("services"))
        for name, service in (services if isinstance(services, dict) else {}).items():
            self.service(service, folder, file, f"services.{name}", name)

    def include(self, include: Any, folder: str, file: str, where: str) -> None:
        """Follow an include: its paths are relative to the including project, those in its files to its directory."""
        long = _plain(include) if isinstance(include, dict) else {"path": include}
        paths = [self.path(item, folder, file, where, code=True) for item in _listed(long.get("path"))]
        if not paths or paths[0] is None:
            return
        own = posixpath.dirname(paths[0])
        if long.get("project_directory"):
            given = self.path(long["project_directory"], folder, file, f"{where}.project_directory", opened=False)
            if given is None:
                return
            own = given
            self.folders.add(given)
        env_file_names = [item for item in _listed(long.get("env_file")) if item != "/dev/null"]
        for item in env_file_names:
            self.path(item, folder, file, f"{where}.env_file")
        if not long.get("env_file"):
            self.dotenv(own)
        for path in paths:
            if path is not None and self._first(path, own):
                for document in self._load(path):
                    self.document(document, own, path)

    def service(self, given: Any, folder: str, file: str, where: str, owner: str) -> None:
        """Follow a service: the files that it names, and the service that it extends; it is a part of ``owner``."""
        service = bare(given)
        if not isinstance(service, dict) or not self._step(where, file):
            return
        service = _plain(service)
        self.parts.service(owner, service, folder)
        for key in ("env_file", "label_file"):
            for item in _listed(service.get(key)):
                entry = _plain(item) if isinstance(item, dict) else {"path": item}
                optional = str(entry.get("required")).lower() == "false"
                self.path(entry.get("path"), folder, file, f"{where}.{key}", optional=optional)
        for key in ("provider", "models"):
            if service.get(key):
                self.refuse(f"{where}.{key}", "runs outside any container; remove it", file)
        if service.get("build") is not None:
            self._build(service["build"], folder)
        if service.get("extends") is not None:
            self._extends(service["extends"], folder, file, where, owner)

    def _build(self, build: Any, folder: str) -> None:
        self.builds = True
        context = _plain(build).get("context", ".") if isinstance(build, dict) else build
        try:
            self.contexts.add(self.tree.resolve(posixpath.join(folder, str(context))))
        except NotInTreeError:
            return  # the engine's canonical form decides on it

    def _extends(self, extends: Any, folder: str, file: str, where: str, owner: str) -> None:
        long = _plain(extends) if isinstance(extends, dict) else {"service": extends}
        name = str(long.get("service"))
        path: str | None = file
        if long.get("file") is not None:
            path = self.path(long["file"], folder, file, f"{where}.extends.file", code=True)
            if path is None:
                return
            folder = posixpath.dirname(path)
        if path is None or not self._first(path, folder, name, owner):
            return
        for document in self._load(path):
            services = bare(document.get("services")) if isinstance(document, dict) else None
            if isinstance(services, dict):
                self.service(services.get(name), folder, path, f"services.{name}", owner)

    def path(
        self,
        value: Any,
        folder: str,
        file: str,
        where: str,
        *,
        code: bool = False,
        optional: bool = False,
        opened: bool = True,
    ) -> str | None:
        """Return where a path of a file leads, before links are followed; None, and a finding, if it is not allowed."""
        if not self._step(where, file):
            return None
        if not isinstance(value, str) or not value:
            self.refuse(where, "must be the path of a file, as text", file)
        elif "$" in value:
            self.refuse(where, f"`{value}` contains a variable; write the path", file)
        elif code and _REMOTE.search(value):
            self.refuse(
                where, f"`{value}` would be fetched from an external source; commit it to the input repository", file
            )
        elif value.startswith("~") or "\x00" in value:
            self.refuse(where, f"`{value}` points outside the sandbox's files; use a relative path", file)
        else:
            return self._found(value, folder, file, where, optional=optional, opened=opened, code=code)
        return None

    def _found(
        self, value: str, folder: str, file: str, where: str, *, optional: bool, opened: bool, code: bool
    ) -> str | None:
        path = posixpath.normpath(posixpath.join(folder, value))
        path = "" if path == "." else path
        try:
            trail = self.tree.trail(path)
        except NotInTreeError as error:
            if not (optional and isinstance(error, NotTrackedError)):
                self.refuse(where, f"`{value}` {error}", file)
            return None
        if not opened:
            return path
        if not self.tree.is_file(trail[-1]):
            self.refuse(where, f"`{value}` is a folder; a file is needed", file)
            return None
        self.files.update(trail)
        if not code:
            self.text(path, trail[-1])
        return path

    def _load(self, path: str) -> Iterator[Any]:
        real = self.tree.resolve(path)
        if real not in self._parsed and len(self._parsed) >= MAX_FILES:
            self.findings.add(path, f"exceeds the limit of {MAX_FILES} compose files")
            return
        found = self._parsed[real] if real in self._parsed else self.parse(real, self.read(real))
        self.compose_files.setdefault(path, found)
        yield from found

    def _first(self, *what: str) -> bool:
        """Return whether a file is reached in this way for the first time; Compose itself refuses cycles."""
        if what in self._seen:
            return False
        self._seen.add(what)
        return True

    def _step(self, where: str, file: str) -> bool:
        """Count a step of the walk, so that aliases cannot make it endless; return whether to continue."""
        self._steps += 1
        if self._steps == MAX_STEPS:
            self.refuse(where, f"the files need more than {MAX_STEPS} steps to follow; make them smaller", file)
        return self._steps < MAX_STEPS


def _plain(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping as it counts in its own file: without what is reset."""
    return {
        key: bare(value) for key, value in mapping.items() if not (isinstance(value, Tagged) and value.tag == RESET)
    }


def _listed(value: Any) -> list[Any]:
    found = bare(value)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]
