"""The state machine: any history of two fleets on three hosts, checked against the invariants."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.histories.git import HOSTS
from tests.histories.world import COUNTS, FREELY, Interruption, World

Then = tuple[str, Interruption | None] | None
FLEETS = ("acme", "acme", "acme", "beta")
NAMES = ("web", "shop")

fleets = st.sampled_from(FLEETS)
names = st.sampled_from(NAMES)
hosts = st.sampled_from(HOSTS)
fields: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        *[{"env": {"LEVEL": level}} for level in ("one", "two", "three")],
        {"profile": "large"},
        {"profile": "small"},
        {"ttl": "1h", "expiresAt": None},
        {"ttl": None, "expiresAt": None},
        {"ttl": None, "expiresAt": "2026-11-24T14:00:00Z"},
        {"labels": {"team": "payments"}},
        {"suspend": True},
        {"syncPolicy": {"prune": False}},
        {"syncPolicy": {"selfHeal": False}},
        *[{"suspend": None, "syncPolicy": None}] * 3,
        *({"placement": {"hosts": list(chosen)}} for chosen in (HOSTS[:1], HOSTS[1:2], HOSTS[1:])),
        {"placement": None},
    ]
)
host_fields: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from(
    [
        {"cordon": True},
        *[{"drain": True}] * 3,
        {"capacity": {"sandboxes": 1}},
        {"runtime": "podman"},
        *[{"cordon": None, "drain": None, "capacity": None, "runtime": None}] * 3,
        None,
    ]
)
request: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}] * 5
    + [{"targets": [name]} for name in NAMES]
    + [{"hosts": [host]} for host in HOSTS]
    + [{"excluded": ["web"]}, {"replaced": ["web"]}, {"prune": False}, {"max_deletes": 1}]
    + [{"only_deletes": True}, {"only_deletes": True, "only_expired": True}]
)
troubles = st.builds(
    Interruption, st.sampled_from(["kill", "kill", "kill", "cut", "engine", "failure", "rival"]), st.integers(0, 40)
)
interruptions = st.one_of(st.none(), troubles)
# An apply mostly follows a step; otherwise most steps would go unobserved.
afterwards = st.one_of(st.none(), st.tuples(fleets, interruptions), st.tuples(fleets, st.none()))
BREAKS = ("cut", "cut", "stop_engine", "stop_engine", "garble", "link")
oddities: st.SearchStrategy[tuple[str, tuple[Any, ...]]] = st.one_of(
    st.tuples(st.just("occupy"), st.tuples(hosts, st.sampled_from(["container", "project", "directory"]))),
    st.tuples(st.just("set_clock"), st.tuples(st.sampled_from([None, *HOSTS]), st.sampled_from([-7200, 0, 30, 7200]))),
    st.tuples(st.just("create"), st.tuples(fleets, hosts)),
)
HARM = (
    *(("hurt", damage) for damage in ("removed", "stopped", "paused", "ended", "gone")),
    *(("lose", what) for what in ("folder", "folder", "record", "workspace")),
    *(("tamper", what) for what in ("torn", "life", "stranger")),
)


class Histories(RuleBasedStateMachine):
    """Commits, applies, prunes, faults, unreachable hosts, two fleets and expiry, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(first=st.lists(st.tuples(fleets, names, fields), min_size=1, max_size=3))
    def begin(self, first: list[tuple[str, str, dict[str, Any]]]) -> None:
        for fleet, name, given in first:
            self.world.edit(fleet, name, **given)
            self.world.apply(fleet, **FREELY)

    def _then(self, then: Then) -> None:
        if then is not None:
            self.world.apply(then[0], interruption=then[1], **FREELY)

    # --- git

    @rule(fleet=fleets, name=names, given=fields, then=afterwards)
    def edit(self, fleet: str, name: str, given: dict[str, Any], then: Then) -> None:
        self.world.edit(fleet, name, **given)
        self._then(then)

    @rule(fleet=fleets, name=names, then=afterwards)
    def drop(self, fleet: str, name: str, then: Then) -> None:
        self.world.drop(fleet, name)
        self._then(then)

    @rule(fleet=fleets, host=hosts, given=host_fields, then=afterwards)
    def edit_host(self, fleet: str, host: str, given: dict[str, Any] | None, then: Then) -> None:
        if given is not None:
            self.world.edit_host(fleet, host, **given)
        elif len(self.world.fleets[fleet].head.hosts) > 1:
            self.world.drop_host(fleet, host)
        self._then(then)

    # --- the program

    @rule(fleet=fleets)
    def plan(self, fleet: str) -> None:
        self.world.plan(fleet)

    @rule(fleet=fleets, request=request, interruption=interruptions)
    def apply(self, fleet: str, request: dict[str, Any], interruption: Interruption | None) -> None:
        self.world.apply(fleet, interruption=interruption, **request)

    @rule(fleet=fleets, interruption=interruptions)
    def apply_freely(self, fleet: str, interruption: Interruption | None) -> None:
        self.world.apply(fleet, interruption=interruption, **FREELY)

    @rule(fleet=fleets, back=st.integers(1, 2), allow_rollback=st.booleans())
    def apply_older(self, fleet: str, back: int, allow_rollback: bool) -> None:
        self.world.apply(fleet, back=back, allow_rollback=allow_rollback, **FREELY)

    @rule(fleet=fleets, name=names, given=st.one_of(st.none(), fields), trouble=troubles, next_given=fields)
    def break_off(
        self, fleet: str, name: str, given: dict[str, Any] | None, trouble: Interruption, next_given: dict[str, Any]
    ) -> None:
        """Commit a change whose apply is interrupted, and another one before the next apply."""
        if given is None:
            self.world.drop(fleet, name)
        else:
            self.world.edit(fleet, name, **given)
        self.world.apply(fleet, interruption=trouble, targets=[name])
        self.world.edit(fleet, name, **next_given)
        self.world.apply(fleet, **FREELY)

    @rule(fleet=fleets, name=names, given=fields, request=request)
    def come_and_go(self, fleet: str, name: str, given: dict[str, Any], request: dict[str, Any]) -> None:
        """Apply a sandbox, and remove it from git."""
        self.world.edit(fleet, name, **given)
        self.world.apply(fleet, **FREELY)
        self.world.drop(fleet, name)
        self.world.apply(fleet, **request)

    @precondition(lambda self: self.world.waiting is None)
    @rule(fleet=fleets)
    def plan_for_later(self, fleet: str) -> None:
        self.world.plan_for_later(fleet)

    @precondition(lambda self: self.world.waiting is not None)
    @rule(interruption=interruptions)
    def carry_out(self, interruption: Interruption | None) -> None:
        self.world.carry_out(interruption)

    # --- time, and hosts

    @rule(seconds=st.sampled_from([1, 600, 3600, 3600, 3 * 3600]), then=afterwards)
    def pass_time(self, seconds: int, then: Then) -> None:
        self.world.pass_time(seconds)
        self._then(then)

    @rule(host=hosts, damage=st.sampled_from(BREAKS), then=afterwards)
    def break_host(self, host: str, damage: str, then: Then) -> None:
        getattr(self.world, damage)(host)
        self._then(then)

    @precondition(lambda self: self.world.broken)
    @rule(host=st.sampled_from([None, None, *HOSTS]), then=afterwards)
    def heal(self, host: str | None, then: Then) -> None:
        self.world.heal(host)
        self._then(then)

    @rule(host=hosts, damage=st.sampled_from(["boot", "wipe"]), then=afterwards)
    def reboot(self, host: str, damage: str, then: Then) -> None:
        getattr(self.world, damage)(host)
        self._then(then)

    @rule(odd=oddities, then=afterwards)
    def see(self, odd: tuple[str, tuple[Any, ...]], then: Then) -> None:
        getattr(self.world, odd[0])(*odd[1])
        self._then(then)

    # --- sandboxes

    @precondition(lambda self: self.world.copies())
    @rule(which=st.integers(0, 11), harm=st.sampled_from(HARM), then=afterwards)
    def harm(self, which: int, harm: tuple[str, str], then: Then) -> None:
        copies = self.world.copies()
        getattr(self.world, harm[0])(*copies[which % len(copies)], harm[1])
        self._then(then)

    # --- invariants

    @invariant()
    def steady(self) -> None:
        self.world.steps += 1
        COUNTS["steps"] += 1
        self.world.judge.steady()

    @precondition(lambda self: self.world.steps > 8)
    @rule()
    def calm(self) -> None:
        self.world.calm()

    def teardown(self) -> None:
        self.world.calm()
