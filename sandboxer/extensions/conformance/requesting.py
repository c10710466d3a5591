"""The rules of what an operation requests beyond its change: half a replacement, a record alone, a kept journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.extensions.conformance.rule import demand
from sandboxer.hosts.journals import Journals
from sandboxer.hosts.session import REQUEST_FILE
from sandboxer.model.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.conformance.case import Case
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.event import Event
    from sandboxer.model.record import Record


def replacement_is_on_record(case: Case) -> None:
    """The record of an imperative sandbox says `requested.again` while a replacement removes it, and else never."""
    desired = case.imperative()
    for what, again, act in (
        ("a teardown", False, lambda **given: case.teardown(desired, **given)),
        ("a teardown with `operation.again`", True, lambda **given: case.teardown(desired, again=True, **given)),
        ("a provision with `fresh`", True, lambda **given: case.provision(desired, fresh=True, **given)),
    ):
        case.provision(desired)
        found = _while_it_is_removed(case, desired, act)
        demand(found, f"{what} reported no `destroying` with the record of the sandbox's request")
        demand(found == {again}, f"{what} left `requested.again` at {', '.join(map(str, sorted(found)))}")


def requested_life_is_resumed(case: Case) -> None:
    """With `operation.only_requested` a life is begun: `requested`, or all of it; an apply makes that one ready."""
    desired = case.imperative()
    begun = case.provision(desired, only_requested=True)
    demand(begun.phase in (Phase.REQUESTED, Phase.READY), f"the phase is {begun.phase}")
    demand(case.record(desired) == begun, "the host has another record than the returned one")
    request = desired.request.to_bytes() if desired.request else b""
    kept = case.view.read(f"{case.folder(desired)}/{REQUEST_FILE}")
    demand(kept == request, f"{REQUEST_FILE} beside the record is {kept!r}, not the request")
    record = case.provision(desired)
    demand((record.uid, record.phase) == (begun.uid, Phase.READY), f"it is {record.phase} with uid {record.uid}")
    numbers = [event.number for event in case.events]
    demand(numbers == list(range(1, len(numbers) + 1)), f"the events are numbered {numbers}")


def unacknowledged_events_outlive_the_sandbox(case: Case) -> None:
    """With `operation.keeps_journal` a teardown leaves the events that State Hub has not acknowledged, no others."""
    desired = case.desired()
    journals = Journals(case.name, {case.host: case.root}, lambda _: case.raw)
    case.provision(desired, keeps_journal=True)
    case.teardown(desired, keeps_journal=True)
    _kept(case, journals, case.events)
    case.events.clear()
    record = case.provision(desired, keeps_journal=True)
    journals.acknowledge(case.host, [(record.id, record.uid, 2)])
    case.teardown(desired, keeps_journal=True)
    _kept(case, journals, case.events[2:])


def _kept(case: Case, journals: Journals, events: list[Event]) -> None:
    """Demand that these events are kept, and nothing else of the sandbox; acknowledge them."""
    kept = [event for backlog in journals.read(case.host) for event in backlog.events]
    demand(kept == events, f"of the events {_numbers(events)} it left {_numbers(kept)}")
    journals.acknowledge(case.host, [(event.sandbox_id, event.uid, event.number) for event in events[-1:]])
    left = case.view.entries(case.name)
    demand(not left, f"once all are acknowledged, the host still has {', '.join(sorted(left))}")


def _numbers(events: list[Event]) -> str:
    return ", ".join(str(event.number) for event in events) or "none"


def _while_it_is_removed(case: Case, desired: DesiredSandbox, act: Callable[..., object]) -> set[bool]:
    """Return what `requested.again` was in the records of a removal, as they are reported and as they are there."""
    found: set[bool] = set()

    def on_event(event: Event, record: Record, _containers: object) -> None:
        if event.phase is Phase.DESTROYING:
            there = case.observed(desired).record
            found.update(one.requested.again for one in (record, there) if one is not None and one.requested)

    act(on_event=on_event)
    return found
