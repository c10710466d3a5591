"""Sandboxes on the hosts that git does not declare: orphans and imperative sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Phase, Reason, Sync
from sandboxer.reconcile.change import change_of, expired_delete, unknown, unseen
from sandboxer.reconcile.decide import homeless
from sandboxer.reconcile.expiry import expired

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.fleet_state import FleetState
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox


def leftovers_of_git(fleet_state: FleetState) -> tuple[list[Change], list[Change]]:
    """Return the changes of what is ours without a manifest, and separately the imperative sandboxes that stay.

    Without a record, only an imperative sandbox that has outlived its labels gets a change; anything else without
    record and manifest is unmanaged, of kind ambiguous.
    """
    changes: list[Change] = []
    imperative: list[Change] = []
    for observed in unwanted(fleet_state):
        record, retired = observed.record, observed.host in fleet_state.fleet.retired
        if record is None:
            if outlived(observed, fleet_state):
                message = f"its record is gone, and its labels let it live until {_moment(observed.latest_expiry)}"
                changes.append(expired_delete(observed, message))
        elif (
            observed.conflict
            or retired
            or record.origin == "git"
            or expired(record.expires_at, _clock(observed, fleet_state), fleet_state.now)
        ):
            changes.append(_orphan(observed, record, fleet_state))
        else:
            sync = None if observed.is_ready else Sync.OUT_OF_SYNC
            stays = change_of(observed, Action.NO_OP, Reason.NO_OP_SYNCED, "imperative: git leaves it alone", sync=sync)
            imperative.append(stays)
    return changes, imperative


def unwanted(fleet_state: FleetState) -> Iterator[ObservedSandbox]:
    """Yield every observed sandbox that git does not have, by host and ID."""
    desired = {sandbox.id for sandbox in fleet_state.fleet.sandboxes.values()}
    for host in sorted(fleet_state.observed_hosts):
        yield from (
            observed
            for identifier, observed in fleet_state.observed_hosts[host].copies.items()
            if identifier not in desired
        )


def outlived(observed: ObservedSandbox, fleet_state: FleetState) -> bool:
    """Return whether this is an imperative sandbox without a record that has passed the limit in its labels."""
    if (
        observed.record
        or observed.conflict
        or observed.origin != "api"
        or observed.latest_expiry is None
        or fleet_state.unknown_host(observed)
    ):
        return False
    return expired(observed.latest_expiry, _clock(observed, fleet_state), fleet_state.now)


def _clock(observed: ObservedSandbox, fleet_state: FleetState) -> datetime:
    return fleet_state.observations[observed.host].clock


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else "an unknown time"


def _orphan(observed: ObservedSandbox, record: Record, fleet_state: FleetState) -> Change:
    unknown_host = fleet_state.unknown_host(observed)
    if observed.conflict:
        return unknown(observed, Reason.BLOCKED_AMBIGUOUS, observed.conflict)
    if unknown_host is not None:
        return unseen(observed, unknown_host)
    if expired(record.expires_at, _clock(observed, fleet_state), fleet_state.now):
        message = f"it expired at {_moment(record.expires_at)}"
        return expired_delete(observed, message)
    if record.origin == "git" and (record.sync_policy.prune or record.phase is Phase.DESTROYING):
        return change_of(observed, Action.DELETE, Reason.DELETE_ORPHANED, "its manifest is gone from git")
    if observed.host in fleet_state.fleet.retired:
        return homeless(observed)
    message = "its manifest was removed from git, and had prune: false"
    return change_of(observed, Action.NO_OP, Reason.NO_OP_PRUNE_DISABLED, message, sync=Sync.OUT_OF_SYNC)
