"""What the lab promises to those who build on it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab import IMAGE, Lab, LabError, Process, cgroups, network, state
from tests.lab.errors import wait_until
from tests.lab.lab import clear_abandoned, remove
from tests.lab.processes import kill_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import LabHost

pytestmark = pytest.mark.lab

STACK = f"""
services:
  web:
    image: {IMAGE}
    command: ["sh", "-c", "trap 'exit 0' TERM; echo hello >/www/index.html; httpd -f -p 8080 -h /www & wait"]
    healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 1s, retries: 20}}
    deploy: {{resources: {{limits: {{cpus: "0.5", memory: 64M, pids: 32}}}}}}
  client:
    image: {IMAGE}
    command: ["sh", "-c", "trap 'exit 0' TERM; until wget -q -O /www/got http://web:8080/; do sleep 0.1; done; sleep 99 & wait"]
    healthcheck: {{test: [CMD, test, -s, /www/got], interval: 1s, retries: 20}}
"""  # noqa: E501 -- the stack is easier to read so


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a second lab, which the test may leave in any state."""
    name = f"second-{os.getpid()}"
    yield name
    remove(name)


def test_every_host_answers_over_ssh_with_its_pinned_keys_alone(lab: Lab) -> None:
    assert [host.engines for host in lab.hosts[:4]] == [("docker",)] * 3 + [("podman",)]
    for host in lab.hosts:
        assert lab.ssh(host, "hostname; whoami").stdout.split() == [host.name, host.user]
    assert {len(host.host_keys) for host in lab.hosts if host.user == "sbx"} == {3}
    assert len({host.host_key for host in lab.hosts}) == len(lab.hosts)


def test_sshd_has_the_limits_that_everybody_has(lab: Lab) -> None:
    limits = lab.exec("lab-1", ["/usr/sbin/sshd", "-T"]).stdout.splitlines()
    assert "maxsessions 10" in limits
    assert any(line.startswith("maxstartups 10:30:100") for line in limits)


def test_a_host_sees_its_own_engine_alone_and_cannot_change_the_machine(lab: Lab) -> None:
    for host in lab.hosts:
        for engine in ("docker", "podman"):
            for shell in ("sh", "bash"):
                found = lab.exec(host, [shell, "-c", f"command -v {engine}"], check=False).stdout
                assert bool(found) == (engine in host.engines)
    lab.exec("lab-1", ["sh", "-c", "for folder in etc home opt root run tmp var; do : >/$folder/only-here; done"])
    assert lab.exec("lab-1", ["touch", "/usr/nowhere"], check=False).returncode == 1
    assert not any(Path("/", folder, "only-here").exists() for folder in ("etc", "home", "root", "run", "tmp", "var"))
    assert lab.exec("lab-2", ["test", "-e", "/tmp/only-here"], check=False).returncode == 1
    lab.exec("lab-1", ["sh", "-c", "rm /*/only-here"])


def test_the_image_is_the_same_on_every_host_and_runs_for_every_login(lab: Lab) -> None:
    ids = {lab.docker(host, "inspect", "--format", "{{.Id}}", IMAGE).stdout.strip()[-64:] for host in lab.hosts}
    assert len(ids) == 1
    for host in lab.hosts:
        result = lab.ssh(host, f"{host.engine} run --rm {IMAGE} sh -c 'echo from $(hostname | wc -c)'")
        assert result.stdout == "from 13\n"


@pytest.mark.parametrize("host", ["lab-1", "lab-3"])
def test_compose_runs_a_stack_whose_services_find_each_other(lab: Lab, host: str) -> None:
    before = lab.snapshot(host)
    lab.ssh(host, "mkdir /tmp/stack && cat >/tmp/stack/compose.yaml", input=STACK)
    compose = "cd /tmp/stack && docker compose -p stack"
    lab.ssh(host, f"{compose} up -d --wait --wait-timeout 60", timeout=90)
    assert lab.ssh(host, f"{compose} exec -T client cat /www/got").stdout == "hello\n"
    limits = lab.docker(host, "inspect", "stack-web-1", "--format", "{{json .HostConfig}}").stdout
    assert json.loads(limits)["Memory"] == 64 << 20
    assert json.loads(limits)["PidsLimit"] == 32
    assert set(lab.snapshot(host).leaked_since(before)) == {"containers", "networks", "files", "processes"}

    lab.ssh(host, f"{compose} down -v && rm -r /tmp/stack", timeout=90)
    assert lab.leaked(host, before) == {}


def test_podman_compose_runs_the_same_stack(lab: Lab) -> None:
    before = lab.snapshot("lab-4")
    lab.ssh("lab-4", "mkdir /tmp/stack && cat >/tmp/stack/compose.yaml", input=STACK)
    compose = "cd /tmp/stack && timeout 60 podman-compose -p stack"
    lab.ssh("lab-4", f"{compose} up -d", timeout=90)
    got = ["podman", "exec", "stack_client_1", "cat", "/www/got"]
    wait_until(lambda: lab.exec("lab-4", got, check=False).stdout == "hello\n", seconds=20, what="the client's page")
    assert lab.docker("lab-4", "inspect", "stack_web_1", "--format", "{{.HostConfig.Memory}}").stdout == f"{64 << 20}\n"

    lab.ssh("lab-4", f"{compose} down -v && rm -r /tmp/stack", timeout=90)
    assert lab.leaked("lab-4", before) == {}


def test_a_cut_host_drops_or_refuses_and_comes_back(lab: Lab) -> None:
    host = lab.host("lab-2")
    with lab.cut(host, "drop"), pytest.raises(TimeoutError):
        _connect(host, timeout=0.5)
    with lab.cut(host, "refuse"), pytest.raises(ConnectionRefusedError):
        _connect(host, timeout=5)
    assert _connect(host, timeout=5).startswith(b"SSH-")
    assert _connect(lab.host("lab-1"), timeout=5).startswith(b"SSH-")


@pytest.mark.parametrize("mode", ["kill", "stop", "freeze"])
def test_an_engine_that_stops_does_not_answer_and_comes_back(lab: Lab, mode: str) -> None:
    with lab.stop_engine("lab-2", mode):  # type: ignore[arg-type]
        with pytest.raises(LabError):
            lab.docker("lab-2", "ps", timeout=1)
        assert lab.ssh("lab-2", "echo here").stdout == "here\n"
    lab.docker("lab-2", "ps")


def test_an_image_with_other_labels_has_another_id(lab: Lab) -> None:
    lab.load_image("lab-1", "sandboxer-lab/busybox:2", {"release": "2"})
    ids = [lab.docker("lab-1", "inspect", "--format", "{{.Id}}", f"sandboxer-lab/busybox:{n}").stdout for n in (1, 2)]
    lab.docker("lab-1", "rmi", "sandboxer-lab/busybox:2")
    assert ids[0] != ids[1]


def test_the_hosts_as_manifests(lab: Lab) -> None:
    documents = list(yaml.safe_load_all(lab.host_manifests(root="/tmp/there")))
    assert [document["metadata"]["name"] for document in documents] == [host.name for host in lab.hosts]
    for document, host in zip(documents, lab.hosts, strict=True):
        assert document["metadata"]["labels"] == {"tier": "self-hosted", "lab": "true", "engine": host.engine}
        assert document["spec"]["hostKey"].startswith("ssh-ed25519 AAAA")
        assert document["spec"]["root"] == "/tmp/there"
        assert document["spec"]["runtime"] == ("podman" if host.engines == ("podman",) else "auto")


def test_a_second_lab_stands_apart_and_leaves_nothing(lab: Lab, name: str) -> None:
    with Lab.up(name, docker=1, podman=1, both=1) as second:
        assert not {host.address for host in second.hosts} & {host.address for host in lab.hosts}
        for host in second.hosts:
            for engine in host.engines:
                second.exec(host, [engine, "run", "-d", "--name", "only-here", IMAGE, "sleep", "99"])
        assert "only-here" not in str(lab.snapshot("lab-1").containers + lab.snapshot("lab-4").containers)
        with pytest.raises(LabError, match="is running"):
            Lab.up(name)
        assert Lab.attach(name).hosts == second.hosts
        assert Lab.up(name, reuse=True).hosts == second.hosts
        traces = _Traces(name)
        assert len(traces.processes) > 15
    assert traces.left() == []
    assert lab.docker("lab-1", "ps").returncode == 0
    with pytest.raises(LabError, match="there is no lab"):
        Lab.attach(name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["switch/process", "lab-1/init", "lab-2/run/docker.pid"])
def test_a_start_that_is_interrupted_leaves_nothing(name: str, number: signal.Signals, moment: str) -> None:
    # Whoever runs the tests in the background may have Ctrl-C ignored, and so would the starter.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "tests.lab"]
    command += ["--name", name, "up", "--docker", "2", "--podman", "0"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL) as starter:
        wait_until((state.folder(name) / moment).exists, seconds=30, what=moment)
        traces = _Traces(name)
        starter.send_signal(number)
        starter.wait(timeout=60)
    if number == signal.SIGKILL:
        traces.observation()
        assert remove(name)
    assert traces.left() == []


def test_a_dead_lab_is_cleared_away_by_the_next_start(name: str) -> None:
    first = Lab.up(name, docker=1, podman=0)
    traces = _Traces(name)
    kill_all([first.hosts[0].init()], seconds=10)
    with pytest.raises(LabError, match="is dead"):
        Lab.attach(name)
    with Lab.up(name, docker=1, podman=0) as second:
        assert second.ssh("lab-1", "hostname").stdout == "lab-1\n"
        assert not any(process.alive() for process in traces.processes)


def test_a_lab_whose_owner_is_gone_is_cleared_away(name: str) -> None:
    with subprocess.Popen(["sleep", "99"]) as owner:
        abandoned = Lab.up(name, docker=1, podman=0, owner=Process.of(owner.pid))
        traces = _Traces(name)
        clear_abandoned()
        assert abandoned.ssh("lab-1", "hostname").stdout == "lab-1\n"
        owner.kill()
    clear_abandoned()
    assert traces.left() == []


@pytest.mark.parametrize("wrong", ["", "Lab", "a/b", "..", "-a", "a" * 33])
def test_a_name_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        state.folder(wrong)


class _Traces:
    """Everything of a lab on the machine, to see afterwards what of it is left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.processes: set[Process] = set()
        found = state.load(name)
        assert found is not None
        self.network = found.network
        self.observation()

    def observation(self) -> None:
        """Note the processes of now: the lab's own, and all that descend from them."""
        parents = dict(_parents())
        family = {process.pid for process in state.processes(self.name)}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        self.processes |= {Process.of(pid) for pid in family}

    def left(self) -> list[str]:
        """Return what is there still."""
        others = _networks_of_others(self.name)
        links = [link["ifname"] for link in json.loads(network.ip("-json", "link", "show"))]
        others |= _networks_of_others(self.name)  # one that came up during the check
        mounts = Path("/proc/self/mounts").read_text()
        left = [str(process) for process in self.processes if process.start and process.alive()]
        if self.network not in others:
            left += [link for link in links if link == network.interface(self.network)]
        left += [line for line in mounts.splitlines() if f"/{self.name}/" in line]
        left += [str(folder) for folder in cgroups.leftovers(self.name)]
        left += [str(folder) for folder in state.BASE.glob(f"*{self.name}*")]
        return left


def _networks_of_others(name: str) -> set[int]:
    """Return the networks that other labs of this machine have.

    One of them may have taken over what this lab gave back.
    """
    return {other.network for other in map(state.load, state.names()) if other and other.name != name}


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue


def _connect(host: LabHost, *, timeout: float) -> bytes:
    with socket.create_connection((host.address, host.port), timeout=timeout) as connection:
        return connection.recv(64)
