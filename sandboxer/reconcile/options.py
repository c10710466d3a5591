"""The planner's options: what a run requests beyond the manifests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandboxer.errors import UnknownName
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.reconcile.change import decided_as

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandboxer.model.plan import Change


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one run of the planner.

    ``targets``, ``excluded`` and ``hosts`` limit the changes, deletes included, and never what is observed.
    ``replaced`` are sandboxes to recreate. ``stale`` are hosts where a newer commit was applied, ``renamed`` hosts with
    a former name of the fleet under which they have sandboxes. The rest lift a guard: a number of deletes, an empty
    fleet, another repository's sandboxes, a removed host, an older commit (``stale`` is empty then), another name
    (``renamed`` is empty then). Without ``prune`` nothing is deleted; with ``only_deletes`` nothing else is done, and
    with ``only_expired`` only expired sandboxes are deleted.
    """

    targets: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
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

    def check(self, sandboxes: Collection[str], hosts: Collection[str]) -> None:
        """Raise UnknownName if a name is not one of these ``sandboxes``, in git or on hosts, or of these ``hosts``."""
        for selector, names, known, kind in (
            ("targets", self.targets, sandboxes, "sandbox in git or on the hosts"),
            ("excluded", self.excluded, sandboxes, "sandbox in git or on the hosts"),
            ("replaced", self.replaced, sandboxes, "sandbox in git or on the hosts"),
            ("hosts", self.hosts, hosts, "host"),
        ):
            for name in sorted(names.difference(known)):
                from difflib import get_close_matches  # only a wrong name needs it

                near = get_close_matches(name, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"choose one of: {', '.join(sorted(known)) or 'none'}"
                raise UnknownName(selector, f"{name}: there is no such {kind}", hint=hint)

    def wants(self, change: Change) -> bool:
        """Return whether the selectors include this change."""
        if self.targets and change.sandbox not in self.targets:
            return False
        if change.sandbox in self.excluded:
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
