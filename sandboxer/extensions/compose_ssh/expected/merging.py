"""Merges compose files by Compose's rules: mappings by key, lists one behind the other, and what has its own rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.expected.canonical import mount_target, parsed_volume
from sandboxer.extensions.compose_ssh.expected.nodes import Node, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandboxer.extensions.compose_ssh.expected.nodes import Budget

    Rule = Callable[[Node, Node, "Path", Budget], Node]

Path = tuple[str, ...]


class NotMergedError(ValueError):
    """Two files have values of different kinds at the same place."""


def merged(base: Node, over: Node, path: Path, budget: Budget) -> Node:
    """Return two values of the same place as one. Raise NotMergedError if Compose would refuse them."""
    budget.spend()
    rule = _rule(path)
    if rule is not None:
        return rule(base, over, path, budget)
    if over.value is None and not over.unknown:
        return base
    if isinstance(base.value, dict):
        if not isinstance(over.value, dict):
            raise NotMergedError(f"{'.'.join(path)} is a mapping in another file")
        return _mappings(base, over, path, budget)
    if isinstance(base.value, list):
        if not isinstance(over.value, list):
            raise NotMergedError(f"{'.'.join(path)} is a list in another file")
        budget.spend(len(base.value) + len(over.value))
        return over.holding([*base.value, *over.value])
    return over


def _mappings(base: Node, over: Node, path: Path, budget: Budget) -> Node:
    budget.spend(len(base.entries()) + len(over.entries()))
    result = dict(base.entries())
    for key, item in over.entries().items():
        result[key] = merged(result[key], item, (*path, key), budget) if key in result else item
    return over.holding(result)


def _replaced(_base: Node, over: Node, _path: Path, _budget: Budget) -> Node:
    return over


def _sequences(base: Node, over: Node, _path: Path, budget: Budget) -> Node:
    items = [*as_list(base), *as_list(over)]
    budget.spend(len(items))
    return over.holding(items)


def as_list(node: Node) -> list[Node]:
    """Return a mapping's entries as texts ``key=value``, or what is a list or one text already."""
    if isinstance(node.value, list):
        return node.value
    if not isinstance(node.value, dict):
        return [] if node.value is None else [node]
    found: list[tuple[str, Node]] = []
    for key, item in node.value.items():
        for one in item.items() or [item]:
            text = key if one.value is None else f"{key}={shown(one.value)}"
            found.append((text, Node(text, item.mark, None, one.unknown)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _hosts(base: Node, over: Node, _path: Path, budget: Budget) -> Node:
    first = as_list(base)
    there = {shown(item.value) for item in first}
    budget.spend(len(first) + len(over.entries() or over.items()))
    return over.holding([*first, *(item for item in as_list(over) if shown(item.value) not in there)])


def _named(default: dict[str, object] | None) -> Rule:
    """Return a rule for lists of names that are short for a mapping."""

    def as_mapping(node: Node) -> Node:
        if not isinstance(node.value, list):
            return node
        inner = None if default is None else {key: Node(value, node.at) for key, value in default.items()}
        return node.holding({shown(item.value): Node(inner, item.at, item.at) for item in node.value})

    def rule(base: Node, over: Node, path: Path, budget: Budget) -> Node:
        return _mappings(as_mapping(base), as_mapping(over), path, budget)

    return rule


def _build(base: Node, over: Node, path: Path, budget: Budget) -> Node:
    def long(node: Node) -> Node:
        if not isinstance(node.value, str):
            return node
        return node.holding({"context": Node(node.value, node.at, node.key, node.unknown)})

    return _mappings(long(base), long(over), path, budget)


def _logging(base: Node, over: Node, path: Path, budget: Budget) -> Node:
    first, second = base.get("driver"), over.get("driver")
    if first is None or second is None or first.value == second.value:
        return _mappings(base, over, path, budget)
    return over


_DEPENDS = {"condition": "service_started", "required": True}
_SERVICE_RULES: dict[Path, Rule] = {
    ("build",): _build,
    ("command",): _replaced,
    ("depends_on",): _named(_DEPENDS),
    ("entrypoint",): _replaced,
    ("extra_hosts",): _hosts,
    ("build", "extra_hosts"): _hosts,
    ("healthcheck", "test"): _replaced,
    ("logging",): _logging,
    ("networks",): _named(None),
    **dict.fromkeys(
        [(key,) for key in ("annotations", "dns", "dns_opt", "dns_search", "env_file", "environment", "label_file",
                            "labels", "sysctls", "tmpfs")]
        + [("build", key) for key in ("args", "additional_contexts", "labels")]
        + [("deploy", "labels")],
        _sequences,
    ),
}  # fmt: skip


def _rule(path: Path) -> Rule | None:
    if path[:1] == ("services",) and len(path) > 2:
        below = path[2:]
        return _replaced if len(below) == 2 and below[0] == "ulimits" else _SERVICE_RULES.get(below)
    if len(path) == 3 and path[0] in ("networks", "volumes") and path[2] == "labels":
        return _sequences
    return None


def without(node: Node, path: Path) -> Node:
    """Return a node without what is at a path below it."""
    if path[0] not in node.entries():
        return node
    if len(path) == 1:
        return node.holding({key: item for key, item in node.value.items() if key != path[0]})
    return node.with_entry(path[0], without(node.value[path[0]], path[1:]))


def untagged(node: Node, tags: Iterable[Path], prefix: Path = ()) -> Node:
    """Return what stands at ``prefix`` without what the tags of a later document remove there."""
    for tag in tags:
        if tag[: len(prefix)] == prefix and len(tag) > len(prefix):
            node = without(node, tag[len(prefix) :])
    return node


def _by_key(item: Node) -> str:
    return shown(item.value).partition("=")[0]


def _by_target(default: str) -> Callable[[Node], str]:
    def key(item: Node) -> str:
        target, source = item.get("target"), item.get("source")
        if target is not None:
            return shown(target.value)
        return f"{default}/{shown(source.value if source is not None else item.value)}"

    return key


def _by_mount(item: Node) -> str:
    return mount_target(parsed_volume(item))


def _by_path(item: Node) -> str:
    path = item.get("path")
    return shown(path.value if path is not None else item.value)


def _by_text(item: Node) -> str:
    return shown(item.value)


_UNIQUE: dict[Path, Callable[[Node], str]] = {
    ("configs",): _by_target(""),
    ("secrets",): _by_target("/run/secrets"),
    ("env_file",): _by_path,
    ("expose",): _by_text,
    ("volumes",): _by_mount,
    **dict.fromkeys(
        [(key,) for key in ("annotations", "cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "environment",
                            "labels", "links", "profiles", "sysctls", "tmpfs")]
        + [("build", key) for key in ("args", "additional_contexts", "tags", "labels")]
        + [("deploy", "labels")],
        _by_key,
    ),
}  # fmt: skip


def unique(service: Node) -> Node:
    """Return a service whose lists have each item once: of two with the same key, the later one in the first's place.

    What Compose cannot find a key of is left as it is.
    """
    for path, key in _UNIQUE.items():
        found = service.get(*path)
        if found is None or not isinstance(found.value, list) or len(found.value) < 2:
            continue
        kept = list({key(item): item for item in found.value}.values())
        if len(kept) == len(found.value):
            continue
        if len(path) == 1:
            service = service.with_entry(path[0], found.holding(kept))
        else:
            outer = service.entries()[path[0]]
            service = service.with_entry(path[0], outer.with_entry(path[1], found.holding(kept)))
    return service
