"""The services of a handle, by live containers and record, and the commits that its sandbox runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.lifecycle.handles import handle, services
from sandboxer.model.handle import AppliedInput
from sandboxer.model.identity import Ownership
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.record import Input, Service
from sandboxer.reconcile.change import change_of
from sandboxer.reconcile.observed_sandbox import ObservedSandbox
from tests.support.planning import NOW, container_of, copy_with, fleet_of, record_of

if TYPE_CHECKING:
    from sandboxer.model.handle import Handle
    from sandboxer.model.observed import Container
    from sandboxer.model.record import Record

RECORDED = {name: Service(config_hash="c", image_id="a" * 64, replicas=1).model_dump() for name in ("db", "web")}
RECORD = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "lab-1", services=RECORDED)
OWNER = Ownership("acme", RECORD.id, RECORD.uid, "web", "/srv", "git", "")


def container(service: str, state: str, **more: Any) -> Container:
    return replace(container_of(RECORD, OWNER, service, state), **more)


def seen(*containers: Container, record: Record | None = RECORD) -> list[tuple[Any, ...]]:
    observed = ObservedSandbox("lab-1", RECORD.id, None, containers)
    found = services(observed, record)
    return [(one.name, one.state, one.health, one.image, one.restarts, one.exit_code) for one in found]


def test_each_service_is_as_its_container_is() -> None:
    assert seen(container("web", "running healthy", restarts=2), container("db", "exited 3", restarts=0)) == [
        ("db", "exited", None, "stack:1", 0, 3),
        ("web", "running", "healthy", "stack:1", 2, None),
    ]


def test_a_recorded_service_without_a_container_is_missing() -> None:
    assert seen(container("web", "running")) == [
        ("db", "missing", None, None, None, None),
        ("web", "running", None, "stack:1", None, None),
    ]


def test_without_a_record_the_containers_alone_count() -> None:
    assert seen(container("old", "paused"), record=None) == [("old", "paused", None, "stack:1", None, None)]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("running healthy", "running starting"),
        ("running starting", "running unhealthy"),
        ("running unhealthy", "exited 0"),
        ("exited 0", "exited 1"),
    ],
)
def test_of_several_containers_the_worst_counts_and_restarts_add_up(better: str, worse: str) -> None:
    two = [container("db", better, restarts=1), container("db", worse, restarts=2)]
    for containers in (two, two[::-1]):
        (found, _) = seen(*containers)
        assert found[1:3] == seen(container("db", worse))[0][1:3]
        assert found[4] == 3


def test_what_a_person_runs_beside_them_is_no_service() -> None:
    assert [one[0] for one in seen(container("shell", "running", one_off=True))] == ["db", "web"]


# --- the commits that run


def described(record: Record) -> Handle:
    observed = ObservedSandbox("lab-1", record.id, copy_with(record), ())
    change = change_of(observed, Action.NO_OP, Reason.NO_OP_SYNCED, "")
    return handle(change, observed, None, NOW, NOW)


def test_a_handle_names_the_commits_that_were_applied_and_no_credentials() -> None:
    given = {"repo": "https://alice:s3cret@git.example.com/shop", "ref": "main", "commit": "c" * 40}
    record = RECORD.model_copy(update={"inputs": Input(**given, digest="sha256:0"), "fleet_commit": "f" * 40})
    found = described(record)
    assert found.inputs == AppliedInput(repo="https://git.example.com/shop", ref="main", commit="c" * 40)
    assert found.commit == "f" * 40


def test_a_handle_without_delivered_files_has_no_input() -> None:
    assert described(RECORD.model_copy(update={"inputs": None, "fleet_commit": None})).to_json().items() >= {
        ("inputs", None),
        ("commit", None),
    }
