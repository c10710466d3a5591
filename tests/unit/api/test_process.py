"""``sandboxer serve`` as a process: what it prints, how it ends, and what it says where it cannot begin."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.e2e import until
from tests.support.gitrepo import GitRepo
from tests.support.hubs import self_signed
from tests.support.program import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "sandboxer"]
FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: nobodys}\nspec: {}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet without a host."""
    repo = GitRepo.create(tmp_path / "fleet")
    repo.write("sandboxer.yaml", FLEET)
    repo.commit()
    return repo.path


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Return a server as a process, and the first line that it printed."""
    process = subprocess.Popen(
        [*COMMAND, "-C", str(folder), "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def refused(folder: Path, *words: str) -> str:
    """Return the error for a command line that cannot be served."""
    done = run("-C", folder, "serve", *words)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
    assert re.match(r"Error: |error\[", done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_a_signal_ends_it_with_0(folder: Path, number: signal.Signals) -> None:
    with serving(folder, "--listen", "127.0.0.1:0") as (process, line):
        match = re.fullmatch(r"Sandboxer API on (http://127\.0\.0\.1:\d+)\n", line)
        assert match, line
        assert process.stdout is not None
        token = re.fullmatch(r"Token of this run: ([\w-]{43})\n", process.stdout.readline())
        assert token
        headers = {"Authorization": f"Bearer {token[1]}"}
        with httpx.Client(base_url=match[1], headers=headers, timeout=30, trust_env=False) as client:
            assert client.get("/v1/sandboxes").json() == {"items": [], "next": None, "complete": True}
            until(lambda: client.get("/readyz").status_code == 200, "it is ready")
            process.send_signal(number)
            rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")


def test_it_serves_tls_with_tokens_of_a_file(folder: Path, tmp_path: Path) -> None:
    pem, tokens = self_signed(tmp_path), tmp_path / "tokens.yaml"
    digest = hashlib.sha256(b"the-token").hexdigest()
    tokens.write_text(f"- {{name: ci, sha256: {digest}, scopes: [read]}}\n", encoding="utf-8")
    tokens.chmod(0o600)
    words = ("--listen", "0.0.0.0:0", "--tokens", str(tokens), "--tls-cert", str(pem), "--tls-key", str(pem))
    with serving(folder, *words) as (process, line):
        match = re.fullmatch(r"Sandboxer API on https://0\.0\.0\.0:(\d+)\n", line)
        assert match, line
        url = f"https://127.0.0.1:{match[1]}/v1/sandboxes"
        headers = {"Authorization": "Bearer the-token"}
        assert httpx.get(url, headers=headers, verify=False, timeout=30, trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest) == (0, ""), errors


def test_what_cannot_be_served_is_reported_in_words(folder: Path, tmp_path: Path) -> None:
    assert "not an address" in refused(folder, "--listen", "8700")
    assert "no tokens" in refused(folder, "--listen", "0.0.0.0:0")
    assert "not a rate" in refused(folder, "--rate", "often")
    assert "must be used together" in refused(folder, "--tls-cert", "x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use" in refused(folder, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert "sandboxer.yaml" in refused(tmp_path, "--listen", "127.0.0.1:0")
    (folder / "sandboxer.yaml").write_text(FLEET.replace("{}", "{no: 1}"), encoding="utf-8")
    assert "sandboxer.yaml" in refused(folder, "--listen", "127.0.0.1:0")


def test_without_the_extra_it_names_what_to_install(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "limits.py").write_text("raise ModuleNotFoundError('gone', name='limits')\n")
    done = subprocess.run(
        [*COMMAND, "-C", str(folder), "serve"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "hidden")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the HTTP API needs limits" in done.stderr
    assert "pip install '.[api]'" in done.stderr
