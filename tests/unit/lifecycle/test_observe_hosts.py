"""Observing several hosts: each observation is reported as it arrives, with its own seconds, whichever host is slow."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors import HostUnreachable, ObservationIncomplete
from sandboxer.extensions.base import ObserveRequest
from sandboxer.lifecycle.observe import observe_host, observe_hosts
from sandboxer.model.observed import FileSums, ObservedDirectory, Reachable, Unreachable
from sandboxer.model.run_events import status_of
from tests.support.planning import NOW, fleet_of, record_of

if TYPE_CHECKING:
    from sandboxer.model.observed import HostObservation


class Slow:
    """A backend whose observation of ``slow`` waits until the other host's was reported."""

    def __init__(self) -> None:
        self.reported = threading.Event()

    def observe(self, transport: Any, request: ObserveRequest) -> HostObservation:
        if request.host == "slow":
            assert self.reported.wait(30)
        raise HostUnreachable(request.host, "refused")


def test_a_slow_host_keeps_no_other_from_being_reported() -> None:
    backend: Any = Slow()
    seen: list[tuple[str, float]] = []

    def report(observation: HostObservation, seconds: float) -> None:
        seen.append((observation.host, seconds))
        backend.reported.set()

    requests = [ObserveRequest(name, "/tmp/sandboxer", "acme", "auto") for name in ("slow", "fast")]
    observations = observe_hosts(requests, lambda _: None, {"ext.slow": backend}, seen=report)  # type: ignore[arg-type, return-value]
    assert [host for host, _ in seen] == ["fast", "slow"]
    assert seen[1][1] >= seen[0][1] >= 0
    assert {host: status_of(observation) for host, observation in observations.items()} == {
        "slow": "unreachable",
        "fast": "unreachable",
    }


class Fixed:
    """A backend that saw these sandboxes, or whose host broke off."""

    def __init__(
        self, *found: ObservedDirectory, error: str | None = None, missing: str | None = None, broken: bool = False
    ) -> None:
        self._found, self._error, self._missing, self._broken = found, error, missing, broken
        self.request: ObserveRequest | None = None

    def observe(self, transport: Any, request: ObserveRequest) -> HostObservation:
        self.request = request
        if self._broken:
            raise ObservationIncomplete(request.host, "it broke off")
        found = {one.id: one for one in self._found}
        return Reachable(
            request.host, NOW, "boot", 1, 1.0, 1, None, {}, found, error=self._error, backend_error=self._missing
        )


def merged(**extensions: Any) -> HostObservation:
    request = {f"ext.{name}": backend for name, backend in extensions.items()}
    return observe_host(ObserveRequest("here", "/tmp/sandboxer", "acme"), lambda _: None, request)  # type: ignore[arg-type, return-value]


def test_a_sandbox_is_as_the_extension_in_its_record_observes_it() -> None:
    record = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "here")
    folder = record.model_copy(update={"id": "0" * 8, "extension": "ext.folder"})
    shipped = [
        ObservedDirectory(one.id, one, has_workspace=False, reported_drift={"a": NOW}, reported_digest="d")
        for one in (record, folder)
    ]
    own = [ObservedDirectory(one.id, one, files=FileSums(7, 7, 7)) for one in (record, folder)]
    observation = merged(**{"compose-ssh": Fixed(*shipped), "folder": Fixed(*own)})
    assert isinstance(observation, Reachable)
    assert observation.found[record.id] == shipped[0]
    assert observation.found[folder.id] == replace(own[1], reported_drift={"a": NOW}, reported_digest="d")
    missed = merged(**{"compose-ssh": Fixed(*shipped), "folder": Fixed()})
    assert isinstance(missed, Reachable)
    assert missed.found[folder.id] == shipped[1]
    alone = merged(folder=Fixed(*own))
    assert isinstance(alone, Reachable)
    assert alone.found[record.id] == own[0]


def test_an_observation_is_complete_only_where_each_extensions_is() -> None:
    incomplete = merged(**{"compose-ssh": Fixed(), "folder": Fixed(error="half of it")})
    assert isinstance(incomplete, Reachable)
    assert incomplete.error == "half of it"
    broken = merged(**{"compose-ssh": Fixed(), "folder": Fixed(broken=True)})
    assert broken == Unreachable("here", "it broke off", answered=True)


def test_what_one_extension_misses_is_missing_for_no_other() -> None:
    observation = merged(**{"compose-ssh": Fixed(missing="no engine"), "folder": Fixed()})
    assert isinstance(observation, Reachable)
    assert observation.error is None
    assert observation.backend_errors == {"ext.compose-ssh": "no engine"}


def test_the_second_extension_is_given_what_the_first_one_saw() -> None:
    first, second = Fixed(), Fixed()
    merged(**{"compose-ssh": first, "folder": second})
    assert first.request is not None
    assert first.request.known is None
    assert second.request is not None
    assert isinstance(second.request.known, Reachable)
