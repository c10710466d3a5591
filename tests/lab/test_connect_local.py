"""Reaching into sandboxes of ``connection: local``: this machine is the host, without any SSH."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.test_compose_command import _WITHOUT_PODMAN, PLUGIN
from tests.support.e2e import PROGRAM, service, stack, until
from tests.support.typist import Typist

if TYPE_CHECKING:
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab


def test_all_of_it_on_this_machine(fleet: FleetRepo, lab: Lab, tmp_path: Path) -> None:
    """The engine is a lab host's, and the program is in that one's network, where its containers can be reached."""
    host = lab.host("lab-1")
    root = tmp_path / "root"
    fleet.document("manifests/hosts.yaml", "Host", "here", {"connection": "local", "root": str(root)})
    serves = service("sh", "-c", "echo hello | tee /www/index.html; exec httpd -f -p 8080 -h /www")
    ports = {"reachability": {"ports": [{"name": "http", "service": "a", "port": 8080}]}}
    fleet.sandbox("one", stack(a=serves), profile_spec=ports)
    fleet.commit()
    plugin = tmp_path / "home/.docker/cli-plugins/docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.symlink_to(Path(host.folder, PLUGIN.lstrip("/")))
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "DOCKER_HOST": f"unix://{host.docker_socket}"}
    inside = ["nsenter", f"--net=/proc/{host.init().pid}/ns/net", "unshare", "--mount"]
    program = [*inside, "sh", "-c", _WITHOUT_PODMAN, "sh", PROGRAM, "-C", str(fleet.repo.path)]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*program, *arguments], env=clean, capture_output=True, text=True, timeout=120, input="", check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("apply", "-y")
    assert run("logs", "one") == "a | hello\n"
    assert run("ssh", "one", "a", "--", "cat", "/www/index.html") == "hello\n"
    run("cp", "one:/www", str(tmp_path / "www"))
    assert (tmp_path / "www/index.html").read_text() == "hello\n"
    (tmp_path / "www/index.html").write_text("changed\n")
    run("cp", f"{tmp_path}/www/.", "one/a:/www")
    with subprocess.Popen([*program, "forward", "one"], env=clean, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name, _, url = process.stdout.readline().strip().partition(": ")
        assert name == "a/http"
        assert fleet.sh("lab-1", f"timeout 10 busybox wget -q -O - {url}") == "changed\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with Typist([*program, "ssh", "one", "a"], clean | {"TERM": "xterm"}) as typist:
        typist.until("# ")
        typist.type("echo $((6 * 7)); exit 3\r")
        typist.until("42")
        assert typist.end() == 3
        assert typist.modes() == typist.before
    with subprocess.Popen([*program, "logs", "one", "-f"], env=clean, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a | hello\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert subprocess.run(["pgrep", "-f", "logs --follo[w]"], check=False, capture_output=True).returncode == 1
    fleet.remove("one")
    fleet.commit()
    run("apply", "-y", "--allow-empty")
    until(lambda: not root.exists(), "all of it is gone")
