"""Secrets that are not as they were applied, and what an apply did about them: a plan does not compare them.

With a saved plan, or where a sandbox is left as it is, nothing else would show that a value changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action
from sandboxer.model.outcome import ChangedSecrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.record import Record
    from sandboxer.wiring.planning import Planned


def changed_secrets(planned: Planned, outcomes: Sequence[Outcome]) -> list[ChangedSecrets]:
    """Return the secrets that changed before an apply with these outcomes, of each sandbox of its plan.

    ``planned`` has a fleet whose secrets were read.
    """
    return list(_changed(planned, outcomes))


def _changed(planned: Planned, outcomes: Iterable[Outcome]) -> Iterator[ChangedSecrets]:
    done = {one.change.id for one in outcomes if one.ok and one.change.acts and one.change.action is not Action.DELETE}
    for change in planned.plan.changes:
        desired = planned.observations.fleet.sandboxes.get(change.sandbox)
        host = change.from_host or change.host or ""
        observed = planned.observations.sandbox(host, change.id)
        record = observed.record if observed else None
        if desired is None or record is None or desired.id != change.id or change.action is Action.DELETE:
            continue
        if names := tuple(_differing(desired, record)):
            yield ChangedSecrets(change.sandbox, change.id, host, names, change.id in done, change.reason.value)


def _differing(desired: DesiredSandbox, record: Record) -> Iterator[str]:
    """Yield the secrets with another value than the applied one; not those that are new, or have no value here."""
    applied = record.spec.get("secrets", {})
    for secret in desired.secrets:
        before = applied.get(secret.name, {}).get("hmac")
        if before is not None and secret.value is not None and secret.value.hmac(record.salt) != before:
            yield secret.name
