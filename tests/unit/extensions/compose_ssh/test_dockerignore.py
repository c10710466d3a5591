"""Which files of a build context count: those that the rules of `.dockerignore` leave to the build."""

from __future__ import annotations

import io
import os
import shutil
import socketserver
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.extensions.compose_ssh.dockerignore import ignored, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = yaml.safe_load((Path(__file__).parents[3] / "cases/compose/dockerignore.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case.get("case", "nothing") for case in CASES])
def test_what_is_ignored(case: dict[str, Any]) -> None:
    found = ignored(case["context"], case["rules"].encode(), podman=case.get("podman", False))
    assert found == set(case["ignored"])


def test_more_than_can_be_matched_in_time_counts_in_full() -> None:
    paths = [str(number) for number in range(6_000)]
    assert ignored(paths, b"*\n") == set(paths)
    assert ignored(paths, b"*\n" * 900) == frozenset()
    assert ignored(["a"], b"*\n" * 1_001) == frozenset()


PATHS = st.lists(st.lists(st.text(alphabet="ab.", min_size=1), min_size=1).map("/".join), max_size=4)


@given(st.text(alphabet="ab*?[]^!\\/-.# \n"), PATHS)
def test_no_rules_break_it(rules: str, paths: list[str]) -> None:
    for podman in (False, True):
        assert ignored(paths, rules.encode(), podman=podman) <= set(paths)


def test_a_pattern_that_could_be_tried_for_hours_ignores_nothing() -> None:
    assert ignored(["a" * 200 + "c"], b"*a" * 8 + b"b\n") == frozenset()
    assert ignored([f"{'a/' * 120}c"], b"**/a/" * 8 + b"b\nc\n") == frozenset()


def test_usual_patterns_count_in_a_large_context() -> None:
    rules = b"**/*.py[cod]\n**/.*/**\n**/*_test*/**/*.log\n*.tmp\n"
    paths = [f"src/package_{number:05}/some_tests/deep/out.log" for number in range(2_000)]
    assert len(ignored([*paths, "keep.py"], rules)) == 2_000


def test_a_deep_folder_is_no_error() -> None:
    path = "/".join("a" * 2_000)
    assert ignored([path], b"a/a/a\n") == {path}


def test_bytes_that_are_no_text_are_no_error() -> None:
    assert [pattern.text for pattern in parse(b"\xff\na\n")] == ["\ufffd", "a"]


# --- Docker's own rules: what its client sends to an engine of the context


class _Engine(BaseHTTPRequestHandler):
    """An engine that takes a build context and keeps the names of its files."""

    sent: ClassVar[list[set[str]]] = []

    def do_GET(self) -> None:
        self._answer(b"OK")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks)), mode="r:*") as archive:
            self.sent.append({member.name for member in archive if not member.isdir()})
        self._answer(b'{"stream":"done"}\n')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        for name, value in (("Api-Version", "1.43"), ("Content-Length", str(len(body))), ("OSType", "linux")):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        def get_request(self) -> tuple[Any, Any]:
            return super().get_request()[0], ("client", 0)

    with Server(str(tmp_path / "engine.sock"), _Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{tmp_path}/engine.sock"
        server.shutdown()


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the client of Docker")
def test_dockers_client_leaves_out_the_same_files(tmp_path: Path, engine: str) -> None:
    own = {"Dockerfile", ".dockerignore"}
    compared = 0
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        if case.get("podman") or any(
            one.startswith(f"{other}/") for one in case["context"] for other in case["context"]
        ):
            continue
        for path in ("Dockerfile", *case["context"]):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("x")
        (folder / ".dockerignore").write_bytes(case["rules"].encode())
        _Engine.sent.clear()
        done = subprocess.run(
            ["docker", "build", "-q", "."],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "DOCKER_HOST": engine, "DOCKER_BUILDKIT": "0", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if not _Engine.sent:
            assert case["ignored"] == [], done.stderr  # the client refuses these rules
            continue
        sent, counted = _Engine.sent[0] - own, {*case["context"]} - {*case["ignored"]} - own
        assert sent <= counted if case.get("buildkit_has_more") else sent == counted, case["case"]
        compared += 1
    assert compared > 15
