"""A host's error, shown once for people: the sandboxes that it blocks refer to their host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.errors.remedy import Remedy
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change, HostSummary, Plan


def without_repeats(plan: Plan) -> Plan:
    """Return the plan with each host's error, and what to do about it, in its hosts alone."""
    hosts = _unseen(plan.hosts)
    remedies: dict[str, Remedy] = {}
    changes = []
    for change in plan.changes:
        host = _host_of_error(change, hosts)
        if host and change.remedy:
            remedies.setdefault(host.name, change.remedy)
        changes.append(_referring(change, host) if host else change)
    summaries = (replace(host, remedy=host.remedy or remedies.get(host.name)) for host in plan.hosts)
    return replace(plan, changes=tuple(changes), hosts=tuple(summaries))


def without_host_errors(outcomes: Sequence[Outcome], hosts: Sequence[HostSummary]) -> list[Outcome]:
    """Return the outcomes of a plan whose ``hosts`` are shown already: the errors of these are left out."""
    unseen = _unseen(hosts)
    found = []
    for outcome in outcomes:
        host = None if outcome.error else _host_of_error(outcome.change, unseen)
        found.append(replace(outcome, change=_referring(outcome.change, host)) if host else outcome)
    return found


def _unseen(hosts: Sequence[HostSummary]) -> dict[str, HostSummary]:
    return {host.name: host for host in hosts if host.status != "reachable" and host.error}


def _host_of_error(change: Change, hosts: Mapping[str, HostSummary]) -> HostSummary | None:
    """Return the host with whose error the change's message ends."""
    name = dict(change.remedy.values).get("host") if change.remedy else None
    host = hosts.get(name or "")
    return host if host and change.message.endswith(host.error or "") else None


def _referring(change: Change, host: HostSummary) -> Change:
    """Return the change with a message that names the host instead of repeating its error."""
    rest = change.message.removesuffix(host.error or "").rstrip(": ")
    return replace(change, message=rest or f"{host.name} could not be fully inspected", remedy=None)
