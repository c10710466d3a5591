"""A saved plan as an approval, not a program: a fresh plan's changes pass only if they are exactly as approved.

So a forged plan file can never do what a fresh plan would not.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from sandboxer.model.hidden import without_hmac
from sandboxer.model.jsontypes import canonical
from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.plan import Change, variable_of
from sandboxer.model.saved_plan import Approval, ApprovedInput, ApprovedOptions
from sandboxer.reconcile.blocks import approved_as
from sandboxer.reconcile.change import blocked
from sandboxer.reconcile.options import Options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from sandboxer.model.desired import Fleet
    from sandboxer.model.jsontypes import JsonValue
    from sandboxer.model.plan import FieldChange, Plan
    from sandboxer.model.saved_plan import ApprovedChange, ApprovedField, SavedPlan

    Of = TypeVar("Of", Change, ApprovedChange)

_NAMED = 5


def approval_of(fleet: Fleet, manifests: str, options: Options) -> Approval:
    """Return what approving a plan of ``fleet`` is bound to; ``manifests`` is the digest of all its manifests."""
    chosen = {name: getattr(options, name) for name in ApprovedOptions.model_fields}
    return Approval(
        fleet_root=fleet.root_commit, manifests=manifests, inputs=inputs_of(fleet), options=ApprovedOptions(**chosen)
    )


def options_of(approved: ApprovedOptions) -> Options:
    """Return the planner's options that a saved plan was made with."""
    return Options(**approved.model_dump())


def inputs_of(fleet: Fleet) -> dict[str, ApprovedInput]:
    """Return the input of each sandbox, by name, without those whose input cannot be read."""
    trees = {name: sandbox.tree for name, sandbox in fleet.sandboxes.items()}
    return {name: ApprovedInput(commit=tree.commit, digest=tree.digest) for name, tree in trees.items() if tree}


def enforce(decided: Plan, saved: SavedPlan, inputs: Mapping[str, ApprovedInput]) -> Plan:
    """Return the fresh plan, with every sandbox blocked as stale that is not as it was approved.

    ``decided`` must have been made with the saved plan's options; ``inputs`` are the current ones. A change that is
    blocked anyway stays blocked, with its own reason, and a no-op stays one where nothing else was approved.
    """
    was, now = _by_sandbox(saved.changes), _by_sandbox(decided.changes)
    unseen = {host.name: host.error or host.status for host in decided.hosts if host.status != "reachable"}
    changes: list[Change] = []
    for key in sorted(was.keys() | now.keys()):
        before, after = was.get(key, []), now.get(key, [])
        objections = [_mismatch(one, other, unseen) for one, other in zip_longest(before, after)]
        if any(change.acts and change.action is not Action.DELETE for change in after):
            objections.append(_other_input(key[0], saved, decided, inputs))
        changes += _held(before, after, [text for text in objections if text], unseen)
    return replace(decided, changes=tuple(changes))


def _by_sandbox(changes: Iterable[Of]) -> dict[tuple[str, str], list[Of]]:
    """Return the changes by name and ID: the changes of all copies of a sandbox are approved together."""
    found: dict[tuple[str, str], list[Of]] = {}
    for change in changes:
        found.setdefault((change.sandbox, change.id), []).append(change)
    return found


def _held(
    was: Sequence[ApprovedChange], now: Sequence[Change], objections: Sequence[str], unseen: Collection[str]
) -> Sequence[Change]:
    """Return the changes of one sandbox: all pass, or all are blocked."""
    if not objections:
        return now
    message = f"{'; '.join(dict.fromkeys(objections))}; plan again"
    if now:
        return [c if c.action is Action.BLOCKED else blocked(c, Reason.BLOCKED_STALE, message) for c in now]
    lost = next(change for change in was if change.acts)
    first_unknown = lost.host in unseen or lost.from_host in unseen
    gone = Change(
        sandbox=lost.sandbox,
        id=lost.id,
        host=lost.host,
        from_host=lost.from_host,
        action=Action.NO_OP,
        reason=Reason.NO_OP_SYNCED,
        sync=Sync.UNKNOWN if first_unknown else Sync.SYNCED,
        health=Health.UNKNOWN if first_unknown else Health.MISSING,
    )
    return [blocked(gone, Reason.BLOCKED_UNREACHABLE if first_unknown else Reason.BLOCKED_STALE, message)]


def _mismatch(was: ApprovedChange | None, now: Change | None, unseen: Mapping[str, str]) -> str:
    """Return why ``now`` is not what was approved, in words.

    Empty where it is, or where nothing would be done anyway.
    """
    approved, acts = was is not None and was.acts, now is not None and now.acts
    if (now is not None and now.action is Action.BLOCKED) or not (approved or acts):
        return ""
    if was is None:
        return f"the saved plan does not have it, and now it is {now.reason}" if now else ""
    if now is None:
        first_unknown = next((host for host in (was.host, was.from_host) if host in unseen), None)
        found = (
            f"{first_unknown} was not fully observed: {unseen[first_unknown]}"
            if first_unknown
            else "it does not exist any more"
        )
        return f"the saved plan says {was.reason}, and {found}"
    if (was.action, approved_as(was.reason)) != (now.action, approved_as(now.reason)):
        return f"the saved plan says {was.reason}, and now it is {now.reason}"
    differing = ", ".join(_details(was, now))
    return f"it is not as the saved plan has it: {differing}" if differing else ""


def _details(was: ApprovedChange, now: Change) -> Iterator[str]:
    """Yield the differences between two changes of the same action and reason."""
    alike = True
    for what, before, after in (("on", was.host, now.host), ("from", was.from_host, now.from_host)):
        if before != after:
            alike = False
            yield f"{what} {after or 'no host'} in place of {before or 'none'}"
    for what, names in (
        ("pending fields", _differing(was.pending, now.pending)),
        ("drift", _differing(was.drift, now.drift)),
        ("volumes to destroy", {*was.volumes} ^ {*now.volumes}),
    ):
        if names:
            alike = False
            yield f"other {what} ({_few(names)})"
    if alike and was.fingerprint != now.fingerprint:
        yield "another record, or other containers"


def _differing(was: Iterable[ApprovedField], now: Iterable[FieldChange]) -> set[str]:
    """Return the paths of the fields that differ between the two.

    Values of environment variables are for people alone, and another machine may not have them: the fingerprint has
    what they were decided by.
    """
    before = {_compared(field.path, field.old, field.new): field.path for field in was}
    after = {_compared(field.path, field.old, field.new): field.path for field in now}
    return {path for text, path in (before | after).items() if (text in before) != (text in after)}


def _compared(path: str, old: JsonValue, new: JsonValue) -> bytes:
    """Return what of a field is compared; plans of former releases have HMACs."""
    return canonical([path] if variable_of(path) else [path, without_hmac(old), without_hmac(new)])


def _few(names: Collection[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(sorted(names)[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _other_input(name: str, saved: SavedPlan, decided: Plan, inputs: Mapping[str, ApprovedInput]) -> str:
    """Return how the commit of a sandbox's input changed since the approval; empty where the input is as approved.

    An input from the fleet's own commit may be at another commit with the same files, as the fleet itself may.
    """
    was, now = saved.approval.inputs.get(name), inputs.get(name)
    if was == now:
        return ""
    if was and now and was.digest == now.digest and (was.commit, now.commit) == (saved.commit, decided.commit):
        return ""
    before, after = (given.commit[:12] if given else "none" for given in (was, now))
    return f"the commit of its input was {before}, and now is {after}"
