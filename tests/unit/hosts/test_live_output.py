"""What a verb prints reaches the client while the verb runs, and its reply has all of it all the same."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.compose_ssh.directory import VERBS
from sandboxer.hosts.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NONCE = "0" * 32
MARK = f"@{NONCE} ".encode()


@contextmanager
def session(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A session whose lock is taken."""
    program = script("prelude.sh", "names.sh", "session.sh", *VERBS, "serve.sh")
    process = subprocess.Popen(
        ["sh", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(root)},
    )
    with process:
        send(process, *(NONCE, str(root), "fleet", "0badcafe", "1", "somebody"))
        assert reply(process) == ([], (0, b""))
        yield process


def send(process: subprocess.Popen[bytes], *lines: str) -> None:
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    process.stdin.flush()


def line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def reply(process: subprocess.Popen[bytes]) -> tuple[list[bytes], tuple[int, bytes]]:
    """Return the lines before the next reply, and this."""
    before: list[bytes] = []
    while not (head := line(process)).startswith(MARK):
        assert head, before
        before.append(head)
    code, length = head.removeprefix(MARK).split()
    assert process.stdout is not None
    return before, (int(code), process.stdout.read(int(length)))


def engine(folder: Path, body: str) -> str:
    """Return a program that stands for an engine's client."""
    path = folder / "engine"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_lines_come_while_the_verb_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = engine(tmp_path, f"echo one; echo two >&2; read word <{gate}; echo $word; exit 3")
    with session(tmp_path / "root") as process:
        send(process, "pull 2 0 60", program, "image")
        assert [line(process), line(process)] == [b"one\n", b"two\n"]  # and it waits for us
        gate.write_text("three\n")
        assert reply(process) == ([b"three\n", b"\n"], (3, b"one\ntwo\nthree\n"))
        send(process, "E", "show 1 0 60", "nothing")
        before, (code, _) = reply(process)
        assert (before, code) == ([], 1)


def test_a_line_that_is_not_whole_ends_before_the_reply(tmp_path: Path) -> None:
    program = engine(tmp_path, "printf half")
    with session(tmp_path / "root") as process:
        send(process, "pull 2 0 60", program, "image")
        assert reply(process) == ([b"half\n"], (0, b"half"))


def test_a_verb_that_is_ended_in_the_middle_of_a_line_has_a_reply(tmp_path: Path) -> None:
    program = engine(tmp_path, "printf half; sleep 600")
    with session(tmp_path / "root") as process:
        send(process, "pull 2 0 1", program, "image")
        before, (code, words) = reply(process)
        assert (before[:1], code) == ([b"half\n"], 72)
        assert b"pull did not end within 1 s" in words


def test_only_so_much_comes_before_the_reply(tmp_path: Path) -> None:
    program = engine(tmp_path, "head -c 3500000 /dev/zero | tr '\\0' x; echo; echo end")
    with session(tmp_path / "root") as process:
        send(process, "pull 2 0 60", program, "image")
        before, (code, output) = reply(process)
    assert (code, len(output), output[-5:]) == (0, 3500005, b"\nend\n")
    assert len(b"".join(before)) <= 2000 * 1024 + 2


@pytest.mark.parametrize("forged", ["@0 0 3", f"@{'1' * 32} 0 3"])
def test_a_forged_reply_is_none(tmp_path: Path, forged: str) -> None:
    program = engine(tmp_path, f"echo '{forged}'; exit 4")
    with session(tmp_path / "root") as process:
        send(process, "pull 2 0 60", program, "image")
        assert reply(process) == ([f"{forged}\n".encode(), b"\n"], (4, f"{forged}\n".encode()))
