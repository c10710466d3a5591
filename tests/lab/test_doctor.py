"""The doctor on real hosts: fine ones, and each ailment as it is for real."""

from __future__ import annotations

import json
import shlex
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandboxer.wiring import host_checks
from sandboxer.wiring.fleet_hosts import open_fleet
from tests.lab import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.model.host_report import Check, HostReport
    from tests.lab import Lab

pytestmark = pytest.mark.lab

FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\n"


@pytest.fixture
def fleet(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet of all hosts of the lab."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "fleet"
    (folder / "manifests").mkdir(parents=True)
    (folder / "sandboxer.yaml").write_text(FLEET)
    (folder / "manifests" / "hosts.yaml").write_text(lab.host_manifests(root="/tmp/doctor"))
    return folder


def check_host(fleet: Path, *hosts: str) -> dict[str, HostReport]:
    with open_fleet(fleet) as (source, fleet_hosts):
        reports = host_checks.check_host(source.sound(), source.registry(), fleet_hosts.transport, hosts)
        return {report.host: report for report in reports}


def check(fleet: Path, host: str, name: str) -> Check:
    """Return the worst check of that name."""
    found = [each for each in check_host(fleet, host)[host].checks if each.name == name]
    return max(found, key=lambda each: ("ok", "note", "warning", "error").index(each.status))


@contextmanager
def file(lab: Lab, host: str, path: str, text: str) -> Iterator[None]:
    """Return a file on a host, for a while."""
    lab.exec(host, ["sh", "-c", f"cat > {shlex.quote(path)}"], input=text)
    try:
        yield
    finally:
        lab.exec(host, ["rm", "-f", path])


def test_the_labs_hosts_are_well(lab: Lab, fleet: Path) -> None:
    before = {host.name: lab.snapshot(host) for host in lab.hosts}
    checkups = check_host(fleet)
    assert list(checkups) == [host.name for host in lab.hosts]
    for host in lab.hosts:
        report = checkups[host.name]
        assert [each for each in report.checks if each.status not in ("ok", "note")] == []
        found = {each.name: each.found for each in report.checks}
        assert found["host key"] == "pinned in git"
        assert found["ssh"].startswith(host.user)
        engine, compose = {"docker": ("Docker", "Docker Compose 2."), "podman": ("Podman", "podman-compose 1.")}[
            host.engine
        ]
        assert found["engine"].startswith(f"{engine} ")
        assert found["compose"].startswith(compose)
        assert found["reading"] == "Compose reads files in a private mount, without network"
        assert ("sshd" in found) is (host.user == "root")
        assert lab.leaked(host, before[host.name]) == {}


def test_one_connection_and_one_command_for_each_host(lab: Lab, fleet: Path) -> None:
    with open_fleet(fleet) as (source, fleet_hosts):
        host_checks.check_host(source.sound(), source.registry(), fleet_hosts.transport)
        stats = [fleet_hosts.transport(host.name).stats for host in lab.hosts]
    assert [(each.connections, each.commands) for each in stats] == [(1, 1)] * len(lab.hosts)


def test_a_host_that_is_cut_off_keeps_no_other_from_its_own(lab: Lab, fleet: Path) -> None:
    with lab.cut("lab-2", "refuse"):
        checkups = check_host(fleet)
    (found,) = checkups["lab-2"].checks
    assert (found.name, found.status) == ("ssh", "error")
    assert found.found.startswith("cannot connect to lab-2 (")
    assert [name for name, report in checkups.items() if not report.ok] == ["lab-2"]


def test_a_host_key_that_is_another(lab: Lab, fleet: Path) -> None:
    manifests = fleet / "manifests" / "hosts.yaml"
    keys = {host.name: next(key for key in host.host_keys if "ed25519" in key) for host in lab.hosts}
    manifests.write_text(manifests.read_text().replace(keys["lab-1"].split()[1], keys["lab-2"].split()[1]))
    (found,) = check_host(fleet, "lab-1")["lab-1"].checks
    assert (found.name, found.status) == ("host key", "error")
    assert "hostKey:" in found.remedy


def test_docker_that_is_down(lab: Lab, fleet: Path) -> None:
    with lab.stop_engine("lab-1"):
        found = check(fleet, "lab-1", "engine")
    assert found.status == "error"
    assert found.found.startswith("Docker does not answer: ")
    assert found.remedy


def test_docker_that_hangs(lab: Lab, fleet: Path) -> None:
    began = time.monotonic()
    with lab.stop_engine("lab-1", "freeze"):
        found = check(fleet, "lab-1", "engine")
    assert (found.status, found.found) == ("error", "Docker does not answer within 20 s")
    assert time.monotonic() - began < 60


def test_docker_that_the_login_may_not_use(lab: Lab, fleet: Path) -> None:
    (host,) = (host for host in lab.hosts if host.user != "root")
    lab.exec(host, ["chmod", "600", "/var/run/docker.sock"])
    try:
        found = check(fleet, host.name, "engine")
    finally:
        lab.exec(host, ["chmod", "660", "/var/run/docker.sock"])
    assert found.status == "error"
    assert found.found.startswith(f"{host.user} cannot use Docker's socket /var/run/docker.sock")
    assert found.remedy.startswith(f"sudo usermod -aG docker {host.user}\n")


def test_a_compose_that_is_not_there(lab: Lab, fleet: Path) -> None:
    manifests = fleet / "manifests" / "hosts.yaml"
    manifests.write_text(manifests.read_text().replace("spec:\n", "spec:\n  composeCommand: podman compose\n"))
    (host,) = (host for host in lab.hosts if host.engine == "podman")
    found = check(fleet, host.name, "compose")
    assert found.status == "error"
    assert found.found.startswith("`podman compose` does not work: ")


def test_a_noisy_login_shell(lab: Lab, fleet: Path) -> None:
    with file(lab, "lab-1", "/root/.bashrc", "echo Welcome to this host\n"):
        found = check(fleet, "lab-1", "login shell")
    assert found.status == "warning"
    assert found.found.endswith("Welcome to this host")
    assert found.remedy.startswith("~/.bashrc ")


def test_a_root_that_is_refused(lab: Lab, fleet: Path) -> None:
    lab.exec("lab-1", ["ln", "-s", "/etc", "/tmp/doctor"])
    try:
        found = check(fleet, "lab-1", "root")
    finally:
        lab.exec("lab-1", ["rm", "/tmp/doctor"])
    assert (found.status, found.found) == (
        "error",
        "/tmp/doctor is a symbolic link, not a directory, and is rejected",
    )


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_the_firewalls_remedy_closes_the_hosts_own_addresses_and_nothing_else(lab: Lab, fleet: Path, host: str) -> None:
    """Under an internal network, as `egress: deny` makes it: before and after what the doctor says is typed in."""
    open_before = check(fleet, host, "firewall")
    assert open_before.status == "note"
    lab.docker(host, "network", "create", "--internal", "doctor")
    try:
        serve = "echo fine >/index.html; exec httpd -f -p 8080 -h /"
        lab.docker(host, "run", "-d", "--name", "doctor-web", "--network", "doctor", IMAGE, "sh", "-c", serve)
        gateway = _gateway(lab, host)
        ways = {
            "the host's sshd": f"nc -w 2 {gateway} 22 </dev/null | grep -q SSH",
            "a service by its name": "until wget -q -O - http://doctor-web:8080/ | grep -q fine; do sleep 0.1; done",
        }

        def inside() -> dict[str, bool]:
            run = ("run", "--rm", "--network", "doctor", IMAGE, "timeout", "6", "sh", "-c")
            return {what: lab.docker(host, *run, way, check=False).returncode == 0 for what, way in ways.items()}

        assert inside() == {"the host's sshd": True, "a service by its name": True}
        lab.exec(host, ["sh", "-c", open_before.remedy])
        assert inside() == {"the host's sshd": False, "a service by its name": True}
        assert check(fleet, host, "firewall").status == "ok"
        address = _address(lab, host)
        lab.exec(host, ["busybox", "timeout", "5", "busybox", "wget", "-q", "-O", "-", f"http://{address}:8080/"])
    finally:
        lab.exec(host, ["nft", "delete", "table", "inet", "sandboxer"], check=False)
        lab.docker(host, "kill", "doctor-web", check=False)
        lab.docker(host, "rm", "-f", "doctor-web", check=False)
        lab.docker(host, "network", "rm", "doctor")


def _gateway(lab: Lab, host: str) -> str:
    """Return the gateway of the network, as either engine reports it."""
    (network,) = json.loads(lab.docker(host, "network", "inspect", "doctor").stdout)
    if "IPAM" in network:
        return str(network["IPAM"]["Config"][0]["Gateway"])
    return str(network["subnets"][0]["gateway"])


def _address(lab: Lab, host: str) -> str:
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return lab.docker(host, "inspect", "doctor-web", "--format", shown).stdout.strip()
