"""Which Compose and which engine: the Host's word, the runner's variable, and a machine without SSH."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.e2e import PROGRAM, FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

PLUGIN = "/usr/local/lib/docker/cli-plugins/docker-compose"
TRACER = """#!/bin/sh
echo "$@" >>/tmp/composed
exec {real} "$@"
"""


@pytest.fixture
def traced(lab: Lab) -> Iterator[Callable[[str], list[str]]]:
    """Puts a `docker-compose` in front of the real one on lab-1, and a `podman-compose` on lab-4; gives its calls."""
    real = lab.exec("lab-4", ["sh", "-c", "command -v podman-compose"]).stdout.strip()
    programs = {"lab-1": ("/usr/local/sbin/docker-compose", PLUGIN), "lab-4": ("/usr/local/sbin/podman-compose", real)}
    for host, (path, behind) in programs.items():
        lab.exec(
            host,
            ["sh", "-c", f"mkdir -p /usr/local/sbin && cat >{path} && chmod 755 {path}"],
            input=TRACER.format(real=behind),
        )

    def calls(host: str) -> list[str]:
        return lab.exec(host, ["sh", "-c", "cat /tmp/composed; rm -f /tmp/composed"], check=False).stdout.splitlines()

    yield calls
    for host, (path, _) in programs.items():
        lab.exec(host, ["rm", "-f", path, "/tmp/composed"])
        lab.exec(host, ["rmdir", "/usr/local/sbin"])


@pytest.mark.parametrize(
    ("source", "host", "command"), [("manifest", "lab-1", "docker-compose"), ("variable", "lab-4", "podman-compose")]
)
def test_the_requested_compose_is_used(
    new_fleet: Callable[..., FleetRepo], traced: Callable[[str], list[str]], host: str, command: str, source: str
) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(a=service()))
    if source == "manifest":
        fleet.host(host, composeCommand=command)
    else:
        fleet.env["SANDBOXER_COMPOSE_CMD"] = command
    fleet.commit()
    fleet.plan()
    assert traced(host) == []
    fleet.apply()
    calls = traced(host)
    assert any(" up " in call for call in calls)
    assert all(call.startswith(f"-p {fleet.project('one')} ") for call in calls)
    fleet.assert_synced()
    assert traced(host) == []


@pytest.mark.parametrize(("host", "behind"), [("lab-1", PLUGIN), ("lab-4", "podman-compose")])
def test_a_compose_with_an_unknown_name_is_identified_once_by_its_version(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str, behind: str
) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(a=service(environment={"A": "${A}"})), env={"A": "b $ c"})
    fleet.env["SANDBOXER_COMPOSE_CMD"] = "/opt/x/compose"
    fleet.commit()
    script = TRACER.format(real=behind)
    lab.exec(host, ["sh", "-c", "mkdir -p /opt/x && cat >/opt/x/compose && chmod 755 /opt/x/compose"], input=script)
    try:
        fleet.apply()
        calls = lab.exec(host, ["cat", "/tmp/composed"]).stdout.splitlines()
    finally:
        lab.exec(host, ["rm", "-rf", "/opt/x", "/tmp/composed"])
    assert [call for call in calls if "version" in call] == ["version"]
    assert "A=b $ c\n" in fleet.inside(host, "one", "a", "env")
    fleet.assert_synced()


# In a mount namespace of its own, so that this machine's Podman and its containers stay out of the observation.
_WITHOUT_PODMAN = 'podman=$(command -v podman) && mount --bind /dev/null "$podman"; exec "$@"'


def test_a_machine_without_ssh(fleet: FleetRepo, lab: Lab, tmp_path: Path) -> None:
    """``connection: local`` on this very machine; its engine is the one that DOCKER_HOST names, a lab host's."""
    root = tmp_path / "root"
    fleet.document("manifests/hosts.yaml", "Host", "here", {"connection": "local", "root": str(root)})
    fleet.sandbox("one", stack(a=service(environment={"A": "${A}"})), env={"A": "b"})
    fleet.commit()
    plugin = tmp_path / "home/.docker/cli-plugins/docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.symlink_to(Path(lab.host("lab-1").folder, PLUGIN.lstrip("/")))
    engine = f"unix://{lab.host('lab-1').docker_socket}"
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "DOCKER_HOST": engine}

    def run(*arguments: str) -> dict[str, Any]:
        program = [PROGRAM, "-C", str(fleet.repo.path), *arguments, "-o", "json"]
        command = ["unshare", "--mount", "sh", "-c", _WITHOUT_PODMAN, "sh", *program]
        done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return cast("dict[str, Any]", json.loads(done.stdout))

    assert [change["outcome"] for change in run("apply", "-y")["outcomes"]] == ["created"]
    assert "A=b" in fleet.inside("lab-1", "one", "a", "env")
    assert json.loads((root / fleet.name / fleet.id("one") / "record.json").read_text())["host"] == "here"
    planned = run("plan")
    assert [change["action"] for change in planned["changes"]] == ["no-op"]
    assert planned["stats"]["commands"] == 1
    fleet.remove("one")
    fleet.commit()
    assert [change["outcome"] for change in run("apply", "-y", "--allow-empty")["outcomes"]] == ["deleted"]
    assert fleet.containers("lab-1") == {}
    assert not root.exists()
