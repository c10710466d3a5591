"""The planner's options: what a run requests beyond the manifests."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandboxer.errors import UnknownName
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named, printable
from sandboxer.reconcile.change import decided_as

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sandboxer.model.plan import Change
    from sandboxer.model.selector import Selector

# No name has one of these.
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one run of the planner.

    ``targets``, ``excluded``, ``selector`` and ``hosts`` limit the changes, deletes included, and never what is
    observed. The first two are names or globs until ``resolved`` replaces the globs; ``selected`` are then the names
    with labels that ``selector`` selects.
    ``replaced`` are sandboxes to recreate. ``stale`` are hosts where a newer commit was applied, ``renamed`` hosts with
    a former name of the fleet under which they have sandboxes. The rest lift a guard: a number of deletes, an empty
    fleet, another repository's sandboxes, a removed host, an older commit (``stale`` is empty then), another name
    (``renamed`` is empty then). Without ``prune`` nothing is deleted; with ``only_deletes`` nothing else is done, and
    with ``only_expired`` only expired sandboxes are deleted.
    """

    targets: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    selector: Selector | None = None
    selected: frozenset[str] | None = None
    replaced: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    renamed: frozenset[tuple[str, str]] = frozenset()
    forgotten: frozenset[str] = frozenset()
    max_deletes: int | None = None
    allow_empty: bool = False
    adopt_fleet: bool = False
    allow_rollback: bool = False
    allow_rename: bool = False
    prune: bool = True
    only_deletes: bool = False
    only_expired: bool = False

    def resolved(self, sandboxes: Mapping[str, Mapping[str, str]], hosts: Collection[str]) -> Options:
        """Return the options with names in place of globs and of the selector.

        ``sandboxes`` are the labels of each, in git or on hosts, by name. Raise UnknownName if a name is neither one of
        them nor of ``hosts``, or a glob matches none.
        """
        for selector, names, known in (("replaced", self.replaced, sandboxes.keys()), ("hosts", self.hosts, hosts)):
            for name in sorted(names.difference(known)):
                raise unknown_name(selector, name, known)
        selects = self.selector.selects if self.selector else None
        return replace(
            self,
            targets=_expanded("targets", self.targets, sandboxes),
            excluded=_expanded("excluded", self.excluded, sandboxes),
            selected=frozenset(name for name, labels in sandboxes.items() if selects(labels)) if selects else None,
        )

    def wants(self, change: Change) -> bool:
        """Return whether the selectors include this change."""
        if self.targets and change.sandbox not in self.targets:
            return False
        if change.sandbox in self.excluded or (self.selected is not None and change.sandbox not in self.selected):
            return False
        if self.only_expired and not change.expired:
            return False
        return not self.hosts or change.host in self.hosts or change.from_host in self.hosts

    def pruning(self, change: Change) -> Change:
        """Return the change; without ``prune``, a no-op in place of a delete."""
        if self.prune or change.action is not Action.DELETE:
            return change
        message = f"{change.message}, and this run does not delete"
        return replace(decided_as(change, Action.NO_OP, Reason.NO_OP_PRUNE_DISABLED, message), volumes=())


def _expanded(selector: str, names: Collection[str], known: Collection[str]) -> frozenset[str]:
    """Return the names, with those that match in place of each glob."""
    expanded: set[str] = set()
    for name in sorted(names):
        found = fnmatch.filter(known, name) if _GLOB.search(name) else [name] if name in known else []
        if not found:
            raise unknown_name(selector, name, known)
        expanded.update(found)
    return frozenset(expanded)


def unknown_name(selector: str, name: str, known: Collection[str]) -> UnknownName:
    """Return the error for a name that a selector of hosts or sandboxes names, and that is not among the known ones."""
    if _GLOB.search(name):
        what, otherwise = f"no sandbox in git or on the hosts matches `{printable(name)}`", "correct the pattern"
    elif selector == "hosts":
        what, otherwise = f"no {named('host', name)} in git", "add a Host manifest first"
    else:
        what, otherwise = f"no {named('sandbox', name)} in git or on the hosts", "add a Sandbox manifest first"
    return UnknownName(selector, what, hint=did_you_mean(name, known) or otherwise)
