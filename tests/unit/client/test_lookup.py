"""The lookup of one sandbox: plan, `get` and `destroy` agree on which hosts it may be on without being found there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client.query import copies_of
from sandboxer.errors import HostNotObserved, SandboxNotFound
from sandboxer.model.observed import EngineObservation, Reachable
from sandboxer.reconcile.planner import plan
from sandboxer.wiring.lookup import find, require_observed
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.planning import Planned
from tests.support.planning import NOW, fleet_of, observations_of

if TYPE_CHECKING:
    from collections.abc import Sequence

DOWN = "docker does not answer: cannot connect to the daemon"


def planned(extension: str, found: Sequence[Any] = (), hosts: int = 1) -> Planned:
    """Return the plan for hosts without a sandbox of git's where both engines are installed and neither runs.

    ``found`` are the sandboxes on the first host; git's `notes`, which is on no host, is of ``extension``.
    """
    names = [f"build-{number}" for number in range(1, hosts + 1)]
    case = {"sandboxes": {"notes": {}, "lost": {}}, "hosts": {name: {} for name in names}}
    fleet = fleet_of(case)
    notes = fleet.sandboxes["notes"]
    spec = notes.profile.spec.model_copy(update={"extension": extension})
    of_git = replace(notes, profile=notes.profile.model_copy(update={"spec": spec}))
    observed = {}
    for name, seen in observations_of({**case, "found": {names[0]: {"copies": list(found)}}}).items():
        assert isinstance(seen, Reachable)
        stopped = {"podman": EngineObservation("podman", "cannot connect to the daemon")}
        engines = {**seen.engines, **stopped} if found else {"docker": EngineObservation("docker", DOWN), **stopped}
        errors = {"ext.compose-ssh": DOWN}
        observed[name] = replace(seen, engines=engines, backend_errors=errors, absence_errors=errors)
    fleet = replace(fleet, sandboxes={"notes": of_git}, extensions=frozenset({extension}))
    return Planned(plan(fleet, observed, NOW), FleetObservations(fleet, observed))


def test_an_engine_that_no_extension_in_use_needs_hides_no_sandbox() -> None:
    of_folders = planned("ext.dir-ssh")
    assert [host.status for host in of_folders.plan.hosts] == ["reachable"]
    assert copies_of(of_folders, "wbe") == ()
    require_observed(of_folders, "wbe")
    with pytest.raises(SandboxNotFound):
        find(of_folders, "wbe")


def test_an_engine_that_does_not_run_and_could_have_it_is_named_with_the_host_and_once() -> None:
    of_stacks = planned("ext.compose-ssh")
    assert [host.status for host in of_stacks.plan.hosts] == ["unknown"]
    for lookup in (copies_of, find, require_observed):
        with pytest.raises(HostNotObserved) as error:
            lookup(of_stacks, "wbe")
        assert error.value.message == (
            f'sandbox "wbe" may exist on host "build-1" ({DOWN}), which could not be fully inspected'
        )
        assert error.value.hint == "check the hosts with `sandboxer doctor`, and try again"


def test_something_without_a_record_could_be_of_any_extension() -> None:
    with pytest.raises(HostNotObserved, match="build-1"):
        copies_of(planned("ext.dir-ssh", [{"name": "lost", "record": "gone"}]), "wbe")


def test_of_many_hosts_a_message_names_a_few() -> None:
    with pytest.raises(HostNotObserved, match=r'host "build-5" \(docker .*\) or 3 more, which could not'):
        copies_of(planned("ext.compose-ssh", hosts=8), "wbe")
