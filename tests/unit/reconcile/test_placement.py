"""On which host a sandbox goes: stable, spread, and never beyond what there is room for."""

from __future__ import annotations

from collections import Counter

from sandboxer.reconcile.placement import HostCapacity
from tests.support.planning import fleet_of

IDS = [f"{number:08x}" for number in range(2000)]


def capacity(taken: dict[str, int] | None = None, **hosts: dict[str, object]) -> HostCapacity:
    return HostCapacity(
        fleet_of({"hosts": {name.replace("_", "-"): spec for name, spec in hosts.items()}}).hosts, taken or {}
    )


def placed(names: list[str]) -> dict[str, str | None]:
    there = capacity(**{name: {} for name in names})
    return {identifier: there.place(identifier, [names]) for identifier in IDS}


def test_sandboxes_are_spread_evenly() -> None:
    counts = Counter(placed(["a", "b", "c", "d"]).values())
    assert set(counts) == {"a", "b", "c", "d"}
    assert all(400 < count < 600 for count in counts.values())


def test_the_order_of_hosts_does_not_matter() -> None:
    assert placed(["a", "b", "c"]) == placed(["c", "a", "b"])


def test_one_more_host_takes_its_share_and_moves_nothing_else() -> None:
    before, after = placed(["a", "b", "c"]), placed(["a", "b", "c", "d"])
    moved = {identifier for identifier in IDS if before[identifier] != after[identifier]}
    assert {after[identifier] for identifier in moved} == {"d"}
    assert 400 < len(moved) < 600


def test_the_first_tier_with_room_counts() -> None:
    there = capacity(taken={"a": 1}, a={"capacity": {"sandboxes": 2}}, b={}, c={"cordon": True}, d={"drain": True})
    tiers = [["c", "d"], ["a"], ["b"]]
    assert [there.place(identifier, tiers) for identifier in IDS[:3]] == ["a", "b", "b"]
    assert there.taken == {"a": 2, "b": 2}


def test_a_host_that_git_does_not_have_takes_nothing() -> None:
    assert capacity(a={}).place(IDS[0], [["gone"]]) is None
    assert capacity(a={}).place(IDS[0], []) is None


def test_a_move_does_not_lead_to_where_it_began() -> None:
    assert capacity(a={}, b={}).place(IDS[0], [["a", "b"]], without="a") == "b"
    assert capacity(a={}).place(IDS[0], [["a"]], without="a") is None
