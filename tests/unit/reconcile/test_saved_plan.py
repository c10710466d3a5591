"""A saved plan approves changes and never commands them: what is not exactly as it was approved is not done."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors import PlanRefused
from sandboxer.errors.remedy import Notice
from sandboxer.model.saved_plan import (
    MAX_BYTES,
    ApprovedInput,
    ApprovedOptions,
    checksum,
    parse_saved_plan,
    saved_bytes,
)
from sandboxer.profiles.loader import load
from sandboxer.profiles.resolve import digest_of_manifests
from sandboxer.reconcile.approval import approval_of, enforce, inputs_of, options_of
from sandboxer.reconcile.options import Options
from sandboxer.reconcile.planner import plan
from sandboxer.render.words import hint_of
from tests.support.planning import COMMIT, FIRST_COMMIT, FLEET, NOW, fleet_of, manifests_of, observations_of, plan_of
from tests.support.planning import options_of as options_of_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.plan import Plan
    from sandboxer.model.saved_plan import SavedPlan

Case = dict[str, Any]
MERGED = "d" * 40


def there(*copies: Any, **more: Any) -> Case:
    """Return a fleet that wants `web`, and these copies on lab-1."""
    return {"sandboxes": {"web": {"ttl": "8h"}}, "found": {"lab-1": {"copies": list(copies)}}, **more}


def web(**more: Any) -> Case:
    return {"name": "web", **more}


def on_two(first: Case, second: Case, **more: Any) -> Case:
    return {"hosts": {"lab-1": first, "lab-2": second}, "sandboxes": {"web": {"ttl": "8h"}}, **more}


ABSENT = there()
SYNCED = there("web")
OUTDATED = there(web(spec={"ttl": "4h"}))
PAUSED = there(web(services={"web": "paused"}))
ORPHAN = there("web", "old")
UNREACHABLE = {"sandboxes": {"web": {"ttl": "8h"}}, "found": {"lab-1": {"unreachable": "no answer"}}}
COPIES = {"lab-1": {"copies": ["web"]}, "lab-2": {"copies": [web(record={"age": "30m"})]}}
MOVING = on_two({"drain": True}, {}, found={"lab-1": {"copies": ["web"]}})


def written(case: Case) -> bytes:
    """Return the plan of a situation, saved."""
    approval = approval_of(fleet_of(case), digest_of_manifests(manifests_of(case)), options_of_case(case))
    return saved_bytes(plan_of(case), approval)


def held(approved: Case, now: Case) -> Plan:
    """Return what is let through in a situation that is ``now``, with the plan of another one approved."""
    return held_to(parse_saved_plan(written(approved)), now)


def held_to(saved: SavedPlan, now: Case) -> Plan:
    fleet = fleet_of(now)
    decided = plan(fleet, observations_of(now, fleet), NOW, options_of(saved.approval.options))
    return enforce(decided, saved, inputs_of(fleet))


def reasons(decided: Plan) -> dict[str, str]:
    return {change.sandbox: change.reason.value for change in decided.changes}


# --- what was approved and still is so


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(ABSENT, id="create"),
        pytest.param(SYNCED, id="no-op"),
        pytest.param(OUTDATED, id="update"),
        pytest.param(PAUSED, id="repair"),
        pytest.param(ORPHAN, id="delete"),
        pytest.param(UNREACHABLE, id="unreachable"),
        pytest.param(MOVING, id="move"),
        pytest.param(on_two({}, {}, found=COPIES), id="stray"),
        pytest.param({**SYNCED, "options": {"replaced": ["web"]}}, id="replace"),
        pytest.param({**SYNCED, "options": {"replaced": ["web"], "max_deletes": 0}}, id="guard"),
        pytest.param({**ABSENT, "options": {"excluded": ["web"]}}, id="excluded"),
        pytest.param({"sandboxes": {"web": {}, "bad": {"inputs": {"repo": "missing"}}}}, id="input"),
    ],
)
def test_what_is_as_it_was_approved_is_let_through_as_it_is(case: Case) -> None:
    assert held(case, case) == plan_of(case)


def test_a_squash_merge_changes_the_commit_and_nothing_of_the_approval() -> None:
    merged = {**OUTDATED, "git": {"commit": MERGED}}
    assert reasons(held(OUTDATED, merged)) == {"web": "update_because_changed"}


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        pytest.param("c c", "c c", "create_because_absent", id="same"),
        pytest.param(f"{COMMIT} c", f"{MERGED} c", "create_because_absent", id="the-fleets-own-commit"),
        pytest.param(f"{COMMIT} c", f"{MERGED} d", "blocked_because_stale", id="the-fleets-own-commit-other-files"),
        pytest.param("c c", "d c", "blocked_because_stale", id="another-commit-of-the-same-files"),
        pytest.param("c c", f"{MERGED} c", "blocked_because_stale", id="it-became-the-fleets-own"),
        pytest.param("c c", None, "blocked_because_stale", id="none"),
    ],
)
def test_an_input_is_bound_to_its_commit_or_moves_with_the_fleets(was: str, now: str | None, reason: str) -> None:
    saved = parse_saved_plan(written(ABSENT))
    saved = saved.model_copy(update={"approval": saved.approval.model_copy(update={"inputs": {"web": given(was)}})})
    decided = replace(plan_of(ABSENT), commit=MERGED)
    assert reasons(enforce(decided, saved, {"web": given(now)} if now else {})) == {"web": reason}


def given(words: str) -> ApprovedInput:
    commit, digest = words.split()
    return ApprovedInput(commit=commit, digest=digest)


# --- what is no longer so


@pytest.mark.parametrize(
    ("approved", "now", "message"),
    [
        pytest.param(SYNCED, PAUSED, "says no_op_because_synced, and now it is repair_because_drift", id="drifted"),
        pytest.param(PAUSED, SYNCED, "says repair_because_drift, and now it is no_op_because_synced", id="healed"),
        pytest.param(OUTDATED, SYNCED, "says update_because_changed, and now it is no_op_because_synced", id="used"),
        pytest.param(ABSENT, SYNCED, "says create_because_absent, and now it is no_op_because_synced", id="made"),
        pytest.param(UNREACHABLE, OUTDATED, "says blocked_because_unreachable, and now it is update", id="back"),
        pytest.param(OUTDATED, ABSENT, "says update_because_changed, and now it is create", id="gone"),
        pytest.param(
            PAUSED, there(web(services={"web": "exited 1"})), "other drift (services.web.state)", id="other-drift"
        ),
        pytest.param(OUTDATED, there(web(spec={"ttl": "2h"})), "other pending fields (spec.ttl)", id="other-pending"),
        pytest.param(
            {**OUTDATED, "options": {"replaced": ["web"]}},
            there(web(spec={"ttl": "4h"}, volumes=["data"])),
            "other volumes to destroy (sbx-web-86f279ce_data)",
            id="volumes",
        ),
        pytest.param(
            OUTDATED,
            there(web(spec={"ttl": "4h"}, record={"generation": 9})),
            "another record, or other containers",
            id="generation",
        ),
        pytest.param(
            on_two({}, {"cordon": True}),
            on_two({"cordon": True}, {}),
            "on lab-2 in place of lab-1",
            id="other-host",
        ),
    ],
)
def test_a_changed_sandbox_is_stale_and_the_message_names_the_difference(
    approved: Case, now: Case, message: str
) -> None:
    (change,) = held(approved, now).changes
    assert (change.action, change.reason, change.volumes) == ("blocked", "blocked_because_stale", ())
    assert message in change.message
    assert change.message.endswith("; plan again")


def test_what_is_blocked_anyway_keeps_its_own_reason() -> None:
    assert held(OUTDATED, UNREACHABLE) == plan_of(UNREACHABLE)


def test_an_orphan_that_was_not_there_is_not_approved_and_the_rest_continues() -> None:
    decided = held({**OUTDATED}, there(web(spec={"ttl": "4h"}), "old"))
    assert reasons(decided) == {"old": "blocked_because_stale", "web": "update_because_changed"}
    assert "the saved plan does not have it, and now it is delete_because_orphaned" in decided.changes[0].message


def test_an_approved_delete_that_is_done_already_is_stale_and_blocks_nothing_else() -> None:
    decided = held(there(web(spec={"ttl": "4h"}), "old"), OUTDATED)
    assert reasons(decided) == {"old": "blocked_because_stale", "web": "update_because_changed"}
    gone = decided.changes[0]
    assert (gone.host, gone.health, gone.sync) == ("lab-1", "Missing", "Synced")
    assert "says delete_because_orphaned, and it does not exist any more" in gone.message


def test_an_approved_delete_on_an_unobserved_host_is_not_reported_as_done() -> None:
    found = {"lab-1": {"copies": ["web"]}, "lab-2": {"copies": ["old"]}}
    unreachable = {**found, "lab-2": {"unreachable": "no answer"}}
    decided = held(on_two({}, {}, found=found), on_two({}, {}, found=unreachable))
    gone = next(change for change in decided.changes if change.sandbox == "old")
    assert (gone.reason, gone.sync, gone.health) == ("blocked_because_unreachable", "Unknown", "Unknown")
    assert "lab-2 was not fully observed: no answer" in gone.message


def test_all_copies_of_a_sandbox_are_approved_as_one() -> None:
    alone = on_two({}, {}, found={"lab-1": {"copies": [web(spec={"ttl": "4h"})]}})
    copied = {**alone, "found": {**alone["found"], "lab-2": COPIES["lab-2"]}}
    assert {change.reason.value for change in held(alone, copied).changes} == {"blocked_because_stale"}


def test_a_no_op_that_was_applied_by_somebody_meanwhile_is_still_a_no_op() -> None:
    assert held(SYNCED, there(web(record={"generation": 9}))).complete


# --- forged


def forged(data: bytes, change: Callable[[Case], None]) -> SavedPlan:
    """Return the saved plan after somebody changed it, and knew how to make its checksum fit."""
    content = json.loads(data)
    change(content)
    del content["checksum"]
    return parse_saved_plan(json.dumps({**content, "checksum": checksum(content)}).encode())


def test_a_forged_delete_does_nothing() -> None:
    def forge(content: Case) -> None:
        content["changes"][0] |= {"action": "delete", "reason": "delete_because_orphaned"}

    decided = held_to(forged(written(SYNCED), forge), SYNCED)
    assert reasons(decided) == {"web": "blocked_because_stale"}


def test_a_forged_change_of_a_sandbox_that_is_nowhere_does_nothing() -> None:
    def forge(content: Case) -> None:
        content["changes"] += [{**content["changes"][0], "sandbox": "x\x1b[2J", "action": "delete", "id": "../.."}]

    decided = held_to(forged(written(SYNCED), forge), SYNCED)
    assert [change.acts for change in decided.changes] == [False, False]


# --- what it is bound to


def check(saved: SavedPlan, case: Case) -> None:
    manifests = manifests_of(case)
    saved.check(FLEET, case.get("git", {}).get("root_commit", FIRST_COMMIT), digest_of_manifests(manifests))


def test_it_is_of_one_fleet_one_repository_and_these_manifests() -> None:
    saved = parse_saved_plan(written(OUTDATED))
    check(saved, OUTDATED)
    check(saved, {**OUTDATED, "git": {"root_commit": None}})  # a shallow clone, where that is unknown
    with pytest.raises(PlanRefused, match="another repository with fleet name acme"):
        check(saved, {**OUTDATED, "git": {"root_commit": "e" * 40}})
    with pytest.raises(PlanRefused, match="is for fleet acme, not other"):
        saved.check("other", FIRST_COMMIT, "")
    others: list[Case] = [
        {"sandboxes": {"web": {"ttl": "9h"}}},
        {"sandboxes": {}},
        {"hosts": {"lab-1": {"cordon": True}}},
    ]
    for other in others:
        with pytest.raises(PlanRefused, match="the manifests differ") as refused:
            check(saved, {**OUTDATED, **other})
        assert f"--ref {COMMIT[:12]}" in hint_of(refused.value)


def test_comments_order_and_files_do_not_count_among_the_manifests() -> None:
    first = b"apiVersion: sandboxer.dev/v1\nkind: Host\nmetadata: {name: a}\nspec: {address: a}\n"
    other = b"# words\nkind: Host\napiVersion: sandboxer.dev/v1\nspec:\n  address: 'a'\nmetadata: {name: a}\n"
    host = first.replace(b"name: a", b"name: b")
    digests = [
        digest_of_manifests(load(files))
        for files in (
            {"manifests/a.yaml": first, "manifests/b.yaml": host},
            {"manifests/one.yaml": host + b"---\n" + other},
            {"manifests/one.yaml": host},
        )
    ]
    assert digests[0] == digests[1] != digests[2]


def test_every_option_of_the_planner_is_approved_or_no_plans() -> None:
    named = {field.name for field in fields(Options)}
    # Of a selector, the names that it selected are approved.
    left_out = {"selector", "stale", "renamed", "prune", "only_deletes", "only_expired"}
    assert named - set(ApprovedOptions.model_fields) == left_out
    request = Options(
        targets=frozenset({"b", "a"}),
        excluded=frozenset({"c"}),
        selected=frozenset(),
        hosts=frozenset({"lab-1"}),
        replaced=frozenset({"a"}),
        forgotten=frozenset({"lab-9"}),
        max_deletes=3,
        allow_empty=True,
        adopt_fleet=True,
        allow_rollback=True,
    )
    approval = approval_of(fleet_of(ABSENT), "", request)
    saved = parse_saved_plan(saved_bytes(plan_of(ABSENT), approval))
    assert options_of(saved.approval.options) == request


def test_no_value_of_the_environment_and_no_secret_is_in_it() -> None:
    secret = {"secretRefs": [{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}]}
    case = {
        "sandboxes": {"web": {"env": {"LEVEL": "plain-env-value"}, **secret}, "new": {"env": {"A": "plain-env-value"}}},
        "secrets": {"DB_PASSWORD": "hunter2-secret"},
        "found": {"lab-1": {"copies": [web(spec={"env": {"LEVEL": "former-env-value"}})]}},
    }
    text = written(case).decode()
    assert "spec.env.LEVEL" in text
    assert not any(value in text for value in ("plain-env-value", "former-env-value", "hunter2", "before"))


# --- files that are not plans

GOOD = written(OUTDATED)


def altered(**keys: Any) -> bytes:
    return json.dumps({**json.loads(GOOD), **keys}).encode()


def signed(**keys: Any) -> bytes:
    content = {key: value for key, value in (json.loads(GOOD) | keys).items() if key != "checksum"}
    return json.dumps({**content, "checksum": checksum(content)}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "invalid or incomplete JSON", id="empty"),
        pytest.param(GOOD[: len(GOOD) // 2], "invalid or incomplete JSON", id="truncated"),
        pytest.param(b"\xff" + GOOD, "not UTF-8", id="bytes"),
        pytest.param(b"[1, 2]", "not a plan: no JSON object", id="array"),
        pytest.param(b"{}", "not a plan: no format_version", id="other"),
        pytest.param(b'{"format_version": ' + b"9" * 5000 + b"}", "a number is too large", id="number"),
        pytest.param(b'{"a":' * 100_000 + b"1", "nested too deeply", id="deep"),
        pytest.param(b" " * (MAX_BYTES + 1), "larger than 16 MiB", id="large"),
        pytest.param(altered(format_version="2.0"), "format 2.0 is not supported; this release reads 1.0", id="newer"),
        pytest.param(json.dumps(plan_of(OUTDATED).to_json()).encode(), "not a saved plan", id="-o json"),
        pytest.param(altered(fleet="other"), "checksum mismatch", id="edited"),
        pytest.param(altered(more=1), "checksum mismatch", id="added"),
        pytest.param(altered(checksum=None), "checksum mismatch", id="no-checksum"),
        pytest.param(signed(changes=[{"sandbox": 1}]), r"changes\.0\.sandbox: ", id="shape"),
        pytest.param(signed(changes="all"), "changes: ", id="type"),
        pytest.param(signed(fleet="\ud800"), "Invalid JSON", id="surrogate"),
        pytest.param(signed(approval={}), r"approval\.fleet_root: ", id="approval"),
    ],
)
def test_a_file_that_is_no_saved_plan_is_refused_with_why_and_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(PlanRefused, match=message) as refused:
        parse_saved_plan(data)
    assert hint_of(refused.value)


def test_truncated_anywhere_it_is_refused() -> None:
    for end in range(0, len(GOOD) - 2, 7):
        with pytest.raises(PlanRefused) as refused:
            parse_saved_plan(GOOD[:end])
        assert refused.value.line >= 1


def test_the_position_of_invalid_json_is_reported() -> None:
    with pytest.raises(PlanRefused) as refused:
        parse_saved_plan(b'{\n "fleet": acme}\n')
    assert (refused.value.line, refused.value.column) == (2, 11)
    with pytest.raises(PlanRefused) as refused:
        parse_saved_plan(b'{\n "fleet": "\xff"}\n')
    assert (refused.value.line, refused.value.column) == (2, 12)


def test_a_later_release_may_add_keys() -> None:
    assert parse_saved_plan(signed(format_version="1.7", later={"a": 1})).fleet == FLEET


def test_a_plan_that_could_not_be_read_back_is_not_written() -> None:
    decided = replace(plan_of(ABSENT), warnings=(Notice("x" * MAX_BYTES),))
    with pytest.raises(PlanRefused, match="larger than 16 MiB") as refused:
        saved_bytes(decided, approval_of(fleet_of(ABSENT), "", Options()))
    assert "--target" in hint_of(refused.value)
