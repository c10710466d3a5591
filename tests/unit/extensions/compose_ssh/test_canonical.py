"""The canonical form by this machine's Compose: in confinement, without the machine's variables, and nothing left."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.extensions.compose_ssh import canonical
from sandboxer.extensions.compose_ssh.canonical import canonical_model
from sandboxer.extensions.compose_ssh.render import Variables
from sandboxer.extensions.compose_ssh.source import inspect
from sandboxer.model.hidden import Hidden
from sandboxer.model.protocols import TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAYS = ([], ["-U", "-r"])
CONFINES = any(
    subprocess.run(["unshare", *way, "-m", "-n", "-p", "-f", "true"], capture_output=True, timeout=20).returncode == 0
    for way in WAYS
)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTransport]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOST_VALUE", "of-this-machine")
    with closing(LocalTransport("here")) as transport:
        yield transport
    assert list(tmp_path.iterdir()) == []


def model(local: LocalTransport, text: str, *profiles: str) -> dict[str, Any] | None:
    files = {"e2e/compose.yaml": text.encode()}
    report = inspect(files, files.__getitem__, {path: TreeEntry(path, "aa") for path in files}, sandbox="web")
    variables = Variables({"TAG": Hidden("1")}, {}).to_dotenv()
    return canonical_model(local, report, variables, list(files), profiles, project="sbx-web-0badcafe", tree="/t")


@pytest.mark.skipif(not CONFINES, reason="this machine has no namespaces for it")
def test_it_is_what_compose_reads(local: LocalTransport) -> None:
    found = model(
        local,
        "services:\n"
        "  web: {image: 'web:${TAG}', volumes: ['./conf:/etc/conf'], environment: {OF: '${HOST_VALUE:-no}'}}\n"
        "  other: {image: other, profiles: [more]}\n",
    )
    assert found is not None
    assert list(found["services"]) == ["web"]
    web = found["services"]["web"]
    assert (web["image"], web["environment"]) == ("web:1", {"OF": "no"})
    assert [volume["source"] for volume in web["volumes"]] == ["/t/e2e/conf"]


@pytest.mark.skipif(not CONFINES, reason="this machine has no namespaces for it")
def test_what_compose_refuses_has_none(local: LocalTransport) -> None:
    assert model(local, "services: {web: {image: web, no_such_key: 1}}\n") is None


def test_a_machine_that_cannot_confine_has_none(
    local: LocalTransport, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (folder / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert model(local, "services: {web: {image: web}}\n") is None


def test_a_program_that_is_gone_is_as_none(local: LocalTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "packaged", lambda: "/nowhere/docker-compose")
    assert model(local, "services: {web: {image: web}}\n") is None


@pytest.mark.skipif(not CONFINES, reason="this machine has no namespaces for it")
def test_a_reading_that_is_ended_leaves_nothing(
    local: LocalTransport, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path_factory.mktemp("bin") / "docker-compose"
    slow.write_text("#!/bin/sh\nsleep 8\n")
    slow.chmod(0o755)
    monkeypatch.setattr(canonical, "packaged", lambda: str(slow))
    monkeypatch.setattr(canonical, "SECONDS", 2.0)
    assert model(local, "services: {web: {image: web}}\n") is None


def test_the_program_is_never_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compose").mkdir()
    (tmp_path / "compose/__init__.py").touch()
    (tmp_path / "compose/docker-compose").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not str(canonical.packaged()).startswith(str(tmp_path))
