"""What happens to each service: the list that `apply` shows is what happened, held to the containers' IDs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab

OTHER_IMAGE = "sandboxer-lab/busybox:2"
MOVED_IMAGE = "sandboxer-lab/moved:1"
HEALTHCHECK = {"test": ["CMD", "test", "!", "-e", "/sick"], "interval": "1s", "timeout": "5s", "retries": 1}


def _compose(*, command: str = "9999", image: str = IMAGE, extra: bool = True) -> dict[str, Any]:
    services = {
        "calm": service(),
        "checked": service(healthcheck=HEALTHCHECK),
        "command": service("sleep", command),
        "file": service(volumes=["./one.txt:/one.txt:ro"]),
        "image": service() | {"image": image},
        "moved": service() | {"image": MOVED_IMAGE},
        "waits": service(depends_on={"command": {"condition": "service_started"}}),
        "once": service("true", restart="no"),
    }
    return stack(**services, **({"extra": service()} if extra else {}))


class Lists:
    """Applies, and holds what the list says to the containers."""

    def __init__(self, fleet: FleetRepo, host: str) -> None:
        self.fleet = fleet
        self.host = host

    def apply(self, *arguments: str, acts: bool = True, unforeseen: tuple[str, ...] = ()) -> dict[str, str]:
        """Return action and cause of every service that is not kept.

        A plan foresees the same but for what is ``unforeseen``.
        """
        before = self.fleet.ids(self.host, "one")
        expected = [
            change["expected"] for change in self.fleet.plan(*arguments, drifts=True).changes if "expected" in change
        ]
        changes = self.fleet.apply(*arguments, drifts=True).changes
        after = self.fleet.ids(self.host, "one")
        if not acts:
            assert (changes, after) == ([], before)
            return {}
        (change,) = changes
        listed = {one["service"]: one for one in change["services"]}
        assert listed.keys() == before.keys() | after.keys()
        for name, one in listed.items():
            old, new = before.get(name), after.get(name)
            happened = {
                "create": old is None and new is not None,
                "recreate": old is not None and new not in (old, None),
                "start": old is not None and new == old,
                "keep": old is not None and new == old,
                "remove": old is not None and new is None,
            }
            assert happened[one["action"]], (name, one, old, new)
        if before:
            assert [one["exact"] for one in expected] == [self.host != "lab-4"]
            foreseen = {one["service"]: one["action"] for one in expected[0]["services"]}
            done = {name: one["action"] for name, one in listed.items()}
            assert {name for name in done if done[name] != foreseen.get(name)} == set(unforeseen)
        return {name: f"{one['action']} {one['cause']}" for name, one in listed.items() if one["action"] != "keep"}


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_what_is_recreated_is_exactly_what_was_planned(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    lists = Lists(fleet, host)
    lab.load_image(host, OTHER_IMAGE, {"other": "yes"})
    lab.load_image(host, MOVED_IMAGE, {"moved": "no"})

    def write(files: dict[str, str] | None = None, mode: str = "a", **given: Any) -> None:
        fleet.sandbox("one", _compose(**given), files=files or {}, labels={"mode": mode})
        fleet.commit()

    write({"one.txt": "old\n"})
    assert set(lists.apply().values()) == {"create new"}
    assert lists.apply(acts=False) == {}
    write(mode="b")
    assert lists.apply() == {}  # the record alone changes

    write(mode="b", command="8888")
    assert lists.apply() == {"command": "recreate config"}
    write({"one.txt": "new\n"}, mode="b", command="8888")
    assert lists.apply() == {"file": "recreate files"}
    lab.load_image(host, MOVED_IMAGE, {"moved": "yes"})  # the tag alone is no change, an update notices it
    write(mode="b", command="8888", image=OTHER_IMAGE)
    assert lists.apply(unforeseen=("moved",)) == {"image": "recreate image", "moved": "recreate image"}
    write(mode="b", command="8888", image=OTHER_IMAGE, extra=False)
    assert lists.apply() == {"extra": "remove undesired"}

    there = fleet.ids(host, "one")
    fleet.engine(host, "stop", "-t", "0", there["calm"], there["waits"])
    assert lists.apply() == {"calm": "start exited", "waits": "start exited"}
    fleet.engine(host, "rm", "-f", there["command"])
    assert lists.apply() == {"command": "create missing"}
    fleet.engine(host, "pause", there["calm"])
    assert lists.apply() == {"calm": "start paused"}

    fleet.inside(host, "one", "checked", "touch", "/sick")
    until(lambda: _unhealthy(fleet, host), "it is unhealthy")
    assert lists.apply() == {"checked": "recreate unhealthy"}
    assert lists.apply(acts=False) == {}
    assert set(lists.apply("--replace", "one").values()) == {"recreate replace"}
    fleet.assert_synced()


def _unhealthy(fleet: FleetRepo, host: str) -> bool:
    identifier = fleet.ids(host, "one")["checked"]
    if host == "lab-4":  # Podman runs health checks by systemd timers, and without systemd nobody does
        fleet.engine(host, "healthcheck", "run", identifier, check=False)
    state = fleet.engine(host, "inspect", "--format", "{{json .State}}", identifier)
    return '"unhealthy"' in state


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_what_shares_a_network_follows_and_what_has_several_containers_changes_their_number(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = new_fleet(host)
    lists = Lists(fleet, host)

    def write(command: str, scale: int) -> None:
        fleet.sandbox(
            "one",
            stack(
                side=service(network_mode="service:web"),
                web=service("sleep", command),
                many=service(scale=scale),
            ),
        )
        fleet.commit()

    def number() -> int:
        listed = fleet.engine(host, "ps", "-q", "--filter", f"label=dev.sandboxer.id={fleet.id('one')}")
        return len(listed.split()) - 2

    write("1111", 1)
    assert set(lists.apply().values()) == {"create new"}
    write("2222", 1)
    assert lists.apply() == {"side": "recreate dependency", "web": "recreate config"}
    kept = fleet.ids(host, "one")
    write("2222", 3)
    (change,) = fleet.apply().changes
    assert {"service": "many", "action": "create", "cause": "replicas"} in change["services"]
    assert number() == 3
    write("2222", 1)
    (change,) = fleet.apply().changes
    assert {"service": "many", "action": "remove", "cause": "replicas"} in change["services"]
    assert number() == 1
    assert fleet.ids(host, "one") == kept
    fleet.assert_synced()


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_what_is_built_is_recreated_where_its_image_became_another(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = new_fleet(host)
    lists = Lists(fleet, host)
    built = {key: value for key, value in service().items() if key != "image"} | {"build": {"context": "./app"}}
    dockerfile = {"app/Dockerfile": f"FROM {IMAGE}\nCOPY one.txt /one.txt\n"}

    def write(text: str, other: str) -> None:
        compose = stack(built=built, other=service("sleep", other))
        fleet.sandbox("one", compose, files=dockerfile | {"app/one.txt": text})
        fleet.commit()

    write("old\n", "1111")
    assert set(lists.apply().values()) == {"create new"}
    write("old\n", "2222")
    assert lists.apply() == {"other": "recreate config"}
    write("new\n", "2222")
    assert lists.apply() == {"built": "recreate image"}
    assert fleet.inside(host, "one", "built", "cat", "/one.txt") == "new\n"
    fleet.assert_synced()


def test_docker_recreates_a_changed_network_and_restarts_what_depends_on_it(fleet: FleetRepo) -> None:
    lists = Lists(fleet, "lab-1")

    def write(command: str, mtu: int) -> None:
        services = {
            "db": service("sleep", command),
            "web": service(depends_on={"db": {"condition": "service_started", "restart": True}}),
            "far": service(networks=["far"]),
            "once": service("true", restart="no", depends_on={"db": {"condition": "service_started", "restart": True}}),
        }
        options = {"driver_opts": {"com.docker.network.driver.mtu": str(mtu)}}
        fleet.sandbox("one", stack(**services) | {"networks": {"far": options}})
        fleet.commit()

    def started(name: str) -> str:
        return fleet.engine("lab-1", "inspect", "--format", "{{.State.StartedAt}}", fleet.ids("lab-1", "one")[name])

    write("1111", 1400)
    assert set(lists.apply().values()) == {"create new"}
    before = {name: started(name) for name in ("web", "once", "far")}
    write("2222", 1400)
    assert lists.apply() == {"db": "recreate config", "web": "start dependency"}
    after = {name: started(name) for name in ("web", "once", "far")}
    assert {name for name in before if before[name] != after[name]} == {"web"}
    write("2222", 1300)
    assert lists.apply() == {"far": "recreate network"}
    fleet.assert_synced()

    # Docker alone knows that a stopped container's network is gone: what it refuses to start is recreated.
    there = fleet.ids("lab-1", "one")
    network = f"{fleet.project('one')}_far"
    fleet.engine("lab-1", "stop", "-t", "0", there["far"])
    fleet.engine("lab-1", "network", "rm", network)
    assert lists.apply(unforeseen=("far",)) == {"far": "recreate refused"}
    fleet.assert_synced()


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_get_shows_each_service_with_its_restarts(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    # It ends once, and stays up after that.
    again = "test -e /data/been && exec sleep 9999; touch /data/been; sleep 2; exit 3"
    looping = service("sh", "-c", again, restart="always", volumes=["data:/data"])
    fleet.sandbox(
        "one", stack(calm=service(), once=service("true", restart="no"), restless=looping) | {"volumes": {"data": None}}
    )
    fleet.commit()
    fleet.apply()

    def services() -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in json.loads(fleet.run("get", "one", "-o", "json"))["services"]}

    until(lambda: services()["restless"]["restarts"] == 1, "the restart")
    found = services()
    assert {name: one["restarts"] for name, one in found.items()} == {"calm": 0, "once": 0, "restless": 1}
    assert (found["once"]["state"], found["once"]["exit_code"]) == ("exited", 0)
    assert (found["calm"]["state"], found["calm"]["exit_code"]) == ("running", None)
    assert all(one["image"].endswith(IMAGE) for one in found.values())
    lines = [line.split() for line in fleet.run("get", "one").splitlines()]
    assert ["restless", "running", found["restless"]["image"], "1", "restart"] in lines
