"""What holds of every plan, whatever git says and whatever the hosts show."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sandboxer.model.lifecycle import Action, Reason, Sync
from sandboxer.model.observed import Reachable
from sandboxer.reconcile.planner import Options, plan
from tests.support.applying import after_apply
from tests.support.planning import NOW, Case, fleet_of, observations_of

HOSTS = ("lab-1", "lab-2", "lab-3")
NAMES = ("web", "shop", "blog", "old", "mine")
SECRET, VALUES = "sEcReT-oF-tHe-TeSt", ("vAlUe-oNe-oF-tHe-TeSt", "vAlUe-tWo-oF-tHe-TeSt")
UID = "0" * 31 + "1"
# Limits that a person lifts where a change is meant: a property of what is done must see it done.
FREELY = Options(max_deletes=10_000, allow_empty=True, adopt_fleet=True)


def mostly(plain: Any, *odd: Any, times: int = 2) -> st.SearchStrategy[Any]:
    """Return one of the odd values, and ``times`` as often the plain one: too many oddities hide each other."""
    return st.sampled_from([plain] * (len(odd) * times) + list(odd))


def merged(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(*parts).map(lambda given: {key: value for part in given for key, value in part.items()})


secret = {"secretRefs": [{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}]}
specs = merged(
    mostly({}, {"ttl": "8h"}, {"env": {"LEVEL": VALUES[0]}}, {"env": {"LEVEL": VALUES[1]}}, {"inputs": {"ref": "v2"}}),
    mostly({}, {"suspend": True}, {"syncPolicy": {"selfHeal": False}}, {"inputs": {"repo": "../missing"}}, secret),
    mostly({}, *({"placement": {"hosts": list(names)}} for names in (HOSTS[:1], HOSTS[1:2], HOSTS[1:]))),
)
hosts = mostly({}, {"drain": True}, {"cordon": True}, {"capacity": {"sandboxes": 1}}, {"runtime": "docker"}, times=1)
copies = merged(
    st.sampled_from(NAMES).map(lambda name: {"name": name}),
    mostly({}, {"spec": {"ttl": "9h"}}, {"spec": {"env": {"LEVEL": VALUES[0]}}}, {"origin": "api"}, times=1),
    mostly(
        {},
        *(
            {"record": state}
            for state in ("gone", "missing", "unreadable", {"age": "5h"}, {"age": "90s"}, {"uid": UID})
        ),
        *({"record": {"phase": phase}} for phase in ("provisioning", "destroying", "failed", "active")),
        {"record": {"phase": "provisioning", "desired_digest": None}},
        *({"record": changed} for changed in ({"working": True}, {"engine": "podman"}, {"fleet_root": "another"})),
    ),
    mostly(
        {},
        *({"services": {"web": state}} for state in ("exited 1", "repulled", "running unhealthy", "missing")),
        {"stopped": True},
        {"bare": True, "stopped": True},
        {"workspace": False},
        *({"claims": claims} for claims in ({"uid": "2" * 32}, {"root": "/elsewhere"}, {"latest_expiry": "junk"})),
    ),
)
there = st.lists(copies, max_size=4, unique_by=lambda copy: copy["name"])
faults = [{key: "why"} for key in ("unreachable", "garbled", "error", "engine_error")]
observations = merged(
    there.map(lambda copies: {"copies": copies}),
    mostly({}, {"clock": -7200}, {"clock": 30}, {"foreign": ["other"]}, {"directories": ["x"]}),
    mostly({}, *faults, {"never": True}, times=4),
)
cases: st.SearchStrategy[Case] = merged(
    st.fixed_dictionaries(
        {
            "hosts": st.fixed_dictionaries(dict.fromkeys(HOSTS, hosts)),
            "sandboxes": st.dictionaries(st.sampled_from(NAMES[:3]), specs, min_size=1, max_size=3),
            "found": st.fixed_dictionaries(dict.fromkeys(HOSTS, observations)),
            "secrets": mostly({"DB_PASSWORD": SECRET}, {}),
        }
    ),
    mostly({}, {"was": {"sandboxes": {"web": {"placement": {"hosts": ["lab-3"]}}}}}),
)
every = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def unknown_hosts(case: Case) -> set[str]:
    """Hosts that were not observed in full, by the situation and not by the planner."""
    found = {host: case["found"][host] for host in HOSTS}
    unknown = {
        h
        for h, observation in found.items()
        if observation.keys() & {"unreachable", "garbled", "never", "error", "engine_error"}
    }
    shown = {h: observation for h, observation in observations_of(case).items() if isinstance(observation, Reachable)}
    uids: dict[str, set[str]] = {}
    for host, observation in shown.items():
        for there in observation.found.values():
            if there.record:
                uids.setdefault(there.record.uid, set()).add(host)
        for engine in observation.engines.values():
            for labels in (c.labels for c in engine.containers):
                uids.setdefault(labels.get("dev.sandboxer.uid", host), set()).add(host)
    return unknown | {host for together in uids.values() if len(together) > 1 for host in together}


@given(cases, st.randoms(use_true_random=False))
@every
def test_a_plan_is_plain_data_and_the_same_in_any_order(case: Case, random: Any) -> None:
    decided = plan(fleet_of(case), observations_of(case), NOW, FREELY)
    text = json.dumps(decided.to_json(), allow_nan=False)
    shuffled = list(observations_of(case).items())
    random.shuffle(shuffled)
    turned = {**case, "sandboxes": dict(reversed(case["sandboxes"].items()))}
    assert json.dumps(plan(fleet_of(turned), dict(shuffled), NOW, FREELY).to_json()) == text
    for change in decided.changes:
        event(change.reason)
    assert sum(decided.summary.values()) == len(decided.changes)
    assert all(change.reason.startswith(change.action.replace("-", "_")) for change in decided.changes)


@given(cases)
@every
def test_no_value_of_an_environment_and_no_secret_is_in_a_plan(case: Case) -> None:
    text = json.dumps(plan(fleet_of(case), observations_of(case), NOW, FREELY).to_json())
    assert not [value for value in (SECRET, *VALUES) if value in text]


@given(cases)
@every
def test_what_is_not_known_is_never_acted_on(case: Case) -> None:
    fleet, unknown = fleet_of(case), unknown_hosts(case)
    for change in plan(fleet, observations_of(case), NOW, FREELY).changes:
        if not change.acts:
            continue
        assert {change.host, change.from_host}.isdisjoint(unknown)
        if change.action is Action.CREATE or change.from_host or change.reason is Reason.REPLACE_INTERRUPTED:
            desired = fleet.sandboxes[change.sandbox]
            assert unknown.isdisjoint({*desired.eligible, *desired.formerly})


@given(cases)
@every
def test_each_sandbox_of_git_has_its_change_and_one_home(case: Case) -> None:
    fleet = fleet_of(case)
    decided = plan(fleet, observations_of(case), NOW, FREELY)
    assert set(fleet.sandboxes) <= {change.sandbox for change in decided.changes}
    for name, desired in fleet.sandboxes.items():
        own = [change for change in decided.changes if change.id == desired.id]
        assert all(change.sandbox == name for change in own)
        keeps = [c for c in own if c.action in (Action.CREATE, Action.UPDATE, Action.REPAIR, Action.REPLACE)]
        assert len(keeps) <= 1
        assert len({(change.host, change.from_host) for change in own}) == len(own)


@given(cases)
@every
def test_the_last_copy_goes_only_by_expiry_or_by_git(case: Case) -> None:
    """Whatever is done, of a sandbox that git wants one is left, but where it expired."""
    fleet, observations = fleet_of(case), observations_of(case)
    decided = plan(fleet, observations, NOW, FREELY)
    after = after_apply(decided, fleet, observations)
    expired = {change.id for change in decided.changes if change.reason is Reason.DELETE_EXPIRED}
    for desired in fleet.sandboxes.values():
        if desired.id not in expired and _shown(desired.id, observations):
            assert _shown(desired.id, after)


@given(cases)
@every
def test_applies_come_to_an_end(case: Case) -> None:
    """One apply is enough, but for what it had to leave blocked, and where a lost record had to be mended first."""
    fleet, observations = fleet_of(case), observations_of(case)
    decided = plan(fleet, observations, NOW, FREELY)
    for _ in range(4):
        later = {c.id for c in decided.changes if c.action in (Action.BLOCKED, Action.REPAIR)}
        observations = after_apply(decided, fleet, observations)
        decided = plan(fleet, observations, NOW, FREELY)
        assert {change.id for change in decided.changes if change.acts} <= later
    assert not decided.differences
    assert all(change.sync is Sync.SYNCED for change in decided.changes if change.reason is Reason.NO_OP_SYNCED)


def _shown(identifier: str, observations: Any) -> bool:
    shown = [observation for observation in observations.values() if isinstance(observation, Reachable)]
    return any(identifier in observation.found for observation in shown) or any(
        container.labels.get("dev.sandboxer.id") == identifier
        for observation in shown
        for engine in observation.engines.values()
        for container in engine.containers
    )
