"""What reaches the containers of network and resources, and what a user's compose file cannot undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import network
from tests.support.e2e import FleetRepo, service, stack, web
from tests.support.unjudged import UNJUDGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab
both_engines = pytest.mark.parametrize("host", ["lab-1", "lab-4"], scope="module")

PORTS = {"reachability": {"ports": [{"name": "http", "service": "web", "port": 8080}]}}
ROOT_PAGE = {"www/index.html": "hello\n"}


def _fetch(url: str) -> str:
    return f"timeout 5 wget -q -O - {url}"


def _gateway(lab: Lab) -> str:
    return network.machine_address(lab._state.network)


@pytest.fixture(scope="module")
def seen(lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """Stacks that come up in one apply and are only inspected."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("seen") / "fleet", hosts=[host])
    page = web(volumes=["./www:/www:ro"])
    client = service(ports=["18080:8080"])
    fleet.sandbox("closed", stack(web=page, client=client), files=ROOT_PAGE, profile_spec=PORTS)
    for name, ingress in (("open", "loopback"), ("shut", "none")):
        profile = PORTS | {"network": {"egress": "allow", "ingress": ingress}}
        fleet.sandbox(name, stack(web=page), files=ROOT_PAGE, profile_spec=profile)
    greedy = service(
        mem_limit="8g", cpus=64, pids_limit=-1, labels={"mine": "yes"}, container_name="one-and-only", ports=["22:22"]
    )
    modest = service(deploy={"resources": {"limits": {"memory": "32M", "cpus": "0.25", "pids": 16}}})
    fleet.sandbox("ceilings", stack(greedy=greedy, modest=modest, plain=service()))
    fleet.commit()
    try:
        fleet.apply()
        fleet.assert_synced()
        yield fleet
    finally:
        fleet.clean_up()


@both_engines
def test_under_egress_deny_a_container_reaches_its_own_networks_alone(seen: FleetRepo, lab: Lab, host: str) -> None:
    assert seen.inside(host, "closed", "client", "sh", "-c", _fetch("http://web:8080/")) == "hello\n"
    other = next(each for each in lab.hosts if each.name != host)
    for address in (other.address, _gateway(lab)):
        tried = f"timeout 3 nc -w 2 {address} 22 </dev/null && echo reached; true"
        assert "reached" not in seen.inside(host, "closed", "client", "sh", "-c", tried)
        assert seen.sh(host, f"timeout 3 busybox nc -w 2 {other.address} 22 </dev/null | head -c 3") == "SSH"

    (way,) = seen.get("closed")["reachability"]
    assert (way["via"], way["host_port"], way["port"]) == ("tunnel", None, 8080)
    assert seen.sh(host, f"timeout 5 busybox wget -q -O - {way['url']}") == "hello\n"
    assert not any(item["HostConfig"]["PortBindings"] for item in seen.containers(host, "closed").values())


@both_engines
def test_under_egress_allow_a_port_is_published_on_the_hosts_loopback_alone(
    seen: FleetRepo, lab: Lab, host: str
) -> None:
    (way,) = seen.get("open")["reachability"]
    assert (way["via"], way["address"], way["port"]) == ("published", "127.0.0.1", 8080)
    assert seen.sh(host, f"timeout 5 busybox wget -q -O - {way['url']}") == "hello\n"
    address, port = lab.host(host).address, way["host_port"]
    assert lab.exec(host, ["busybox", "nc", "-w", "2", address, str(port)], check=False).returncode != 0
    assert _gateway(lab) in seen.inside(
        host, "open", "web", "sh", "-c", f"timeout 3 ping -c 1 -W 2 {_gateway(lab)}", check=False
    )


@both_engines
def test_ingress_none_publishes_nothing(seen: FleetRepo, host: str) -> None:
    assert not seen.containers(host, "shut")["web"]["HostConfig"]["PortBindings"]


@both_engines
def test_ceilings_and_labels_reach_every_container_whatever_the_file_contains(seen: FleetRepo, host: str) -> None:
    containers = seen.containers(host, "ceilings")

    def limits(name: str) -> tuple[float, int, int]:
        config = containers[name]["HostConfig"]
        cpus = config["NanoCpus"] / 1e9 or config["CpuQuota"] / config["CpuPeriod"]
        return cpus, config["Memory"], config["PidsLimit"]

    assert limits("greedy") == limits("plain") == (0.5, 64 << 20, 64)
    assert limits("modest") == (0.25, 32 << 20, 16)
    assert containers["greedy"]["Config"]["Labels"]["mine"] == "yes"
    assert not containers["greedy"]["HostConfig"]["PortBindings"]
    assert all(item["Config"]["Labels"]["dev.sandboxer.fleet"] == seen.name for item in containers.values())


REFUSED = {
    "privileged": service(privileged=True),
    "host-network": service(network_mode="host"),
    "host-pid": service(pid="host"),
    "device": service(devices=["/dev/null:/dev/null"]),
    "bind": service(volumes=["/etc:/etc:ro"]),
    "socket": service(volumes=["/var/run/docker.sock:/docker.sock"]),
    "label": service(labels={"dev.sandboxer.fleet": "other"}),
}


def test_what_no_sandbox_may_have_is_refused_by_the_host_too_and_nothing_is_made(fleet: FleetRepo) -> None:
    fleet.program = UNJUDGED
    for name, each in REFUSED.items():
        fleet.sandbox(name, stack(a=each))
    external = stack(a=service(networks=["theirs"])) | {"networks": {"theirs": {"external": True}}}
    fleet.sandbox("external", external)
    fleet.sandbox("good", stack(a=service()))
    fleet.commit()
    applied = fleet.apply(code=1)
    outcomes = {change["sandbox"]: change["outcome"] for change in applied.changes}
    assert outcomes == {**dict.fromkeys((*REFUSED, "external"), "failed"), "good": "created"}
    for name in REFUSED:
        assert "services.a" in applied.of(name)["error"], applied.of(name)
    assert set(fleet.ids("lab-1")) == {"good/a"}
    for name in REFUSED:
        fleet.remove(name)
    fleet.sandbox("external", stack(a=service()))
    fleet.commit()
    fleet.apply()
    assert set(fleet.ids("lab-1")) == {"good/a", "external/a"}
    fleet.assert_synced()
