"""The projection: pure functions from a life and an event to the life after it.

Only the numbers of events count, not their order of arrival: a late event never overrides one with a higher number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sandboxer.hub.incoming import DetectedData, sortable
from sandboxer.model.event import DRIFT_DETECTED, DRIFT_RESOLVED, SANDBOX_EVENT
from sandboxer.model.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.hub.incoming import Registration, ResolvedData, SandboxData, SentHandle

DRIFTS = (DRIFT_DETECTED, DRIFT_RESOLVED)

# A sandbox in one of these phases has no cause of a failure any more.
_SUCCESS: Final = (Phase.READY, Phase.ACTIVE)


@dataclass(frozen=True, slots=True)
class Key:
    """Identity of a sandbox on a host: a sandbox that moves is on two hosts for a while."""

    fleet: str
    sandbox: str
    host: str


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a sandbox on a host, as far as events report it.

    ``begun`` is its earliest known time, in the form that sorts; of several lives the one begun last is shown. The
    numbers are those of the last events that reported a value: 0 if none did.
    """

    uid: str
    begun: str
    name: str
    number: int = 0
    profile: str | None = None
    consumer: str | None = None
    last_event_at: str | None = None
    phase: str | None = None
    reason: str | None = None
    phase_number: int = 0
    expires_at: str | None = None
    expires_number: int = 0
    drift: tuple[dict[str, Any], ...] = ()
    since: str | None = None
    error: dict[str, Any] | None = None
    error_number: int = 0
    commit: str | None = None
    commit_number: int = 0
    input_commit: str | None = None
    input_commit_number: int = 0
    handle: SentHandle | None = None
    registered_at: str | None = None

    @property
    def over(self) -> bool:
        """Whether the sandbox is gone."""
        return self.phase == Phase.DESTROYED

    @property
    def failure(self) -> dict[str, Any] | None:
        """Why the sandbox failed, until a success or its end.

        The registration answers for a failure whose event has no cause.
        """
        if self.over or self.error is not None:
            return None if self.over else self.error
        if self.handle is None or self.handle.error is None or (self.error_number and self.phase in _SUCCESS):
            return None
        return self.handle.error.model_dump(mode="json", exclude_unset=True)

    @property
    def inputs(self) -> dict[str, Any] | None:
        """The input that runs: by the registration, and its commit by the last event that has it."""
        registered = self.handle.inputs if self.handle else None
        return registered if self.input_commit is None else {**(registered or {}), "commit": self.input_commit}

    def row(self, key: Key) -> dict[str, Any]:
        """Return the sandbox as it is listed, with null for what nobody reported.

        Health, sync, services and labels come from its registration: no event reports them.
        """
        handle = self.handle
        return {
            "id": key.sandbox,
            "fleet": key.fleet,
            "name": self.name,
            "host": key.host,
            "uid": self.uid,
            "phase": self.phase,
            "health": handle.health if handle else None,
            "sync": handle.sync if handle else None,
            "expires_at": self.expires_at,
            "consumer": self.consumer,
            "profile": self.profile,
            "last_event_at": self.last_event_at,
            "reason": self.reason,
            "error": self.failure,
            "commit": self.commit or (handle.commit if handle else None),
            "inputs": self.inputs,
            "services": handle.services if handle else None,
            "labels": handle.labels if handle else None,
            "drift": [] if self.over else list(self.drift),
            "since": None if self.over else self.since,
            "registered_at": self.registered_at if handle else None,
            "handle": handle.to_json() if handle else None,
        }


def after_event(life: Life | None, kind: str, data: SandboxData) -> Life:
    """Return the life after one more event, whenever it arrives. Drift is separate: see ``with_drift``."""
    begun = sortable(data.at)
    if life is None:
        life = Life(uid=data.uid, begun=begun, name=data.name)
    changes: dict[str, Any] = {"begun": min(life.begun, begun)}
    if data.number > life.number:
        changes |= {
            "number": data.number,
            "name": data.name,
            "profile": data.profile_id,
            "consumer": data.consumer,
            "last_event_at": data.at,
        }
    # Drift does not change the phase, and its reason is not the phase's.
    if kind not in DRIFTS and data.number > life.phase_number:
        changes |= {"phase_number": data.number, "phase": data.phase.value, "reason": data.reason}
    if "expires_at" in data.model_fields_set and data.number > life.expires_number:
        changes |= {"expires_number": data.number, "expires_at": data.expires_at}
    return replace(life, **changes, **_facts(life, kind, data))


def _facts(life: Life, kind: str, data: SandboxData) -> dict[str, Any]:
    """Return the changes of what events of newer releases report, each with the number of the event that did."""
    changes: dict[str, Any] = {}
    for name, value in (("commit", data.commit), ("input_commit", data.input_commit)):
        if value is not None and data.number > getattr(life, f"{name}_number"):
            changes |= {f"{name}_number": data.number, name: value}
    # Only a failure has a cause, and only a success ends it: neither a new attempt nor drift does.
    decides = kind.startswith(SANDBOX_EVENT) and data.phase in (Phase.FAILED, *_SUCCESS)
    if decides and data.number > life.error_number:
        cause = data.error.model_dump(mode="json", exclude_unset=True) if data.error else None
        changes |= {"error_number": data.number, "error": cause if data.phase is Phase.FAILED else None}
    return changes


def with_drift(life: Life, changes: Iterable[DetectedData | ResolvedData]) -> Life:
    """Return the life with its open drift, from all its drift events in the order of their numbers.

    A detection names all the current drift, a resolution the resolved part; one without paths resolves all. ``since``
    is the time of the first report of the oldest open drift.
    """
    drift: dict[str, tuple[str, dict[str, Any]]] = {}
    for data in changes:
        if isinstance(data, DetectedData):
            former = drift
            drift = {}
            for one in data.drift:
                drift[one.path] = (former[one.path][0] if one.path in former else data.at, one.model_dump(mode="json"))
        else:
            over = {one.path for one in data.drift or ()} or set(drift)
            drift = {path: one for path, one in drift.items() if path not in over}
    oldest = min((since for since, _ in drift.values()), key=sortable, default=None)
    return replace(life, drift=tuple(drift[path][1] for path in sorted(drift)), since=oldest)


def after_registration(life: Life | None, given: Registration, now: str) -> Life:
    """Return the life after a registration. A phase that events reported takes precedence."""
    begun = sortable(given.created_at or now)
    if life is None:
        life = Life(uid=given.uid, begun=begun, name=given.name)
    changes: dict[str, Any] = {"begun": min(life.begun, begun), "handle": given.handle, "registered_at": now}
    if "expires_at" in given.model_fields_set:
        changes["expires_at"] = given.expires_at
    if not life.number:
        project = given.consumer.project if given.consumer else None
        changes |= {
            "name": given.name,
            "profile": given.profile,
            "consumer": project if isinstance(project, str) else None,
        }
    if not life.phase_number:
        changes["phase"] = given.phase.value if given.phase else None
    return replace(life, **changes)


def without_registration(life: Life) -> Life | None:
    """Return the life after its registration was removed; None if there are no events of it."""
    return replace(life, handle=None, registered_at=None) if life.number else None
