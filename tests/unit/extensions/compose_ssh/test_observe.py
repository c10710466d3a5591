"""The script of an observation on this machine: what it finds below a root, without any engine."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.extensions.base import ObserveRequest
from sandboxer.extensions.compose_ssh.extension import ComposeSsh
from sandboxer.extensions.compose_ssh.observe import engine_part
from sandboxer.hosts.observation import file_sums, observe_command, observe_host, read_observation
from sandboxer.model.observed import FileSums, Reachable

SCRIPTS = Path(__file__).parents[4] / "sandboxer/hosts"
TOOLS = re.search(r"^tools='(.*)'$", (SCRIPTS / "doctor.sh").read_text(), re.MULTILINE)[1].split()  # type: ignore[index]
IDENTIFIER = "0a0b0c0d"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fleet's folder, on a host that has the tools and no engine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", *TOOLS):
        (programs / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(programs))
    home = tmp_path / "root/acme"
    home.mkdir(parents=True)
    return home


def observation(home: Path) -> Reachable:
    request = ObserveRequest("here", str(home.parent), home.name)
    command, nonce = observe_command(request, engine_part(request))
    transport = LocalTransport("here")
    try:
        return read_observation(request, nonce, transport.run(command), engine_part(request))
    finally:
        transport.close()


def put(path: Path, content: str, seconds: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (0, seconds))


def test_the_login_and_the_processors_are_read_without_a_program(home: Path) -> None:
    seen = observation(home)
    assert seen.error is None  # no complaint about whose the root is
    assert seen.backend_error == "neither Docker nor Podman is installed"
    assert seen.cpus == len(os.sched_getaffinity(0))


def test_delivered_files_are_summed_and_writable_ones_are_not(home: Path) -> None:
    directory = home / IDENTIFIER
    put(directory / "workspace/tree/aa/compose.yaml", "12345", 100)
    put(directory / "workspace/bind/bb/conf/a", "1", 20)
    put(directory / "workspace/bind-rw/cc/up/a", "1234567", 3)
    put(home / "11111111/workspace/tree/dd/file", "1", 7)
    (home / "22222222").mkdir()
    found = observation(home).found
    assert {key: each.files for key, each in found.items()} == {
        IDENTIFIER: FileSums(2, 6, 120),
        "11111111": FileSums(1, 1, 7),
        "22222222": FileSums(),
    }
    assert [found[key].has_workspace for key in (IDENTIFIER, "22222222")] == [True, False]


def test_a_workspace_that_is_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/tree/aa/file", "1")
    (home / IDENTIFIER).mkdir()
    (home / IDENTIFIER / "workspace").symlink_to(tmp_path / "elsewhere")
    assert observation(home).found[IDENTIFIER].files == FileSums()


def test_a_host_without_find_reports_no_sums(home: Path, tmp_path: Path) -> None:
    put(home / IDENTIFIER / "workspace/tree/aa/file", "1")
    (tmp_path / "bin/find").unlink()
    assert observation(home).found[IDENTIFIER].files is None


def test_reported_drift_is_read_and_half_a_note_is_ignored(home: Path) -> None:
    note = {"format_version": "1.0", "told": {"services.web": "2026-11-24T10:00:00Z"}}
    text = json.dumps(note)
    assert_reported_drift(home, text, {"services.web": datetime(2026, 11, 24, 10, 0, tzinfo=UTC)})
    for broken in (text[:-5], "", "[]", '{"told": 3}', '{"told": {"a": 3}}', '{"told": {"a": "2026-11-24T10:00:00"}}'):
        assert_reported_drift(home, broken, {})


def assert_reported_drift(home: Path, text: str, expected: dict[str, datetime]) -> None:
    put(home / IDENTIFIER / "drift.json", text)
    assert observation(home).found[IDENTIFIER].reported_drift == expected


def test_lines_that_are_no_sums_are_none() -> None:
    printed = b"one 1 2 3\n\nbroken 1\ntwo words 4 5 -6\nx 1 2 3 4 x\n"
    assert file_sums(printed) == {"one": FileSums(1, 2, 3), "two words": FileSums(4, 5, -6)}


def test_an_engine_of_another_extension_is_missing_for_this_one_alone(home: Path) -> None:
    request = ObserveRequest("here", str(home.parent), home.name, "firecracker")
    seen = ComposeSsh().observe(LocalTransport("here"), request)
    assert isinstance(seen, Reachable)
    assert (seen.error, seen.engine) == (None, None)
    assert seen.backend_error == "spec.runtime is firecracker, which is neither Docker nor Podman"


@pytest.mark.parametrize(
    ("runtime", "tool", "engine"),
    [
        ("auto", None, "docker"),
        ("auto", "podman compose", "podman"),
        ("auto", "/opt/x/podman-compose --verbose", "podman"),
        ("auto", "/opt/podman/docker-compose", "docker"),
        ("auto", "/opt/x/compose podman", "docker"),
        ("docker", "podman-compose", "docker"),
        ("podman", "docker compose", "podman"),
    ],
)
def test_a_compose_of_podmans_implies_podman_where_the_host_leaves_the_choice(
    home: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, tool: str | None, engine: str
) -> None:
    for name in ("docker", "podman"):
        stub(home, name)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    request = ObserveRequest("here", str(home.parent), home.name, runtime, tool)
    seen = ComposeSsh().observe(LocalTransport("here"), request)
    assert isinstance(seen, Reachable)
    assert (seen.error, seen.backend_error, seen.engine) == (None, None, engine)


def test_an_implied_engine_that_is_not_installed_is_an_error(home: Path) -> None:
    stub(home, "docker")
    request = ObserveRequest("here", str(home.parent), home.name, "auto", "podman-compose")
    seen = ComposeSsh().observe(LocalTransport("here"), request)
    assert isinstance(seen, Reachable)
    assert seen.backend_error == "spec.runtime is podman, but no `podman` command is installed"


def stub(home: Path, name: str, code: int = 0) -> None:
    """Install a command that prints nothing."""
    program = home.parents[1] / "bin" / name
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)


def test_an_engine_that_is_not_chosen_and_does_not_answer_leaves_absence_open(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have a sandbox of the time when it was the chosen one; what the chosen one has is complete."""
    for name, code in (("docker", 1), ("podman", 0)):
        stub(home, name, code)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    request = ObserveRequest("here", str(home.parent), home.name, "podman")
    seen = observe_host(LocalTransport("here"), request, engine_part(request))
    assert isinstance(seen, Reachable)
    assert (seen.error, seen.backend_error, seen.engine) == (None, None, "podman")
    assert seen.absence_error is not None
    assert seen.absence_error.startswith("docker does not answer: ")


def test_a_backend_without_a_part_of_its_own_observes_records_and_files(home: Path) -> None:
    put(home / IDENTIFIER / "workspace/tree/0a/file", "12345", 7)
    seen = observe_host(LocalTransport("here"), ObserveRequest("here", str(home.parent), home.name))
    assert isinstance(seen, Reachable)
    assert (seen.error, seen.backend_error, seen.engine, seen.engines) == (None, None, None, {})
    assert seen.found[IDENTIFIER].files == FileSums(1, 5, 7)
