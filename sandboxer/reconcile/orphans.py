"""Sandboxes on the hosts that git does not want: orphans, and the imperative ones that it never knew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Phase, Reason, Sync
from sandboxer.reconcile.change import change_of, unknown, unseen
from sandboxer.reconcile.decide import drain_first
from sandboxer.reconcile.expiry import expired

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.scene import Scene
    from sandboxer.reconcile.sight import Sight


def leftovers_of_git(scene: Scene) -> tuple[list[Change], list[Change]]:
    """The changes for what is ours and has no manifest, and apart from them the imperative sandboxes that stay.

    Without a record there is a change only for an imperative sandbox that has outlived its labels; all else that has
    neither record nor manifest is unmanaged, kind ambiguous.
    """
    changes: list[Change] = []
    imperative: list[Change] = []
    for sight in unwanted(scene):
        record, retired = sight.record, sight.host in scene.fleet.retired
        if record is None:
            if outlived(sight, scene):
                message = f"its record is gone, and its labels let it live until {_moment(sight.until)}"
                changes.append(change_of(sight, Action.DELETE, Reason.DELETE_EXPIRED, message))
        elif (
            sight.doubt
            or retired
            or record.origin == "git"
            or expired(record.expires_at, _clock(sight, scene), scene.now)
        ):
            changes.append(_orphan(sight, record, scene))
        else:
            sync = None if sight.settled else Sync.OUT_OF_SYNC
            stays = change_of(sight, Action.NO_OP, Reason.NO_OP_SYNCED, "imperative: git leaves it alone", sync=sync)
            imperative.append(stays)
    return changes, imperative


def unwanted(scene: Scene) -> Iterator[Sight]:
    """All that the hosts show and git does not have, by host and id."""
    wanted = {sandbox.id for sandbox in scene.fleet.sandboxes.values()}
    for host in sorted(scene.surveys):
        yield from (sight for identifier, sight in scene.surveys[host].sights.items() if identifier not in wanted)


def outlived(sight: Sight, scene: Scene) -> bool:
    """Whether it is an imperative sandbox whose record is gone, and past the last moment that its labels allow."""
    if sight.record or sight.doubt or sight.origin != "api" or sight.until is None or scene.gap(sight):
        return False
    return expired(sight.until, _clock(sight, scene), scene.now)


def _clock(sight: Sight, scene: Scene) -> datetime:
    return scene.looks[sight.host].clock


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else "an unknown time"


def _orphan(sight: Sight, record: Record, scene: Scene) -> Change:
    gap = scene.gap(sight)
    if sight.doubt:
        return unknown(sight, Reason.BLOCKED_AMBIGUOUS, sight.doubt)
    if gap is not None:
        return unseen(sight, gap)
    if expired(record.expires_at, _clock(sight, scene), scene.now):
        message = f"it expired at {_moment(record.expires_at)}"
        return change_of(sight, Action.DELETE, Reason.DELETE_EXPIRED, message)
    if record.origin == "git" and (record.sync_policy.prune or record.phase is Phase.DESTROYING):
        return change_of(sight, Action.DELETE, Reason.DELETE_ORPHANED, "its manifest is gone from git")
    if sight.host in scene.fleet.retired:
        return change_of(sight, Action.BLOCKED, Reason.BLOCKED_NO_HOST, drain_first(sight.host))
    message = "its manifest is gone, and it says prune: false"
    return change_of(sight, Action.NO_OP, Reason.NO_OP_PRUNE_DISABLED, message, sync=Sync.OUT_OF_SYNC)
