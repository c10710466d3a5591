"""``sandboxer hub serve`` as a process: what it prints, how it ends, and what it says where it cannot begin."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.program import run
from tests.unit.hub.hubs import RunningHub, event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "sandboxer", "hub", "serve"]


@contextmanager
def serving(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Return a hub as a process, and the one line that it printed."""
    process = subprocess.Popen(
        [*COMMAND, *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def refused(*words: str, **environment: str) -> str:
    """Return the error for a command line that cannot be served."""
    done = run("hub", "serve", *words, **environment)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_one_line_and_a_signal_ends_it_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving("--listen", "127.0.0.1:0", XDG_STATE_HOME=str(tmp_path / "state")) as (process, line):
        match = re.fullmatch(r"State Hub on (http://127\.0\.0\.1:\d+/)#token=([\w-]{43})\n", line)
        assert match, line
        client = httpx.Client(
            base_url=match[1], headers={"Authorization": f"Bearer {match[2]}"}, timeout=30, trust_env=False
        )
        with client, client.stream("GET", "/stream") as answer:
            lines = answer.iter_lines()
            next(lines)
            assert client.get("/sandboxes").json() == {"sandboxes": []}
            begun = time.monotonic()
            process.send_signal(number)
            rest, errors = process.communicate(timeout=30)
            list(lines)
        assert (process.returncode, rest, errors) == (0, "", "")
        assert time.monotonic() - begun < 5
    folder = tmp_path / "state" / "sandboxer"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "hub.sqlite": 0o600,
        "hub.sqlite.lock": 0o600,
    }


def test_a_token_that_was_given_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-token\n", encoding="utf-8")
    database = str(tmp_path / "hub.sqlite")
    for source in ("env:HUB_TOKEN", f"file:{tmp_path / 'token'}"):
        words = ("--listen", "localhost:0", "--token", source, "--database", database)
        with serving(*words, HUB_TOKEN="secret-token") as (process, line):
            assert re.fullmatch(r"State Hub on http://localhost:\d+/\n", line)
            address = line.split()[-1]
            headers = {"Authorization": "Bearer secret-token"}
            assert httpx.get(f"{address}events", headers=headers, timeout=30, trust_env=False).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def test_others_may_reach_it_only_with_a_token_and_by_its_own_address(tmp_path: Path) -> None:
    message = refused("--listen", "0.0.0.0:0", "--database", str(tmp_path / "hub.sqlite"))
    assert "no token is set" in message
    assert "--token env:NAME" in message
    words = ("--listen", "0.0.0.0:0", "--token", "env:HUB_TOKEN", "--database", str(tmp_path / "hub.sqlite"))
    with serving(*words, HUB_TOKEN="secret-token") as (_, line):
        port = line.rstrip("/\n").rpartition(":")[2]
        health = f"http://127.0.0.1:{port}/healthz"
        assert httpx.get(health, timeout=30, trust_env=False).status_code == 200
        other = httpx.get(health, headers={"Host": "evil.example"}, timeout=30, trust_env=False)
        assert other.status_code == 421


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:80", "[::1]", ":80", "a b:80"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    assert "not an address" in refused("--listen", listen)


def test_an_address_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    database = str(tmp_path / "hub.sqlite")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "in use" in refused("--listen", f"127.0.0.1:{port}", "--database", database)
    # Of a net that is kept for examples: no machine has this address.
    message = refused("--listen", "192.0.2.1:0", "--token", "env:HUB_TOKEN", "--database", database, HUB_TOKEN="x")
    assert "cannot listen on 192.0.2.1:0" in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("my-own-token", "not its value"),
        ("env:HUB_NO_SUCH", "no such environment variable"),
        ("env:HUB_EMPTY", "contains no valid token"),
        ("env:HUB_BLANK", "contains no valid token"),
        ("file:/no/such/file", "cannot be read"),
        ("file:", "not its value"),
    ],
)
def test_a_token_that_cannot_be_had_is_refused(source: str, message: str) -> None:
    output = refused("--token", source, HUB_EMPTY="", HUB_BLANK="a b")
    assert message in output
    assert "my-own-token" not in output


def test_a_database_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, and rather longer than a header of one " * 5, encoding="utf-8")
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE events (a)")
    other.close()
    before = (tmp_path / "other.sqlite").read_bytes()
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("text", "not a database"),
        ("other.sqlite", "of another program"),
        ("folder", "Is a directory"),
        ("text/hub.sqlite", "cannot be used"),
    ):
        output = refused("--listen", "127.0.0.1:0", "--database", str(tmp_path / name))
        assert message in output, output
        assert "--database" in output
    assert (tmp_path / "other.sqlite").read_bytes() == before


def test_two_hubs_do_not_share_a_database(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as first:
        assert "in use" in refused("--listen", "127.0.0.1:0", "--database", str(tmp_path / "hub.sqlite"))
        first.take(event(1))


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    words = ("--listen", "127.0.0.1:0", "--token", "env:HUB_TOKEN", "--database", str(tmp_path / "hub.sqlite"))
    with serving(*words, HUB_TOKEN="a-token-of-the-tests") as (process, line):
        headers = {"Authorization": "Bearer a-token-of-the-tests"}
        for number in range(1, 6):
            url = f"{line.split()[-1]}events"
            assert httpx.post(url, json=event(number), headers=headers, timeout=30, trust_env=False).status_code == 201
        process.kill()
        process.wait(30)
    with RunningHub(tmp_path / "hub.sqlite") as again:
        assert [one["data"]["number"] for one in again.events()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "prometheus_client"])
def test_without_the_extra_it_names_what_to_install(missing: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from sandboxer.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    words = ["hub", "serve", "--database", str(tmp_path / "hub.sqlite")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install '.[hub]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_needs_neither_the_extra_nor_a_second() -> None:
    code = (
        "import sys; from sandboxer.cli.main import run; assert run(['hub', 'serve', '--help']) == 0; "
        "print([name for name in ('fastapi', 'uvicorn', 'pydantic', 'sqlite3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "sandboxer hub serve --listen" in done.stdout
