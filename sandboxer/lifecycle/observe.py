"""Observation of hosts: once each, in parallel. A failed one is reported, and stops no other."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, ObservationIncomplete, OutputTooLarge
from sandboxer.hosts.parallel import on_hosts
from sandboxer.model.observed import Reachable, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandboxer.extensions.base import Extension, ObserveRequest
    from sandboxer.model.observed import HostObservation, ObservedDirectory
    from sandboxer.model.protocols import HostTransport


def observe_hosts(
    requests: Iterable[ObserveRequest],
    transport: Callable[[str], HostTransport],
    extensions: Mapping[str, Extension],
    *,
    seen: Callable[[HostObservation, float], None] = lambda _observe, _seconds: None,
) -> dict[str, HostObservation]:
    """Observe every host of ``requests``, at most 32 at once; return one observation for each, by name.

    ``transport`` returns the transport of a host. ``extensions`` are the backends that may have sandboxes there, by
    name; the first one's observation of the host itself counts. ``seen`` receives each observation as it arrives, from
    several threads, and its duration in seconds. Errors of a host are part of the result: an unreachable one is a
    value.
    """

    def observe_one(request: ObserveRequest) -> HostObservation:
        began = time.monotonic()
        observation = observe_host(request, transport, extensions)
        seen(observation, time.monotonic() - began)
        return observation

    return {observation.host: observation for observation in on_hosts(observe_one, requests, name="observe")}


def recorded_labels(observations: Iterable[HostObservation]) -> dict[str, Mapping[str, str]]:
    """Return the labels of all sandboxes that have a record on hosts that answered, by name."""
    return {
        found.record.name: found.record.labels
        for observation in observations
        if isinstance(observation, Reachable)
        for found in observation.found.values()
        if found.record
    }


def observe_host(
    request: ObserveRequest, transport: Callable[[str], HostTransport], extensions: Mapping[str, Extension]
) -> HostObservation:
    """Return one observation of one host, by every extension that may have sandboxes there."""
    try:
        observations: dict[str, HostObservation] = {}
        for name, extension in extensions.items():
            known = next(iter(observations.values()), None)
            request = replace(request, known=known if isinstance(known, Reachable) else None)
            observations[name] = extension.observe(transport(request.host), request)
    except HostError as error:
        answered = isinstance(error, ObservationIncomplete | OutputTooLarge)
        return Unreachable(request.host, error.message, answered=answered)
    return _merged(observations)


def _merged(observations: Mapping[str, HostObservation]) -> HostObservation:
    """Return several extensions' observations of one host as one.

    The host, and Sandboxer's own data there, are as in the first one. A sandbox is as in that of the extension that its
    record names: no other extension knows how to observe it, and what that one misses is missing for no other.
    """
    first = next(iter(observations.values()))
    failed = [one for one in observations.values() if not isinstance(one, Reachable)]
    if failed or not isinstance(first, Reachable):
        return failed[0]
    answers = {name: one for name, one in observations.items() if isinstance(one, Reachable)}
    found = {identifier: seen for one in reversed(answers.values()) for identifier, seen in one.found.items()}
    return replace(
        first,
        engine=next((one.engine for one in answers.values() if one.engine), None),
        engines={engine: seen for one in reversed(answers.values()) for engine, seen in one.engines.items()},
        found={identifier: _as_its_own_says(seen, answers) for identifier, seen in found.items()},
        error=next((one.error for one in answers.values() if one.error), None),
        backend_errors={name: one.backend_error for name, one in answers.items() if one.backend_error},
        absence_errors={name: one.absence_error for name, one in answers.items() if one.absence_error},
    )


def _as_its_own_says(found: ObservedDirectory, observations: Mapping[str, Reachable]) -> ObservedDirectory:
    observation = observations.get(found.record.extension) if found.record else None
    own = observation.found.get(found.id) if observation else None
    if own is None or own.record is None:
        return found
    return replace(own, reported_drift=found.reported_drift, reported_digest=found.reported_digest)
