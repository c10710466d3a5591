"""The demo and the README's first steps: what a new user runs first, run as they run it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import state
from tests.lab.image import IMAGE
from tests.support.fleet import ROOT
from tests.support.markdown import blocks

if TYPE_CHECKING:
    from tests.lab import Lab

pytestmark = pytest.mark.lab

NGINX = 'image: "docker.io/library/nginx:alpine"'
SECONDS = 600


def start_demo(tmp: Path) -> subprocess.Popen[str]:
    tmp.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.demo"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lab_of(process: subprocess.Popen[str]) -> str:
    return f"lab-{process.pid}"


def assert_nothing_left(process: subprocess.Popen[str], tmp: Path) -> None:
    assert not state.exists(lab_of(process))
    assert list(state.processes(lab_of(process))) == []
    assert list(tmp.iterdir()) == []


def interrupt(demo: subprocess.Popen[str], number: signal.Signals) -> None:
    """Interrupt a demo in the middle of its apply, when sandboxes are starting; it must clean up and report that."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("$ sandboxer apply"):
            break
    demo.send_signal(number)
    text, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 130, text[-3000:]
    assert text.endswith("Interrupted. Everything is cleaned up.\n")


def test_the_demo_passes_beside_another_that_is_interrupted_and_neither_leaves_anything(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with start_demo(whole) as demo, start_demo(broken) as other:
        interrupt(other, signal.SIGINT)
        assert_nothing_left(other, broken)
        text, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 0, text[-3000:]
    assert re.search(r"Demo passed in \d+ s\n$", text)
    assert "they are on 4 hosts, run by docker and podman" in text
    assert_nothing_left(demo, whole)


def test_a_demo_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    with start_demo(tmp_path / "demo") as demo:
        interrupt(demo, signal.SIGTERM)
    assert_nothing_left(demo, tmp_path / "demo")


def test_without_root_the_demo_uses_the_machines_own_docker_and_reports_it(lab: Lab) -> None:
    """As the unprivileged user of a host that has Docker, with the Python there."""
    host = "lab-3"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    there = lab.exec(host, ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdout
    if there.strip() != version:
        pytest.skip(f"the host's Python is {there.strip()}, and these packages are for {version}")
    before = lab.snapshot(host)
    as_user = ["runuser", "-u", "sbx", "--"]
    lab.exec(host, ["install", "--directory", "--owner=sbx", "/opt/demo"])
    try:
        lab.exec(host, [*as_user, "tar", "-x", "-C", "/opt/demo", "-f", "-"], input=checkout_and_packages())
        command = "cd /opt/demo && HOME=/home/sbx PYTHONPATH=/opt/demo/packages /usr/bin/python3 -m scripts.demo"
        done = lab.exec(host, [*as_user, "sh", "-c", command], check=False, timeout=SECONDS)
    finally:
        lab.exec(host, ["rm", "-rf", "/opt/demo"])
    assert done.returncode == 0, done.stdout[-3000:]
    assert "There can be no lab here: the lab needs root" in done.stdout
    assert "(`connection: local`)" in done.stdout
    assert "Demo passed" in done.stdout
    assert lab.leaked(host, before) == {}


def checkout_and_packages() -> bytes:
    """Return a tar of this checkout's files and of the packages that it is run with, compiled as they are."""
    needed = ("pydantic", "pydantic_core", "annotated_types", "typing_inspection", "yaml", "rich", "markdown_it")
    needed += ("mdurl", "pygments", "click", "git", "gitdb", "smmap", "typing_extensions.py", "jsonschema", "attr")
    needed += ("attrs", "jsonschema_specifications", "referencing", "rpds")
    needed += ("fastapi", "starlette", "annotated_doc", "uvicorn", "h11", "anyio", "idna", "prometheus_client")
    needed += ("httpx", "httpcore", "certifi")
    packages = Path(sysconfig.get_path("purelib"))
    # FastAPI's own tracing finds its parts by their metadata.
    needed += tuple(path.name for path in packages.glob("opentelemetry*"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("sandboxer", "scripts", "tests", "manifests", "profiles", "extensions", "examples"):
            tar.add(ROOT / name, name)
        tar.add(ROOT / "sandboxer.yaml", "sandboxer.yaml")
        for name in needed:
            tar.add(packages / name, f"packages/{name}")
    return buffer.getvalue()


def test_the_readmes_quick_start_is_right_word_for_word(lab: Lab, tmp_path: Path) -> None:
    """On one of the lab's hosts, called as the README calls it by an alias of ssh_config."""
    readme = blocks(ROOT / "README.md")
    fleet, home = tmp_path / "fleet", tmp_path / "home"
    (fleet / "manifests").mkdir(parents=True)
    (home / ".ssh").mkdir(parents=True)
    config = lab.ssh_config.read_text().replace("Host lab-2\n", "Host lab-2 build-1.example.org\n")
    (home / ".ssh/config").write_text(config)
    for block in readme:
        if block.language == "yaml":
            # The lab pulls from no registry, so its own image stands in for the README's.
            ours = f"image: {IMAGE}, command: [httpd, -f, -p, '80', -h, /bin], stop_signal: SIGKILL"
            (fleet / block.name).write_text(block.text.replace(NGINX, ours))
    (script,) = (block.text for block in readme if block.name == "quickstart")
    identity = {f"GIT_{role}_{key}": "demo" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(home), "GIT_CONFIG_GLOBAL": os.devnull, **identity}

    def run(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=fleet,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    before = lab.snapshot("lab-2")
    run("git init --initial-branch=main")
    # Without a terminal for the prompt, a person uses -y.
    outputs = {
        command: run(re.sub("^sandboxer apply$", "sandboxer apply -y", command)) for command in script.splitlines()
    }
    assert "Plan: 1 to create" in outputs["sandboxer plan"]
    assert "Applied: 1 created" in outputs["sandboxer apply"]
    assert re.search(r"http://[0-9.]+:80\b", outputs["sandboxer get web"])
    manifest = fleet / "manifests/web.yaml"
    manifest.write_text(manifest.read_text().rpartition("---\n")[0])
    run("git add . && git commit -q -m 'It is over' && sandboxer apply -y --allow-empty")
    assert lab.leaked("lab-2", before) == {}
