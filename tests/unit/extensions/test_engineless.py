"""Backends that need no engine: hosts without one, and sandboxes that change from one extension to another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.errors import HostUnreachable
from sandboxer.extensions.base import ObserveRequest, Operation, Provenance, Target
from sandboxer.extensions.registry import build_registry
from sandboxer.hosts.observation import observe_host
from sandboxer.lifecycle.compare import Comparer
from sandboxer.lifecycle.execute import Executor
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.manifest import Extension as Description
from sandboxer.model.observed import ObservedDirectory, Reachable
from sandboxer.model.protocols import Revision
from sandboxer.model.record import RecordRefused, parse_record
from sandboxer.model.run_events import ignore
from sandboxer.profiles.loader import load
from sandboxer.profiles.resolve import resolve
from sandboxer.reconcile.drift_report import Contents
from sandboxer.reconcile.observed_sandbox import ObservedSandbox
from sandboxer.reconcile.planner import plan
from tests.support.planning import NOW, FakeInputs, fleet_of, observations_of, record_of

if TYPE_CHECKING:
    from sandboxer.model.desired import Fleet
    from sandboxer.model.plan import Change, Plan

API = "sandboxer.dev/v1"
NO_ENGINE = "neither Docker nor Podman is installed"


def document(kind: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


def fleet(**sandboxes: str) -> Fleet:
    """Return a fleet of one host, with sandboxes of the profile `folder` or `stack`."""
    can = {
        "isolation": ["directory"],
        "scopes": ["ephemeral"],
        "connections": ["ssh"],
        "runtimes": [],
        "operations": ["observe", "provision", "teardown"],
    }
    documents = [
        document("Fleet", "acme", {}),
        document("Host", "lab-1", {"address": "lab-1.example"}),
        document("Extension", "ext.folder", {"implementation": "folder", "capabilities": can}),
        document("Profile", "folder", {"extension": "ext.folder"}),
        document("Profile", "stack", {"extension": "ext.compose-ssh"}),
        *(document("Sandbox", name, {"profile": profile}) for name, profile in sandboxes.items()),
    ]
    manifests = load({"sandboxer.yaml": yaml.safe_dump_all(documents).encode()})
    assert manifests.ok, manifests.diagnostics
    return resolve(manifests, Revision({}), FakeInputs(), lambda _: pytest.fail("there is no secret"))


def host(*found: ObservedDirectory, **fields: Any) -> Reachable:
    """Return the observation of a host without an engine, by the extension that needs one and another."""
    observation = observations_of({})["lab-1"]
    assert isinstance(observation, Reachable)
    bare = replace(observation, engine=None, engines={}, backend_errors={"ext.compose-ssh": NO_ENGINE})
    return replace(bare, found={one.id: one for one in found}, **fields)


def planned(fleet: Fleet, observation: Reachable) -> tuple[Plan, dict[str, tuple[Action, Reason]]]:
    decided = plan(fleet, {"lab-1": observation}, NOW)
    return decided, {change.sandbox: (change.action, change.reason) for change in decided.changes}


def test_a_host_without_an_engine_takes_what_needs_none() -> None:
    decided, changes = planned(fleet(notes="folder"), host())
    assert changes == {"notes": (Action.CREATE, Reason.CREATE_ABSENT)}
    assert [(one.status, one.error) for one in decided.hosts] == [("reachable", None)]
    assert decided.complete


def test_a_host_without_an_engine_takes_nothing_that_needs_one() -> None:
    decided, changes = planned(fleet(notes="folder", web="stack"), host())
    assert changes == {
        "notes": (Action.CREATE, Reason.CREATE_ABSENT),
        "web": (Action.BLOCKED, Reason.BLOCKED_ENGINE),
    }
    assert [(one.status, one.error) for one in decided.hosts] == [("unknown", NO_ENGINE)]
    assert not decided.complete


def test_a_host_without_an_engine_and_without_sandboxes_is_reported() -> None:
    decided, _ = planned(fleet(), host())
    assert [(one.status, one.error) for one in decided.hosts] == [("unknown", NO_ENGINE)]


def test_a_root_that_cannot_be_used_is_unknown_for_every_extension() -> None:
    _, changes = planned(fleet(notes="folder"), host(error="the root is a link"))
    assert changes == {"notes": (Action.BLOCKED, Reason.BLOCKED_AMBIGUOUS)}


def folder_record(**fields: Any) -> ObservedDirectory:
    record = record_of(fleet(notes="folder").sandboxes["notes"], "lab-1")
    spec = {key: value for key, value in record.spec.items() if key != "runtime"}
    update = {"engine": "", "extension": "ext.folder", "services": {}, "networks": (), "volumes": (), "spec": spec}
    return ObservedDirectory(record.id, record.model_copy(update=update | fields))


def test_a_record_without_an_engine_is_as_desired_on_any_host() -> None:
    found = folder_record()
    _, changes = planned(fleet(notes="folder"), host(found))
    assert changes == {"notes": (Action.NO_OP, Reason.NO_OP_SYNCED)}
    podman = fleet(notes="folder")
    podman.hosts["lab-1"].spec.__dict__["runtime"] = "podman"
    assert planned(podman, host(found))[1] == changes


def test_a_record_without_an_engine_is_read_with_an_empty_key_and_without_one() -> None:
    record = folder_record().record
    assert record is not None
    data = record.to_bytes()
    assert b'"engine":""' in data
    for written in (data, data.replace(b'"engine":"",', b"")):
        assert parse_record(written, fleet=record.fleet, identifier=record.id).engine == ""
    with pytest.raises(RecordRefused):
        parse_record(data.replace(b'"engine":""', b'"engine":"rm -rf /"'), fleet=record.fleet, identifier=record.id)


def test_what_another_command_showed_of_the_host_is_not_queried_again() -> None:
    class NoTransport:
        def run(self, _command: Any) -> Any:
            raise HostUnreachable("lab-1", "queried again")

    transport: Any = NoTransport()
    known = replace(host(folder_record()), backend_error=NO_ENGINE, engine="docker")
    seen = observe_host(transport, ObserveRequest("lab-1", "/tmp/sandboxer", "acme", known=known))
    assert isinstance(seen, Reachable)
    assert (seen.engine, seen.engines, seen.backend_error, seen.found) == (None, {}, None, known.found)
    with pytest.raises(HostUnreachable):
        observe_host(transport, ObserveRequest("lab-1", "/tmp/sandboxer", "acme"))


def test_contents_that_an_extension_cannot_compare_are_an_error_of_that_sandbox() -> None:
    can = {"isolation": ["directory"], "scopes": ["ephemeral"], "connections": ["ssh"], "runtimes": []}
    spec = {"implementation": "folder", "capabilities": {**can, "operations": ["observe", "provision", "teardown"]}}
    described = Description.model_validate(document("Extension", "ext.folder", spec))
    found = folder_record()
    copy = ObservedSandbox("lab-1", found.id, found)
    transport: Any = lambda _: pytest.fail("no host is queried")  # noqa: E731 - a stand-in
    comparer = Comparer("acme", {"lab-1": "/r"}, transport, FakeInputs(), build_registry({"ext.folder": described}, ()))
    error = 'sandbox "notes": extension ext.folder does not support comparing file contents'
    assert comparer.compare([copy]) == {("lab-1", found.id): Contents(error=error)}


# --- from one extension to another


class Recorder:
    """A backend that records its calls."""

    def __init__(self, name: str, done: list[Any]) -> None:
        self._name, self._done = name, done

    def provision(self, operation: Operation, desired: Any, *, fresh: bool) -> None:
        with operation.placing():
            self._done.append((self._name, "provision", fresh, operation.expected_generation, operation.expected_uid))

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        self._done.append(
            (self._name, "teardown", operation.again, operation.expected_generation, operation.expected_uid)
        )


def carried_out(change: Change, former: str | None) -> list[Any]:
    """Return what is done for a change of `web`, whose sandbox another extension made where one is named."""
    done: list[Any] = []
    requested: list[tuple[Action, str]] = []

    def operation_for(about: Change, host: str) -> Any:
        requested.append((about.action, host))
        target = Target(host, "/tmp/sandboxer", None, "", None, 1.0, 1, "me")  # type: ignore[arg-type]
        return Operation(
            target=target,
            fleet="acme",
            id=about.id,
            name=about.sandbox,
            reason="r",
            expected_generation=7,
            expected_uid="u" * 32,
            inputs=None,  # type: ignore[arg-type]
            provenance=Provenance(),
            progress=lambda _step: None,
            clock=lambda: NOW,
        )

    desired = fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"]
    executor = Executor(
        desired={desired.id: desired},
        extension_of=lambda _: Recorder("new", done),  # type: ignore[arg-type, return-value]
        former_of=lambda _: Recorder(former, done) if former else None,  # type: ignore[arg-type, return-value]
        operation_for=operation_for,
        might_live=lambda _: (),
        plan_again=None,
        emit=ignore,
    )
    (outcome,) = executor.run([change])
    assert outcome.error == ""
    done.append(requested)
    return done


def change(**fields: Any) -> Change:
    (found,) = plan(fleet_of({"sandboxes": {"web": {}}}), observations_of({"sandboxes": {"web": {}}}), NOW).changes
    return replace(found, action=Action.REPLACE, reason=Reason.REPLACE_CHANGED, **fields)


def test_a_change_of_extension_is_torn_down_by_the_former_one() -> None:
    *done, requested = carried_out(change(), "old")
    assert done == [("old", "teardown", True, 7, "u" * 32), ("new", "provision", True, 0, "")]
    assert requested[-2:] == [(Action.DELETE, "lab-1"), (Action.REPLACE, "lab-1")]


def test_a_replacement_within_one_extension_is_its_own() -> None:
    assert carried_out(change(), None)[:-1] == [("new", "provision", True, 7, "u" * 32)]


def test_a_move_to_another_extension_ends_with_the_former_one() -> None:
    done = carried_out(change(from_host="lab-0"), "old")
    assert [each[:2] for each in done[:-1]] == [("new", "provision"), ("old", "teardown")]
    assert (Action.DELETE, "lab-0") in done[-1]
