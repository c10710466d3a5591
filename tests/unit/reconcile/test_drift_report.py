"""The command drift: every sandbox against its record, what happens to its drift, and what is resolved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.observed import FileSums, Reachable
from sandboxer.model.plan import FieldChange
from sandboxer.model.record import WorkspaceFiles
from sandboxer.reconcile.drift_report import Comparison, Contents
from sandboxer.reconcile.fleet_state import FleetState, fleet_state_of
from sandboxer.reconcile.options import Options
from tests.support.planning import NOW, fleet_of, observations_of

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.model.drift import DriftReport

STOPPED = {"services": {"web": "exited 137"}}
STATE = ("services.web.state", "running", "exited (137)")
EARLIER = NOW - timedelta(hours=2)
WHOLE = (3, 30, 300), (3, 30, 300)


def fleet_state(case: dict[str, Any], *, reported: dict[str, Any] | None = None) -> FleetState:
    """Return the fleet state of a situation; ``reported`` is the drift noted for every sandbox that is found."""
    fleet = fleet_of(case)
    observations = observations_of(case, fleet)
    for name, observation in observations.items():
        if isinstance(observation, Reachable) and reported:
            found = {key: replace(each, reported_drift=reported) for key, each in observation.found.items()}
            observations[name] = replace(observation, found=found)
    return fleet_state_of(fleet, observations, NOW)


def one(copy: dict[str, Any], git: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a fleet of one sandbox, web, that is on lab-1 as ``copy`` says."""
    sandboxes = {} if git is None and copy.get("orphan") else {"web": git or {}}
    given = {key: value for key, value in copy.items() if key != "orphan"}
    return {"sandboxes": sandboxes, "found": {"lab-1": {"copies": [{"name": "web", **given}]}}, **more}


def report(case: dict[str, Any], reported: dict[str, Any] | None = None, **options: Any) -> DriftReport:
    selectors = Options(**{key: frozenset(value) for key, value in options.items()})
    return Comparison(fleet_state(case, reported=reported), selectors).report()


def paths(found: DriftReport) -> list[tuple[Any, ...]]:
    return [(change.path, change.old, change.new) for each in found.drifted for change in each.drift]


def test_what_is_as_it_was_applied_is_no_drift_whatever_git_has_now() -> None:
    found = report(one({"spec": {"ttl": "2h"}}, {"ttl": "3h"}))
    assert (found.plan.changes, found.compared, found.complete) == ((), 1, True)


def test_no_input_is_needed() -> None:
    found = report(one(STOPPED, {"inputs": {"repo": "missing"}}))
    assert [change.reason for change in found.drifted] == ["repair_because_drift"]


@pytest.mark.parametrize(
    ("copy", "git", "action", "reason"),
    [
        ({}, {}, "repair", "repair_because_drift"),
        ({}, {"suspend": True}, "no-op", "no_op_because_suspended"),
        ({}, {"syncPolicy": {"selfHeal": False}}, "no-op", "no_op_because_self_heal_disabled"),
        ({"orphan": True}, None, "no-op", "no_op_because_not_in_git"),
        ({"origin": "api", "orphan": True}, None, "no-op", "no_op_because_not_in_git"),
        ({"record": {"expires_at": "2026-11-24T11:00:00Z"}}, {}, "no-op", "no_op_because_expired"),
    ],
)
def test_every_sandbox_with_a_record_is_reported(
    copy: dict[str, Any], git: dict[str, Any] | None, action: str, reason: str
) -> None:
    case = one({**STOPPED, **copy}, git)
    if git is None:
        # What is found was created from an earlier state of git.
        applied = {**case, "sandboxes": {"web": {}}}
        observations = observations_of(applied)
        found = Comparison(fleet_state_of(fleet_of(case), observations, NOW), Options()).report()
    else:
        found = report(case)
    (change,) = found.drifted
    assert (change.sandbox, change.action, change.reason, change.sync) == ("web", action, reason, "OutOfSync")
    assert paths(found) == [STATE]
    assert found.complete


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        ({"claims": {"uid": "2" * 32}}, "blocked_because_ambiguous"),
        ({"claims": {"name": "other"}}, "blocked_because_ambiguous"),
        ({"claims": {"root": "/elsewhere"}}, "blocked_because_ambiguous"),
        ({"record": "unreadable"}, "blocked_because_ambiguous"),
    ],
)
@pytest.mark.parametrize("in_git", [True, False])
def test_an_uncertain_owner_is_unknown(copy: dict[str, Any], reason: str, in_git: bool) -> None:
    applied = one({**STOPPED, **copy})
    fleet = fleet_of(applied if in_git else {**applied, "sandboxes": {}})
    found = Comparison(fleet_state_of(fleet, observations_of(applied), NOW), Options()).report()
    (change,) = found.plan.changes
    assert (change.reason, change.sync, change.health, change.drift) == (reason, "Unknown", "Unknown", ())
    assert not found.complete
    assert not found.drifted
    assert found.notes == ()


def test_a_directory_that_is_gone_with_containers_left_is_drift_and_cannot_be_noted() -> None:
    found = report(one({"record": "gone"}))
    assert paths(found) == [("directory", "present", "missing")]
    assert (found.notes, found.since, found.compared) == ((), {}, 0)


def test_containers_of_nobodys_manifest_and_no_record_are_ambiguous_and_no_drift() -> None:
    applied = one({"record": "gone"})
    found = Comparison(
        fleet_state_of(fleet_of({**applied, "sandboxes": {}}), observations_of(applied), NOW), Options()
    ).report()
    assert found.plan.changes == ()
    assert [thing.kind for thing in found.plan.unmanaged] == ["ambiguous"]


def test_a_host_that_does_not_answer_makes_it_incomplete() -> None:
    found = report({"sandboxes": {"web": {}}, "found": {"lab-1": {"unreachable": "no route"}}})
    assert [(host.name, host.status) for host in found.plan.hosts] == [("lab-1", "unreachable")]
    assert not found.complete


def test_an_engine_that_does_not_answer_is_unknown_and_no_drift() -> None:
    case = one({})
    case["found"]["lab-1"]["engine_error"] = "no daemon"
    found = report(case, reported={"services.web": EARLIER})
    assert [change.reason for change in found.plan.changes] == ["blocked_because_engine"]
    assert (found.drifted, found.resolved, found.notes) == ((), (), ())


@pytest.mark.parametrize("phase", ["provisioning", "destroying", "failed"])
def test_what_is_at_work_or_was_left_so_is_not_compared(phase: str) -> None:
    found = report(one({**STOPPED, "record": {"phase": phase}}), reported={"services.web": EARLIER})
    assert (found.plan.changes, found.resolved, found.notes, found.compared) == ((), (), (), 0)
    assert [phase in warning.message for warning in found.plan.warnings] == [True]
    assert found.complete


def test_selectors_limit_what_is_compared_and_noted() -> None:
    case = {
        "sandboxes": {"a": {}, "b": {}},
        "hosts": {"lab-1": {}, "lab-2": {}},
        "found": {
            "lab-1": {"copies": [{"name": "a", **STOPPED}]},
            "lab-2": {"copies": [{"name": "b", **STOPPED}]},
        },
    }
    assert [change.sandbox for change in report(case).drifted] == ["a", "b"]
    for options in ({"targets": ["a"]}, {"excluded": ["b"]}, {"hosts": ["lab-1"]}):
        found = report(case, **options)
        assert [change.sandbox for change in found.drifted] == ["a"]
        assert [note.sandbox for note in found.notes] == ["a"]
        assert found.compared == 1


# --- reported once as resolved


def test_drift_is_noted_when_it_is_reported_first_and_keeps_its_time() -> None:
    first = report(one(STOPPED))
    (note,) = first.notes
    assert dict(note.told) == {"services.web.state": NOW}
    again = report(one(STOPPED), reported={"services.web.state": EARLIER})
    assert (again.notes, again.resolved) == ((), ())
    assert list(again.since.values()) == [EARLIER]


def test_what_is_over_is_resolved_and_its_note_removed() -> None:
    found = with_files(*WHOLE, {"services.web.state": EARLIER, "workspace.files": NOW})
    (resolved,) = found.resolved
    assert (resolved.sandbox, resolved.host, resolved.since) == ("web", "lab-1", EARLIER)
    assert resolved.paths == ("services.web.state", "workspace.files")
    (note,) = found.notes
    assert dict(note.told) == {}
    assert report(one({})).resolved == ()


def test_of_drift_that_is_over_in_part_the_rest_stays_noted() -> None:
    found = with_files(*WHOLE, {"services.web.state": EARLIER, "workspace.files": EARLIER}, **STOPPED)
    assert [one.paths for one in found.resolved] == [("workspace.files",)]
    (note,) = found.notes
    assert dict(note.told) == {"services.web.state": EARLIER}
    assert len(found.drifted) == 1


DEEP = "workspace.files.conf/a"
FILE = FieldChange(DEEP, "sha256:0", "sha256:1")


def test_what_only_a_deep_comparison_finds_is_open_until_another_one_does_not() -> None:
    found = with_files(*WHOLE, {DEEP: EARLIER})
    assert (found.resolved, found.notes, found.drifted) == ((), (), ())
    (warning,) = found.plan.warnings
    assert warning.message == "web on lab-1: 1 file that differed at 2026-11-24 10:00:00Z is not compared now"
    assert warning.remedy == remedy_of(RemedyCode.COMPARE_CONTENTS, sandbox="web")
    again = with_files(*WHOLE, {DEEP: EARLIER}, Contents((FILE,)))
    assert (again.resolved, again.notes, again.plan.warnings) == ((), (), ())
    assert list(again.since.values()) == [EARLIER]
    over = with_files(*WHOLE, {DEEP: EARLIER}, Contents())
    assert [one.paths for one in over.resolved] == [(DEEP,)]


def test_what_is_listed_is_not_resolved_at_the_same_time() -> None:
    found = with_files((3, 30, 300), (3, 31, 300), {"workspace.files": EARLIER, DEEP: EARLIER})
    assert paths(found) == [("workspace.files", "3 files, 30 bytes", "3 files, 31 bytes")]
    assert (found.resolved, found.notes) == ((), ())


def test_a_comparison_that_failed_resolves_nothing() -> None:
    found = with_files(*WHOLE, {DEEP: EARLIER}, Contents(error="git has it no more"))
    assert (found.resolved, found.notes, found.plan.warnings) == ((), (), ())


@pytest.mark.parametrize(("recorded", "seen"), [(None, WHOLE[0]), (WHOLE[0], None)])
def test_files_that_cannot_be_counted_now_are_not_resolved(recorded: Any, seen: Any) -> None:
    assert with_files(recorded, seen, {"workspace.files": EARLIER}).resolved == ()


def test_files_are_not_resolved_with_the_workspace_gone() -> None:
    found = with_files((3, 30, 300), (0, 0, 0), {"workspace.files": EARLIER, DEEP: EARLIER}, workspace=False)
    assert paths(found) == [("workspace", "present", "missing")]
    assert found.resolved == ()


def test_an_event_of_other_drift_keeps_what_is_not_compared() -> None:
    found = with_files(*WHOLE, {DEEP: EARLIER}, **STOPPED)
    (note,) = found.notes
    assert dict(note.told) == {DEEP: EARLIER, "services.web.state": NOW}
    assert [(one.path, one.new) for one in note.event.drift or ()] == [
        ("services.web.state", "exited (137)"),
        (DEEP, "differed, and is not compared now"),
    ]


# --- delivered files


def with_files(
    recorded: tuple[int, int, int] | None,
    seen: tuple[int, int, int] | None,
    reported: dict[str, datetime] | None = None,
    contents: Contents | None = None,
    **copy: Any,
) -> DriftReport:
    """Return the report where the record has these sums of files, and the host shows those."""
    case = one(copy)
    fleet = fleet_of(case)
    observations = observations_of(case, fleet)
    observation = observations["lab-1"]
    assert isinstance(observation, Reachable)
    ((identifier, found),) = observation.found.items()
    assert found.record is not None
    files = WorkspaceFiles(files=recorded[0], bytes=recorded[1], seconds=recorded[2]) if recorded else None
    record = found.record.model_copy(update={"workspace_files": files})
    found = replace(found, record=record, files=FileSums(*seen) if seen else None, reported_drift=reported or {})
    observations["lab-1"] = replace(observation, found={identifier: found})
    comparison = Comparison(fleet_state_of(fleet, observations, NOW), Options())
    return comparison.report({("lab-1", identifier): contents} if contents else None)


@pytest.mark.parametrize(
    ("recorded", "seen", "expected"),
    [
        ((3, 30, 300), (3, 30, 300), None),
        ((3, 30, 300), (2, 20, 200), ("3 files, 30 bytes", "2 files, 20 bytes")),
        ((1, 30, 300), (1, 31, 300), ("1 file, 30 bytes", "1 file, 31 bytes")),
        ((3, 30, 300), (3, 30, 301), ("3 files, 30 bytes", "3 files, 30 bytes, changed since")),
        ((3, 30, 300), (0, 0, 0), ("3 files, 30 bytes", "0 files, 0 bytes")),
        (None, (3, 30, 300), None),
        ((3, 30, 300), None, None),
    ],
)
def test_delivered_files_are_compared_where_both_are_known(
    recorded: tuple[int, int, int] | None, seen: tuple[int, int, int] | None, expected: tuple[str, str] | None
) -> None:
    assert paths(with_files(recorded, seen)) == ([("workspace.files", *expected)] if expected else [])


def test_a_workspace_that_is_gone_is_reported_once() -> None:
    assert paths(with_files((3, 30, 300), (0, 0, 0), workspace=False)) == [("workspace", "present", "missing")]


def test_contents_that_differ_are_reported_and_named_with_what_repairs_them() -> None:
    case = one({})
    (observed,) = Comparison(fleet_state(case), Options()).comparable()
    file = FieldChange("workspace.files.a", "sha256:0", "sha256:1")
    key = (observed.host, observed.id)
    found = Comparison(fleet_state(case), Options()).report({key: Contents((file,))})
    (change,) = found.drifted
    assert (change.action, change.reason, change.drift) == ("no-op", "no_op_because_synced", (file,))
    assert change.remedy == remedy_of(RemedyCode.REPLACE, sandbox="web")
    both = Comparison(fleet_state(one(STOPPED)), Options()).report({key: Contents((file,))})
    assert [(each.action, len(each.drift)) for each in both.drifted] == [("repair", 2)]


def test_contents_that_cannot_be_compared_make_it_incomplete() -> None:
    case = one({})
    (observed,) = Comparison(fleet_state(case), Options()).comparable()
    found = Comparison(fleet_state(case), Options()).report(
        {(observed.host, observed.id): Contents(error="it is gone")}
    )
    assert [one.message for one in found.errors] == ["the files of web on lab-1 cannot be compared: it is gone"]
    assert not found.complete


def test_the_json_is_a_plans_and_more() -> None:
    reported = {"services.web.state": EARLIER, "workspace.files": EARLIER}
    document = with_files(*WHOLE, reported, **STOPPED).to_json()
    assert {"format_version", "fleet", "commit", "complete", "hosts", "changes", "summary", "stats"} <= document.keys()
    (change,) = document["changes"]  # type: ignore[misc]
    assert change["since"] == "2026-11-24T10:00:00Z"  # type: ignore[index,call-overload]
    assert document["resolved"] == [
        {
            "sandbox": "web",
            "id": change["id"],  # type: ignore[index,call-overload]
            "host": "lab-1",
            "paths": ["workspace.files"],
            "since": "2026-11-24T10:00:00Z",
        }
    ]
