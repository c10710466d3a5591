"""The long form of a service's keys, as Compose makes it before and after files are merged."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.expected.nodes import Node, shown
from sandboxer.extensions.compose_ssh.normal import REMOTE_CONTEXT, absolute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.compose_ssh.expected.nodes import Mark

_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_SELINUX = ("z", "Z")


def long_form(service: Node) -> Node:
    """Return a service with every short syntax written out that has a meaning for merging."""
    for key, change in _LONG.items():
        found = service.get(key)
        if found is not None and found.value is not None and not found.unknown:
            made = change(found)
            service = service if made is found else service.with_entry(key, made)
    return service


def _each(change: Callable[[Node], Node]) -> Callable[[Node], Node]:
    def all_of(node: Node) -> Node:
        return node.holding([change(item) for item in node.value]) if isinstance(node.value, list) else node

    return all_of


def _build(node: Node) -> Node:
    if isinstance(node.value, str):
        node = node.holding({"context": Node(node.value, node.at, node.key, node.unknown)})
    secrets, more = node.get("secrets"), node.get("additional_contexts")
    if secrets is not None:
        node = node.with_entry("secrets", _each(_reference)(secrets))
    if more is not None and isinstance(more.value, list):
        node = node.with_entry("additional_contexts", as_mapping(more))
    return node


def as_mapping(node: Node) -> Node:
    """Return a list of ``key=value`` as a mapping; what is a mapping already stays."""
    if not isinstance(node.value, list):
        return node
    found = {}
    for item in node.value:
        key, equals, text = shown(item.value).partition("=")
        found[key] = Node(text if equals else None, item.at, item.at, item.unknown)
    return node.holding(found)


def _reference(node: Node) -> Node:
    return (
        node
        if isinstance(node.value, dict)
        else node.holding({"source": Node(node.value, node.at, None, node.unknown)})
    )


def _env_files(node: Node) -> Node:
    items = node.value if isinstance(node.value, list) else [Node(node.value, node.at)]
    return node.holding([_env_file(item) for item in items])


def _env_file(node: Node) -> Node:
    if isinstance(node.value, str):
        node = node.holding({"path": Node(node.value, node.at, None, node.unknown)})
    if isinstance(node.value, dict) and "required" not in node.value:
        node = node.with_entry("required", Node(True, node.at))
    return node


def _networks(node: Node) -> Node:
    if not isinstance(node.value, list):
        return node
    return node.holding({shown(item.value): Node(None, item.at, item.at, item.unknown) for item in node.value})


def _depends_on(node: Node) -> Node:
    names = {shown(item.value): Node({}, item.at, item.at, item.unknown) for item in node.items()} or node.entries()
    return node.holding({name: dependency(entry) for name, entry in names.items()})


def dependency(entry: Node, *, restart: bool = False) -> Node:
    """Return a dependency on a service with what Compose adds by itself."""
    if not isinstance(entry.value, dict):
        return entry
    given = {"condition": "service_started", "required": True} | ({"restart": True} if restart else {})
    added = {key: Node(value, entry.at) for key, value in given.items() if key not in entry.value}
    return entry.holding(entry.value | added)


def _as_list(node: Node) -> Node:
    return node.holding([Node(node.value, node.at, None, node.unknown)]) if isinstance(node.value, str) else node


def parsed_volume(node: Node) -> Node:
    """Return a mount in the long form; one that Compose cannot read stays as it is."""
    text = node.value
    if not isinstance(text, str) or not text or node.unknown:
        return node
    parts = _parts(text)
    if len(parts) > 3 or not all(parts):
        return node
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    bind = source[:1] in (".", "/", "~")
    found: dict[str, object] = {"type": "bind" if bind else "volume"}
    if source:
        found["source"] = source
    found["target"] = posixpath.normpath(target)
    inner: dict[str, object] = {"create_host_path": True} if bind else {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            found["read_only"] = option == "ro"
        elif option == "nocopy" and not bind:
            inner["nocopy"] = True
        elif option in (*_PROPAGATION, *_SELINUX):
            found.setdefault("bind", {"create_host_path": True} if bind else {})
            inner = inner | {"selinux" if option in _SELINUX else "propagation": option} if bind else inner
    found[str(found["type"])] = inner
    return node.holding({key: _nodes(value, node.at) for key, value in found.items()})


def _parts(text: str) -> list[str]:
    """Return what colons part; as in Compose, not the one behind a single letter, which would be a Windows drive."""
    if len(text) < 3:
        return [text]
    parts = [""]
    for character in text:
        if character == ":" and not (len(parts[-1]) == 1 and parts[-1].isalpha()):
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _nodes(value: object, at: Mark) -> Node:
    return Node({key: Node(item, at) for key, item in value.items()} if isinstance(value, dict) else value, at)


def mount_target(volume: Node) -> str:
    """Return where a mount in the long form is in the container."""
    target = volume.get("target")
    return shown(target.value) if target is not None else shown(volume.value)


_LONG: dict[str, Callable[[Node], Node]] = {
    "build": _build,
    "configs": _each(_reference),
    "depends_on": _depends_on,
    "dns": _as_list,
    "env_file": _env_files,
    "label_file": _as_list,
    "networks": _networks,
    "secrets": _each(_reference),
    "volumes": _each(parsed_volume),
}


def placed(service: Node, folder: str) -> Node:
    """Return a service whose paths, relative to ``folder``, are absolute."""
    build = service.get("build")
    if build is not None and isinstance(build.value, dict):
        if (context := build.get("context")) is not None:
            build = build.with_entry("context", _context(context, folder))
        if (more := build.get("additional_contexts")) is not None and isinstance(more.value, dict):
            contexts = {key: _context(item, folder) for key, item in more.value.items()}
            build = build.with_entry("additional_contexts", more.holding(contexts))
        service = service.with_entry("build", build)
    for key, inner in (("env_file", "path"), ("volumes", "source")):
        found = service.get(key)
        if found is not None and isinstance(found.value, list):
            items = [_inner_path(item, inner, folder) for item in found.value]
            service = service.with_entry(key, found.holding(items))
    found = service.get("label_file")
    if found is not None and isinstance(found.value, list):
        service = service.with_entry("label_file", found.holding([_path(item, folder) for item in found.value]))
    return service


def _inner_path(item: Node, key: str, folder: str) -> Node:
    kind, path = item.get("type"), item.get(key)
    if path is None or (key == "source" and (kind is None or kind.value != "bind")):
        return item
    return item.with_entry(key, _path(path, folder))


def _path(node: Node, folder: str) -> Node:
    return node.holding(absolute(node.value, folder)) if isinstance(node.value, str) and node.value else node


def _context(node: Node, folder: str) -> Node:
    text = node.value
    if not isinstance(text, str) or text.startswith("service:") or REMOTE_CONTEXT.match(text):
        return node
    return node.holding(absolute(text, folder))


def placed_resource(entry: Node, folder: str) -> Node:
    """Return a secret or config whose file, relative to ``folder``, is absolute."""
    file = entry.get("file")
    return entry if file is None else entry.with_entry("file", _path(file, folder))
