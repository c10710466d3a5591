"""The rules of ``teardown``, and of what is not the sandbox's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError, StaleChange
from sandboxer.extensions.conformance.case import APPLIED
from sandboxer.extensions.conformance.rule import RuleBroken, demand

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.base import Operation
    from sandboxer.extensions.conformance.case import Case
    from sandboxer.model.desired import DesiredSandbox


def teardown_of_nothing_succeeds(case: Case) -> None:
    """A teardown of a sandbox that does not exist succeeds, and leaves nothing behind."""
    case.teardown(case.desired())
    demand(not case.view.entries(case.name), "it left something in the fleet's folder")


def teardown_leaves_no_trace(case: Case) -> None:
    """`teardown` removes everything of the sandbox: files, processes, its lock, and all that `observe` shows."""
    desired = case.desired()
    case.provision(desired)
    folder = f"{case.root}/{case.folder(desired)}"
    case.teardown(desired)
    left = sorted(case.view.entries(case.name))
    demand(not left, f"the host still has {', '.join(path or 'the folder of the fleet' for path in left)}")
    observed = case.observed(desired)
    demand(not (observed.found or observed.running), f"`observe` still shows {observed!r}")
    processes = case.view.processes(folder)
    demand(not processes, f"a process is left: {processes[0] if processes else ''}")


def record_goes_last(case: Case) -> None:
    """The record is removed last: at no moment of a teardown does anything of a sandbox exist without a record."""
    desired = case.desired()
    case.provision(desired)

    def check() -> None:
        observed = case.observed(desired)
        demand(
            observed.record or not (observed.found or observed.running),
            "the record was removed before the rest of the sandbox",
        )

    case.teardown(desired, transport=case.watched(check))


def end_is_reported(case: Case) -> None:
    """A teardown reports `destroying` and, once all is gone, `destroyed`; the numbers are continued."""
    desired = case.desired()
    case.provision(desired)
    before = len(case.events)
    case.teardown(desired)
    ended = [(event.number, event.phase.value) for event in case.events[before:]]
    demand(ended == [(4, "destroying"), (5, "destroyed")], f"it reported {ended}")


def tombstone_is_left(case: Case) -> None:
    """`teardown` leaves a tombstone where one is given, and none otherwise; the next life removes it."""
    desired = case.desired()
    case.provision(desired)
    case.teardown(desired, tombstone=desired.spec_digest, reason="expire_because_ttl")
    found = case.observe().tombstones.get(desired.id)
    demand(found is not None, "`observe` shows no tombstone")
    demand(found and found.spec_digest == desired.spec_digest, f"the tombstone is of {found and found.spec_digest}")
    demand(case.observed(desired).found is None, "the sandbox is still there")
    case.provision(desired)
    demand(desired.id not in case.observe().tombstones, "the tombstone outlived the next life's beginning")
    case.teardown(desired)
    demand(desired.id not in case.observe().tombstones, "a teardown without a tombstone left one")


def stale_provision_is_refused(case: Case) -> None:
    """Under the lock the host is observed again: for another generation or uid `provision` raises StaleChange."""
    desired = case.desired()
    record = case.provision(desired)
    _stale(case, desired, lambda **seen: case.provision(desired, fresh=False, **seen), record.generation, record.uid)


def stale_teardown_is_refused(case: Case) -> None:
    """Under the lock the host is observed again: for another generation or uid `teardown` raises StaleChange."""
    desired = case.desired()
    record = case.provision(desired)
    _stale(case, desired, lambda **seen: case.teardown(desired, **seen), record.generation, record.uid)


def neighbours_are_left_alone(case: Case) -> None:
    """Another sandbox, another fleet's folder and a stranger's folder are unchanged after a whole life of a sandbox."""
    neighbour, desired = case.desired("two"), case.desired()
    case.provision(neighbour)
    other = f"{case.name}-other"
    for path in (f"{other}/{desired.id}/record.json", f"{other}/{desired.id}/workspace/file", f"{case.name}/mine/file"):
        case.view.write(path, "not yours")
    try:
        before = _strangers(case, neighbour, other)
        case.provision(desired)
        case.provision(case.desired(ref="second"), reason=APPLIED)
        case.provision(desired, fresh=True)
        case.teardown(desired)
        changed = sorted({path for path, _ in before.items() ^ _strangers(case, neighbour, other).items()})
        demand(not changed, f"changed or removed: {', '.join(changed)}")
        demand(case.observed(neighbour).is_ready, "the other sandbox is not ready any more")
    finally:
        case.view.remove(other)
        case.view.remove(f"{case.name}/mine")


def foreign_record_is_refused(case: Case) -> None:
    """A folder whose record names another fleet is somebody else's: provision and teardown fail, and change nothing."""
    desired = case.desired()
    record = case.provision(desired)
    folder = case.folder(desired)
    foreign = record.model_copy(update={"fleet": "somebody-else"}).to_bytes()
    case.view.write(f"{folder}/record.json", foreign.decode().rstrip("\n"))
    before = case.view.sums(folder)
    attempts: tuple[tuple[str, Callable[[], object]], ...] = (
        ("provision", lambda: case.backend.provision(_blind(case, desired), desired, fresh=True)),
        ("teardown", lambda: case.backend.teardown(_blind(case, desired))),
    )
    for what, attempt in attempts:
        try:
            attempt()
        except SandboxerError:
            demand(case.view.sums(folder) == before, f"`{what}` failed, and changed the folder")
        else:
            raise RuleBroken(f"`{what}` returned")


def _blind(case: Case, desired: DesiredSandbox) -> Operation:
    return case.operation(desired, expected_generation=0, expected_uid="", lives=())


def _stale(case: Case, desired: DesiredSandbox, act: Callable[..., object], generation: int, uid: str) -> None:
    before = case.view.sums(case.folder(desired))
    for what, seen in (
        ("another generation", {"expected_generation": generation + 1, "expected_uid": uid}),
        ("another uid", {"expected_generation": generation, "expected_uid": "0" * 32}),
        ("no sandbox", {"expected_generation": 0, "expected_uid": ""}),
    ):
        try:
            act(**seen)
        except StaleChange:
            demand(case.view.sums(case.folder(desired)) == before, f"the plan saw {what}, and files were changed")
        else:
            raise RuleBroken(f"the plan saw {what}, and it was done nevertheless")


def _strangers(case: Case, neighbour: DesiredSandbox, other: str) -> dict[str, str]:
    return {
        f"{folder}/{path}": digest
        for folder in (case.folder(neighbour), other, f"{case.name}/mine")
        for path, digest in case.view.sums(folder).items()
    }
