"""Compose's way from files to services: each document is extended, put on the ones before it, and made long."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import env_files
from sandboxer.extensions.compose_ssh.expected.canonical import as_mapping, long_form, placed, placed_resource
from sandboxer.extensions.compose_ssh.expected.finishing import finished, resolved
from sandboxer.extensions.compose_ssh.expected.interpolation import Environment
from sandboxer.extensions.compose_ssh.expected.merging import NotMergedError, merged, unique, untagged
from sandboxer.extensions.compose_ssh.expected.nodes import Mark, Node, plain, shown
from sandboxer.extensions.compose_ssh.expected.reader import Problem, Reader
from sandboxer.extensions.compose_ssh.plain_form import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sandboxer.extensions.compose_ssh.expected.nodes import Budget, Path
    from sandboxer.extensions.compose_ssh.expected.reader import Document, Tags
    from sandboxer.extensions.compose_ssh.source import SourceReport

MAX_EXTENDS = 100
MAX_INCLUDES = 50
MAX_VARIABLES = 1024 * 1024


class Loader:
    """Loads compose files that the raw reader has accepted; ``root`` is the folder below which their paths are.

    ``unknowns`` collects what could not be evaluated exactly, beyond single values.
    """

    def __init__(self, report: SourceReport, budget: Budget, root: str, *, podman: bool = False) -> None:
        self.reader = Reader(report.places, budget)
        self.unknowns: dict[Path, str] = {}
        self._report = report
        self._budget = budget
        self._root = root
        self._podman = podman
        self._documents: dict[tuple[str, int], list[Document]] = {}
        self._environments: list[Environment] = []  # each is kept, so that its identity stays its own
        self._bases: dict[tuple[str, int], tuple[dict[str, Node], Tags]] = {}

    def load(self, paths: Sequence[str], folder: str, environment: Environment, trail: tuple[str, ...] = ()) -> Node:
        """Return the files of one project, merged: the top-level sections, with services in their long form.

        ``folder`` is the project's directory, ``trail`` the files on whose behalf they are included.
        """
        stack = Node({}, Mark(paths[0] if paths else ""))
        for path in paths:
            for document in self._read(path, environment):
                node = self._included(document.node, folder, environment, (*trail, path))
                stack = untagged(stack, document.tags)
                node = self._extended(node, document.tags, path, folder, environment)
                stack = self._put(stack, node)
        return self._placed(_resolved_lists(stack, environment), folder, defaults=True)

    def active(self, stack: Node, profiles: Collection[str], environment: Environment) -> Node:
        """Return the sections with those services that the profiles activate, as Compose prints them."""
        services = stack.get("services") or Node({}, stack.at)
        kept = {name: node for name, node in services.entries().items() if _is_active(node, profiles)}
        made = {name: self._finished(name, node, environment) for name, node in kept.items()}
        models = stack.get("models")
        left = () if models is None or models.value else ("models",)  # an empty section, which Compose drops
        sections = {key: node for key, node in stack.entries().items() if key not in ("name", "version", *left)}
        return stack.holding(sections | {"services": services.holding(made)})

    def _finished(self, name: str, node: Node, environment: Environment) -> Node:
        if not isinstance(node.value, dict):
            return node
        node = finished(node, environment)
        for item in node.entries()["env_file"].items() if "env_file" in node.entries() else ():
            file = item.get("path") or item
            if b"$" in self._report.opened.get(posixpath.relpath(shown(file.value), self._root), b""):
                self.unknowns["services", name, "env_file"] = "it has a file whose variables are not filled in here"
        files = node.get("label_file")
        if files is not None:
            node = self._with_label_files(node, files, ("services", name, "labels"))
        return node

    def _with_label_files(self, node: Node, files: Node, path: Path) -> Node:
        found: dict[str, Node] = {}
        for item in files.items():
            data = self._report.opened.get(posixpath.relpath(shown(item.value), self._root))
            values = None if data is None else _variables(data)
            if values is None:
                self.unknowns[path] = "it has a file whose variables are not filled in here"
            for key, text in (values or {}).items():
                found[key] = Node(text, item.at, item.key)
        labels = node.get("labels")
        made = found | (labels.entries() if labels is not None else {})
        node = node.with_entry("labels", (labels or files).holding(made))
        return node.holding({key: item for key, item in node.value.items() if key != "label_file"})

    def _read(self, path: str, environment: Environment) -> list[Document]:
        key = (path, id(environment))
        if key not in self._documents:
            given = [one for one in self._report.documents.get(path, ()) if one is not None]
            self._documents[key] = [self.reader.document(one, path, environment) for one in given]
        return self._documents[key]

    def _put(self, stack: Node, node: Node) -> Node:
        """Put one document on those before it."""
        try:
            stack = merged(stack, node, (), self._budget)
        except NotMergedError as error:
            self.unknowns[()] = str(error)
        services = stack.get("services")
        if services is None or not isinstance(services.value, dict):
            return stack
        made = {name: _made_long(one) for name, one in services.value.items()}
        return stack.with_entry("services", services.holding(made))

    def _placed(self, stack: Node, folder: str, *, defaults: bool) -> Node:
        """Make the paths of a project absolute."""
        base = posixpath.normpath(posixpath.join(self._root, folder))
        services = stack.get("services")
        if services is not None and isinstance(services.value, dict):
            made = {}
            for name, service in services.value.items():
                one = _with_defaults(service) if defaults else service
                made[name] = placed(one, base) if isinstance(one.value, dict) else one
            stack = stack.with_entry("services", services.holding(made))
        for kind in ("secrets", "configs"):
            section = stack.get(kind)
            if section is not None and isinstance(section.value, dict):
                entries = {name: placed_resource(one, base) for name, one in section.value.items()}
                stack = stack.with_entry(kind, section.holding(entries))
        return stack

    # --- extends

    def _extended(self, node: Node, tags: Tags, file: str, folder: str, environment: Environment) -> Node:
        services = node.get("services")
        if services is None or not isinstance(services.value, dict):
            return node
        made = dict(services.value)
        for name in services.value:
            made[name] = self._extend(name, made, tags, file, folder, environment, ())
        return node.with_entry("services", services.holding(made))

    def _extend(
        self,
        name: str,
        services: dict[str, Node],
        tags: Tags,
        file: str,
        folder: str,
        environment: Environment,
        trail: tuple[tuple[str, str], ...],
    ) -> Node:
        """Return a service with what it extends below it."""
        service = services[name]
        extends = service.get("extends")
        if extends is None or extends.value is None:
            return service
        if (file, name) in trail or len(trail) >= MAX_EXTENDS:
            self.reader.problems.append(Problem(extends.mark, f"`{name}` extends itself"))
            return _without_extends(service)
        long = extends.entries() or {"service": extends}
        target, path = long.get("service"), long.get("file")
        ref = shown(target.value) if target is not None else ""
        others, other_tags, place, other = services, tags, folder, file
        if path is not None and path.value is not None:
            other = posixpath.normpath(posixpath.join(folder, shown(path.value)))
            place = posixpath.dirname(other)
            others, other_tags = self._base(other, environment)
        if ref not in others:
            self.reader.problems.append(
                Problem((target or extends).mark, f"`{name}` extends `{ref}`, and {other} has no such service")
            )
            return _without_extends(service)
        base = self._extend(ref, others, other_tags, other, place, environment, (*trail, (file, name)))
        base = untagged(base, tags, ("services", name))
        try:
            result = merged(base, service, ("services", name), self._budget)
        except NotMergedError as error:
            self.unknowns["services", name] = str(error)
            result = service
        services[name] = _without_extends(result)
        return services[name]

    def _base(self, file: str, environment: Environment) -> tuple[dict[str, Node], Tags]:
        """Return the services of a file that others extend, their paths absolute, and the file's tags."""
        key = (file, id(environment))
        if key not in self._bases:
            stack = Node({}, Mark(file))
            tags: Tags = ()
            for document in self._read(file, environment):
                stack = self._put(untagged(stack, document.tags), document.node)
                tags = document.tags
            stack = self._placed(stack, posixpath.dirname(file), defaults=False)
            services = stack.get("services")
            self._bases[key] = dict(services.entries()) if services is not None else {}, tags
        return self._bases[key]

    # --- include

    def _included(self, node: Node, folder: str, environment: Environment, trail: tuple[str, ...]) -> Node:
        include = node.get("include")
        if include is None:
            return node
        for item in include.items() or [include]:
            long = item.entries() or {"path": item}
            path = long.get("path")
            paths = [_below(folder, one) for one in (path.items() or [path] if path is not None else [])]
            if not paths or paths[0] in trail or len(trail) > MAX_INCLUDES:
                self.unknowns[()] = "an include leads to a file that includes it"
                continue
            own = long.get("project_directory")
            place = _below(folder, own) if own is not None and own.value else posixpath.dirname(paths[0])
            inner = self._environment(long.get("env_file"), folder, place, environment)
            stack = self.load(paths, place, inner, trail)
            node = self._imported(stack, node)
        return node.holding({key: one for key, one in node.value.items() if key != "include"})

    def _environment(self, given: Node | None, folder: str, place: str, outer: Environment) -> Environment:
        """Return the variables of an included project: those around it, and what its own env files add."""
        names = [] if given is None else [one for one in given.items() or [given] if one.value is not None]
        files = [_below(folder, one) for one in names if one.value != "/dev/null"]
        if not names and not self._podman and posixpath.join(place, ".env") in self._report.opened:
            files = [posixpath.join(place, ".env")]
        added: dict[str, str | None] = {}
        for file in files:
            data = self._report.opened.get(file, b"")
            known = env_files.variables(data, {}, MAX_VARIABLES)
            added |= {name: None if b"$" in data else value for name, value in known.items()}
        environment = Environment({**added, **outer.values})
        self._environments.append(environment)
        return environment

    def _imported(self, stack: Node, node: Node) -> Node:
        """Add what an included project has to the document that includes it."""
        for kind in SECTIONS:
            source = stack.get(kind)
            for name, entry in source.entries().items() if source is not None else ():
                section = node.get(kind) or Node({}, entry.at)
                there = section.get(name)
                if there is not None and plain(there, self._budget) != plain(entry, self._budget):
                    self.unknowns[kind, name] = "it is in an included file too"
                    continue
                node = node.with_entry(kind, section.with_entry(name, entry))
        return node


def _below(folder: str, path: Node) -> str:
    found = posixpath.normpath(posixpath.join(folder, shown(path.value)))
    return "" if found == "." else found


def _variables(data: bytes) -> Mapping[str, Any] | None:
    """Return the variables of a file of labels; None if it would be filled in."""
    return None if b"$" in data else env_files.variables(data, {}, MAX_VARIABLES)


def _without_extends(service: Node) -> Node:
    return service.holding({key: item for key, item in service.entries().items() if key != "extends"})


def _resolved_lists(stack: Node, environment: Environment) -> Node:
    """Fill in the variables that services of a project list by name alone: those of mappings are filled in last."""
    services = stack.get("services")
    if services is None or not isinstance(services.value, dict):
        return stack
    made = {}
    for name, service in services.value.items():
        given = service.get("environment")
        listed = given is not None and isinstance(given.value, list)
        made[name] = service.with_entry("environment", resolved(as_mapping(given), environment)) if listed else service
    return stack.with_entry("services", services.holding(made))


def _made_long(service: Node) -> Node:
    return unique(long_form(unique(service))) if isinstance(service.value, dict) else service


def _with_defaults(service: Node) -> Node:
    build = service.get("build")
    if build is not None and isinstance(build.value, dict) and "context" not in build.value:
        service = service.with_entry("build", build.with_entry("context", Node(".", build.at, build.key)))
    secrets = service.get("secrets")
    if secrets is None or not isinstance(secrets.value, list):
        return service
    return service.with_entry("secrets", secrets.holding([_with_target(item) for item in secrets.value]))


def _with_target(secret: Node) -> Node:
    source = secret.get("source")
    if source is None or "target" in secret.value:
        return secret
    return secret.with_entry("target", Node(f"/run/secrets/{shown(source.value)}", secret.at))


def _is_active(service: Node, profiles: Collection[str]) -> bool:
    needed = service.get("profiles")
    names = [shown(one.value) for one in needed.items()] if needed is not None else []
    return not names or "*" in profiles or any(name in profiles for name in names)
