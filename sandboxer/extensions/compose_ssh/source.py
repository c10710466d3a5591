"""A look at the raw compose files before any engine reads them.

Compose follows ``include``, ``extends``, ``env_file`` and ``label_file`` to whatever file they name, and trusts what
it reads. So each of them is followed here first, and only through the files of the input: what leaves them, what a
variable would decide, and what would be fetched from elsewhere is refused.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.plain_yaml import documents
from sandboxer.extensions.compose_ssh.tree import NotInTreeError, NotTrackedError, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandboxer.model.seams import TreeEntry

MAX_STEPS = 10_000
MAX_FILES = 200

_REMOTE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:|^github\.com/|@|#|\.git$")
_VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$\{?([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What Compose will read and what it will need.

    ``files`` are the paths in the tree that Compose opens, the compose files and links on the way included; ``builds``
    tells whether a service is built, ``contexts`` from which folders, as far as the raw files tell; ``variables`` are
    the names that the files take from the environment.
    """

    files: tuple[str, ...]
    contexts: tuple[str, ...]
    builds: bool
    variables: frozenset[str]


def inspect(
    files: Mapping[str, bytes], read: Callable[[str], bytes], entries: Mapping[str, TreeEntry], *, sandbox: str
) -> SourceReport:
    """Follows the compose files to everything that Compose would read.

    ``files`` are the compose files in Compose's order, paths in the tree to bytes; the folder of the first one is the
    project directory. ``read`` gives the bytes of another path of ``entries``. Raises ComposeRefused with every
    finding, in the name of ``sandbox``; what ``read`` raises passes through.
    """
    look = _Look(Tree(entries), read, Findings(sandbox))
    project = posixpath.dirname(next(iter(files), ""))
    look.dotenv(project)
    for path, data in files.items():
        for document in look.parse(path, data):
            look.document(document, project, path)
    look.findings.raise_any()
    return SourceReport(tuple(sorted(look.files)), tuple(sorted(look.contexts)), look.builds, frozenset(look.variables))


class _Look:
    """The walk. A *folder* is what relative paths of a file are relative to: Compose's working directory there."""

    def __init__(self, tree: Tree, read: Callable[[str], bytes], findings: Findings) -> None:
        self.tree = tree
        self.read = read
        self.findings = findings
        self.files: set[str] = set()
        self.contexts: set[str] = set()
        self.variables: set[str] = set()
        self.builds = False
        self._parsed: dict[str, list[Any]] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._steps = 0

    def refuse(self, where: str, why: str, file: str) -> None:
        self.findings.add(where, f"{why} ({file})")

    def parse(self, path: str, data: bytes) -> list[Any]:
        """The documents of one compose file, each once."""
        if path not in self._parsed:
            self.files.add(path)
            self._parsed[path] = []
            self.variables.update(_VARIABLE.findall(data.decode(errors="replace")))
            try:
                self._parsed[path] = documents(data)
            except ValueError as error:
                self.findings.add(path, f"cannot be read: {error}")
        return self._parsed[path]

    def dotenv(self, folder: str) -> None:
        """Compose reads a project's ``.env`` by itself where there is one."""
        path = posixpath.join(folder, ".env")
        try:
            self.files.update(self.tree.trail(path))
        except NotInTreeError:
            return

    def document(self, document: Any, folder: str, file: str) -> None:
        """One document: its includes and all of its services."""
        if document is None:
            return
        if not isinstance(document, dict):
            self.refuse("the file", "is not a mapping", file)
            return
        if document.get("models"):
            self.refuse("models", "models run outside any container; a sandbox has none", file)
        for index, include in enumerate(_listed(document.get("include"))):
            self.include(include, folder, file, f"include[{index}]")
        services = document.get("services")
        for name, service in (services if isinstance(services, dict) else {}).items():
            self.service(service, folder, file, f"services.{name}")

    def include(self, include: Any, folder: str, file: str, where: str) -> None:
        """An include: its paths are relative to the including project, what is in them to its own directory."""
        long = include if isinstance(include, dict) else {"path": include}
        paths = [self.path(item, folder, file, where, code=True) for item in _listed(long.get("path"))]
        if not paths or paths[0] is None:
            return
        own = posixpath.dirname(paths[0])
        if long.get("project_directory"):
            given = self.path(long["project_directory"], folder, file, f"{where}.project_directory", opened=False)
            if given is None:
                return
            own = given
        env_files = [item for item in _listed(long.get("env_file")) if item != "/dev/null"]
        for item in env_files:
            self.path(item, folder, file, f"{where}.env_file")
        if not long.get("env_file"):
            self.dotenv(own)
        for path in paths:
            if path is not None and self._first(path, own):
                for document in self._load(path):
                    self.document(document, own, path)

    def service(self, service: Any, folder: str, file: str, where: str) -> None:
        """A service: the files that it names, and the service that it extends."""
        if not isinstance(service, dict) or not self._step(where, file):
            return
        for key in ("env_file", "label_file"):
            for item in _listed(service.get(key)):
                entry = item if isinstance(item, dict) else {"path": item}
                optional = str(entry.get("required")).lower() == "false"
                self.path(entry.get("path"), folder, file, f"{where}.{key}", optional=optional)
        for key in ("provider", "models"):
            if service.get(key):
                self.refuse(f"{where}.{key}", "runs outside any container; a sandbox has none", file)
        if service.get("build") is not None:
            self._build(service["build"], folder)
        if service.get("extends") is not None:
            self._extends(service["extends"], folder, file, where)

    def _build(self, build: Any, folder: str) -> None:
        self.builds = True
        context = build.get("context", ".") if isinstance(build, dict) else build
        try:
            self.contexts.add(self.tree.resolve(posixpath.join(folder, str(context))))
        except NotInTreeError:
            return  # the engine's canonical form is what decides on it

    def _extends(self, extends: Any, folder: str, file: str, where: str) -> None:
        long = extends if isinstance(extends, dict) else {"service": extends}
        name = str(long.get("service"))
        path: str | None = file
        if long.get("file") is not None:
            path = self.path(long["file"], folder, file, f"{where}.extends.file", code=True)
            if path is None:
                return
            folder = posixpath.dirname(path)
        if path is None or not self._first(path, folder, name):
            return
        for document in self._load(path):
            services = document.get("services") if isinstance(document, dict) else None
            if isinstance(services, dict):
                self.service(services.get(name), folder, path, f"services.{name}")

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
        """Where a path of a file leads, before links are followed; None, and a finding, where nowhere good."""
        if not self._step(where, file):
            return None
        if not isinstance(value, str) or not value:
            self.refuse(where, "must be the path of a file, as text", file)
        elif "$" in value:
            self.refuse(where, f"`{value}` holds a variable, so it cannot be told what it reads; write it out", file)
        elif code and _REMOTE.search(value):
            self.refuse(where, f"`{value}` would be fetched from elsewhere; commit it to the input repository", file)
        elif value.startswith("~") or "\x00" in value:
            self.refuse(where, f"`{value}` leads outside the sandbox's files; use a relative path", file)
        else:
            return self._found(value, folder, file, where, optional=optional, opened=opened)
        return None

    def _found(self, value: str, folder: str, file: str, where: str, *, optional: bool, opened: bool) -> str | None:
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
        return path

    def _load(self, path: str) -> Iterator[Any]:
        real = self.tree.resolve(path)
        if real not in self._parsed and len(self._parsed) >= MAX_FILES:
            self.findings.add(path, f"is one compose file too many; the limit is {MAX_FILES}")
            return
        yield from self._parsed[real] if real in self._parsed else self.parse(real, self.read(real))

    def _first(self, *what: str) -> bool:
        """Whether a file is met in this way for the first time; Compose itself refuses the cycles."""
        if what in self._seen:
            return False
        self._seen.add(what)
        return True

    def _step(self, where: str, file: str) -> bool:
        """Counts a step of the walk, so that aliases cannot make it endless."""
        self._steps += 1
        if self._steps == MAX_STEPS:
            self.refuse(where, f"the files need more than {MAX_STEPS} steps to follow; make them smaller", file)
        return self._steps < MAX_STEPS


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
