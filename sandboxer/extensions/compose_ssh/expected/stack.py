"""Loads a stack as Compose would: its files merged, extended and included, for the profiles that are active."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.expected.interpolation import Environment
from sandboxer.extensions.compose_ssh.expected.loading import Loader
from sandboxer.extensions.compose_ssh.expected.nodes import Budget, Mark, Node, Path, TooLargeError, plain, unknowns
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.source import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from sandboxer.extensions.compose_ssh.expected.reader import Problem
    from sandboxer.extensions.compose_ssh.findings import Findings
    from sandboxer.extensions.compose_ssh.source import SourceReport
    from sandboxer.model.protocols import TreeEntry

# Where the files would be on a host; a host's own path takes its place there. It is deep, so that a path that leads out
# of the files is still recognized.
ABOVE = "/sandboxer" + 24 * "/above"
TREE = f"{ABOVE}/tree"

_STEP = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class ExpectedStack:
    """A stack as its files describe it.

    ``model`` is what ``docker compose config`` is expected to print, normalised, its paths below ``TREE``, for the
    services that are active; ``inactive`` are the services of other profiles. ``unknowns`` are the paths of what could
    not be evaluated exactly, each with the reason: then a stand-in is in the model. With the empty path nothing is
    known, and the model is empty. ``problems`` are what Compose would refuse, ``unset`` the variables that a file
    needs and nothing sets, each with its place. ``report`` is what the raw files say.
    """

    model: dict[str, Any] = field(repr=False)
    unknowns: Mapping[Path, str]
    inactive: tuple[str, ...]
    problems: tuple[Problem, ...]
    unset: tuple[tuple[Mark, str], ...]
    report: SourceReport = field(repr=False)
    root: Node = field(repr=False)

    @property
    def positions(self) -> Mapping[Path, Mark]:
        """The place of each value in the file that wrote it, by its path."""
        return dict(_positions(self.root, ()))

    def locate(self, where: str, *, of_key: bool = False) -> Mark | None:
        """Return the place of a value by its path as findings write it, such as ``services.web.volumes[0].source``.

        Where that exact value is in no file, it is the place of what it would be in; None if not even that is known.
        """
        return located(self.root, where, of_key=of_key)


def expected_stack(
    files: Mapping[str, bytes],
    read: Callable[[str], bytes],
    entries: Mapping[str, TreeEntry],
    variables: Mapping[str, str | None],
    profiles: Collection[str] = (),
    *,
    sandbox: str,
    project: str,
    podman: bool = False,
    findings: Findings | None = None,
) -> ExpectedStack:
    """Return the stack of some compose files, evaluated without a host or an engine.

    ``files``, ``read`` and ``entries`` are as for ``source.inspect``. ``variables`` are those of the sandbox, the value
    of a secret being None. ``profiles`` are the active ones, ``project`` is the compose project's name; ``podman`` says
    that podman-compose reads the files. Raise ComposeRefused if the raw files may not be read, with every finding,
    which ``findings`` collects for the caller too.
    """
    report = inspect(files, read, entries, sandbox=sandbox, podman=podman, findings=findings)
    environment = Environment({"COMPOSE_PROJECT_NAME": project, **variables})
    budget = Budget()
    loader = Loader(report, budget, TREE, podman=podman)
    folder = posixpath.dirname(next(iter(files), ""))
    try:
        root = loader.load([posixpath.normpath(path) for path in files], folder, environment)
        active = loader.active(root, profiles, environment)
        model = plain(active, budget)
        missing = dict(unknowns(active))
    except (TooLargeError, RecursionError) as error:
        why = str(error) if isinstance(error, TooLargeError) else "the compose files are nested too deep"
        nothing = Node({}, Mark(next(iter(files), "")))
        return ExpectedStack({}, {(): why}, (), (), (), report, nothing)
    every = root.get("services")
    inactive = sorted((every.entries() if every is not None else {}).keys() - active.value["services"].value.keys())
    reader = loader.reader
    normal = normalise(model | {"name": project}, posixpath.join(TREE, folder), literal=True)
    return ExpectedStack(
        normal,
        missing | loader.unknowns,
        tuple(inactive),
        tuple(dict.fromkeys(reader.problems)),
        tuple(reader.unset),
        report,
        active,
    )


def _positions(node: Node, path: Path) -> Iterator[tuple[Path, Mark]]:
    yield path, node.mark
    for key, item in node.entries().items():
        yield from _positions(item, (*path, key))
    for index, item in enumerate(node.items()):
        yield from _positions(item, (*path, index))


def located(node: Node, where: str, *, of_key: bool = False) -> Mark | None:
    """Return the place of a value below a node, or of its key, or of the last one on the way; None without one."""
    found: Node | None = None
    while where:
        step = _step(found or node, where)
        if step is None:
            break
        found, where = step
    return None if found is None else (of_key and found.key) or found.mark


def _step(node: Node, where: str) -> tuple[Node, str] | None:
    """Return the next node on a path, and what is left of the path; a key may itself have dots."""
    index = _STEP.match(where)
    if index is not None:
        items = node.items()
        number = int(index[1])
        return (items[number], where[index.end() :].removeprefix(".")) if number < len(items) else None
    fits = [key for key in node.entries() if where.startswith(key) and where[len(key) :][:1] in ("", ".", "[")]
    key = max(fits, key=len, default=None)
    return None if key is None else (node.entries()[key], where[len(key) :].removeprefix("."))
