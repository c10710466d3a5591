"""The removal of what has a sandbox's labels and no record: what prevents it, and that no more goes than was shown."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client.unrecorded import destroy_unrecorded, unrecorded
from sandboxer.errors import HostNotObserved, StaleChange, UsageError
from sandboxer.model.identity import sandbox_id
from sandboxer.model.plan import Stats
from sandboxer.wiring.observations import FleetObservations
from tests.support.planning import FLEET, ROOT, fleet_of, observations_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.wiring.planning import Planned

ID = sandbox_id(FLEET, "lost")
GONE = {"name": "lost", "record": "gone", "volumes": ["data"]}


@dataclass
class Situations:
    """A client's context over hosts that show one situation after the other; it notes what it is to remove."""

    found: list[dict[str, Any]]
    hosts: tuple[str, ...] = ("lab-1",)
    sandboxes: dict[str, Any] = field(default_factory=dict)
    removed: list[tuple[str, str]] = field(default_factory=list)

    @contextmanager
    def open(self, **_given: Any) -> Iterator[tuple[Any, Any]]:
        repository = SimpleNamespace(is_ancestor=lambda *_: False, had_name=lambda *_, **_given: False)
        hosts = SimpleNamespace(observe=self._observe, stats=Stats)
        yield SimpleNamespace(repository=lambda: repository), hosts

    def _observe(self) -> FleetObservations:
        case = {"hosts": {name: {} for name in self.hosts}, "sandboxes": self.sandboxes, "found": self.found.pop(0)}
        fleet = fleet_of(case)
        return FleetObservations(fleet, observations_of(case, fleet))

    def apply(self, planned: Planned, *_: Any, **_given: Any) -> Any:
        self.removed += [(change.id, change.host or "") for change in planned.plan.changes]
        return SimpleNamespace(outcomes=())


def context(*found: dict[str, Any], hosts: tuple[str, ...] = ("lab-1",), **sandboxes: Any) -> Any:
    return Situations(list(found), hosts, sandboxes)


def on(host: str, *copies: Any, **given: Any) -> dict[str, Any]:
    return {host: {"copies": list(copies), **given}}


def test_what_has_neither_record_nor_manifest_is_listed_and_removed() -> None:
    there = on("lab-1", GONE, "kept")
    here = context(there, there)
    (one,) = shown = unrecorded(here, ID)
    assert (one.name, one.host, one.folder) == ("lost", "lab-1", "")
    assert (len(one.containers), len(one.networks), len(one.volumes)) == (1, 1, 1)
    assert "identities" not in one.to_json()
    assert destroy_unrecorded(here, ID, shown) == shown
    assert here.removed == [(ID, "lab-1")]


@pytest.mark.parametrize(
    "more",
    [
        on("lab-1", {**GONE, "services": {"web": "running", "db": "running"}}),
        on("lab-1", {**GONE, "volumes": ["data", "more"]}),
        on("lab-1", {**GONE, "record": "missing"}),
        {**on("lab-1", GONE), **on("lab-2", GONE)},
        on("lab-2", GONE),
    ],
    ids=["container", "volume", "directory", "another-host-too", "another-host"],
)
def test_nothing_is_removed_if_there_is_more_than_was_shown(more: dict[str, Any]) -> None:
    here = context(on("lab-1", GONE), more, hosts=("lab-1", "lab-2"))
    shown = unrecorded(here, ID)
    with pytest.raises(StaleChange, match=r'host "lab-\d" has more with the labels of sandbox ".*" than was shown'):
        destroy_unrecorded(here, ID, shown)
    assert here.removed == []


def test_a_resource_that_another_one_replaced_under_its_name_was_not_shown() -> None:
    here = context(on("lab-1", GONE), on("lab-1", GONE))
    former = [replace(one, identities=frozenset({"a former container"})) for one in unrecorded(here, ID)]
    with pytest.raises(StaleChange):
        destroy_unrecorded(here, ID, former)
    assert here.removed == []


@pytest.mark.parametrize(
    "less", [on("lab-1", {**GONE, "volumes": []}), on("lab-1", {**GONE, "stopped": True}), on("lab-1")]
)
def test_what_is_gone_meanwhile_does_not_stand_in_the_way(less: dict[str, Any]) -> None:
    here = context(on("lab-1", GONE), less)
    shown = unrecorded(here, ID)
    removed = destroy_unrecorded(here, ID, shown)
    assert all(one.identities < shown[0].identities for one in removed)
    assert here.removed == [(ID, one.host) for one in removed]


def test_the_labels_of_another_root_are_not_this_ones_to_remove() -> None:
    here = context(on("lab-1", {**GONE, "claims": {"root": "/srv/other"}}))
    with pytest.raises(UsageError) as error:
        unrecorded(here, ID)
    assert error.value.message == (f'sandbox "lost" ({ID}) on host "lab-1" is labelled with another root: /srv/other')
    assert "spec.root" in error.value.hint


def test_a_record_that_cannot_be_read_may_claim_it() -> None:
    here = context(on("lab-1", {**GONE, "record": "unreadable"}))
    with pytest.raises(UsageError, match='has a record on host "lab-1" that may claim it: its record cannot') as error:
        unrecorded(here, ID)
    assert error.value.hint == f"repair or remove {ROOT}/{FLEET}/{ID}/record.json on lab-1, and try again"


def test_a_record_and_a_manifest_claim_it() -> None:
    with pytest.raises(UsageError, match='has a record on host "lab-1"'):
        unrecorded(context(on("lab-1", "lost")), ID)
    with pytest.raises(UsageError, match=rf'sandbox "lost" \({ID}\) has a manifest in git'):
        unrecorded(context(on("lab-1", GONE), lost={}), ID)
    with pytest.raises(UsageError, match='"lost" is not the ID of a sandbox'):
        unrecorded(context({}), "lost")


def test_a_host_that_was_not_observed_leaves_open_whether_there_is_any() -> None:
    unreachable = {"lab-2": {"unreachable": "timed out"}}
    both = ("lab-1", "lab-2")
    with pytest.raises(HostNotObserved, match=r'may exist on host "lab-2" \(timed out\), which could not be fully'):
        unrecorded(context(unreachable, hosts=both), ID)
    # What is there on another host can be removed.
    assert [one.host for one in unrecorded(context({**unreachable, **on("lab-1", GONE)}, hosts=both), ID)] == ["lab-1"]
    with pytest.raises(HostNotObserved, match='host "lab-1"'):
        unrecorded(context({"lab-1": {"copies": [GONE], "error": "half of it"}}), ID)
