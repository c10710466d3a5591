"""Log lines, words for scripts and command lines of what reaches into a sandbox."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import click
import pytest

from sandboxer.cli.copy import _inside
from sandboxer.cli.forward import _request
from sandboxer.cli.logs import harmless
from sandboxer.cli.shell import _COMMAND, ssh
from sandboxer.client import Client
from sandboxer.client.connect.target import ConnectTarget
from sandboxer.errors import UsageError
from sandboxer.extensions.compose_ssh.container_logs import MAX_LINE, Lines
from sandboxer.extensions.compose_ssh.follow import _Again
from sandboxer.hosts.escaping import escaped


def test_lines_are_cut_wherever_the_bytes_were() -> None:
    text = b"one\n\ntwo\r\nthr\xffee\nrest"
    for size in range(1, len(text)):
        cut = Lines()
        found = [line for at in range(0, len(text), size) for line in cut.of(text[at : at + size])]
        assert found + cut.end() == [b"one", b"", b"two", b"thr\xffee", b"rest"]
        assert cut.end() == []


def test_a_line_without_an_end_is_held_in_part_only() -> None:
    cut = Lines()
    found: list[bytes] = []
    for _ in range(100):
        found += cut.of(b"x" * 50_000)
        assert len(cut._rest) <= MAX_LINE
    found += cut.of(b"\n")
    assert b"".join(found) == b"x" * 5_000_000
    assert max(map(len, found)) <= MAX_LINE


def test_what_was_read_before_is_left_out_by_its_time() -> None:
    stamps = [f"2026-11-28T21:11:50.59739504{n}Z".encode() for n in range(3)]
    lines = [stamp + b" line %d" % n for n, stamp in enumerate(stamps)]
    first = _Again(None, keep=False)
    assert first.new(lines[:2]) == [b"line 0", b"line 1"]
    assert first.last == stamps[1]
    second = _Again(first.last, keep=True)
    assert second.new([*lines[:2], b"the rest of a long line"]) == []
    assert second.new([lines[2], b"the rest of it", lines[2]]) == [lines[2], b"the rest of it", lines[2]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J\x1b]0;title\x07", "�[2J�]0;title�"),
        ("a\rb\x9b1m\u202ec", "a�b�1m�c"),
    ],
)
def test_a_terminal_gets_tabs_and_colours_alone(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize("word", ["", "a b", "two\nlines\n", "\\n \\\\ \\0101 \\c", "it's $HOME `x` %s", "ä\udcff"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_word_reaches_a_script_as_it_is(shell: str, word: str) -> None:
    script = 'IFS= read -r line; word=$(printf "%b." "$line"); printf %s "${word%.}"'
    given = f"{escaped(word)}\n".encode(errors="surrogateescape")
    done = subprocess.run([shell, "-c", script], input=given, capture_output=True, check=True, timeout=20)
    assert done.stdout.decode(errors="surrogateescape") == word


def test_a_word_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(UsageError):
        escaped("a\0b")


def test_ports_of_a_command_line() -> None:
    request = [_request(text) for text in ("http", "8080", "0:http", "9000:8080")]
    assert [(one.local_port, one.port) for one in request] == [(0, "http"), (0, "8080"), (0, "http"), (9000, "8080")]
    for wrong in ("", "8080:", ":80", "x:80", "70000:80", "1:2:3"):
        with pytest.raises(click.UsageError):
            _request(wrong)


def test_paths_of_a_command_line() -> None:
    for text, name, service, path in (
        ("web:/a", "web", None, "/a"),
        ("web/db:/a:b", "web", "db", "/a:b"),
        ("1f2e3d4c:a b\nc", "1f2e3d4c", None, "a b\nc"),
    ):
        found = _inside(text)
        assert found is not None
        assert (found.name, found.service, found.path) == (name, service, path)
    assert [_inside(text) for text in ("./a:b", "/a:b", "a", "A:b", "a/b/c:d")] == [None] * 5


@pytest.mark.parametrize(
    ("words", "service", "command"),
    [
        (["web"], None, ()),
        (["web", "db", "--", "psql", "-U", "postgres", "--", "-T"], "db", ("psql", "-U", "postgres", "--", "-T")),
        (["web", "--", "ls"], None, ("ls",)),
    ],
)
def test_what_is_behind_two_dashes_is_a_command(
    words: list[str], service: str | None, command: tuple[str, ...]
) -> None:
    context = ssh.make_context("ssh", list(words))
    assert (context.params["service"], context.meta[_COMMAND]) == (service, command)


def target(*services: str) -> Any:
    """Return what a connection needs to know of a sandbox with the port `http` in its profile."""
    ports = [{"name": "http", "service": "web", "port": 80}]
    return SimpleNamespace(
        name="web",
        services=dict.fromkeys(services),
        capable=lambda _: None,
        record=SimpleNamespace(spec={"reachability": {"ports": ports}}),
    )


@pytest.mark.parametrize(
    ("services", "service", "message", "hint"),
    [
        (("a", "b"), None, "has 2 services; no service specified", "specify a service: a, b"),
        (("web", "db"), "wbe", 'has no service "wbe"', "did you mean `web`?"),
        (("a", "b"), "wbe", 'has no service "wbe"', "choose one of: a, b"),
        ((), "web", 'has no service "web"', "check `sandboxer get web`: there are no containers"),
        ((), None, "has no containers; no service specified", "check `sandboxer get web`"),
    ],
)
def test_a_wrong_service_is_answered_with_the_right_ones(
    services: tuple[str, ...], service: str | None, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as error:
        ConnectTarget.the_service(target(*services), service)
    assert (error.value.message, error.value.hint) == (f'sandbox "web" {message}', hint)


@pytest.mark.parametrize(("port", "hint"), [("htpt", "did you mean `http`?"), ("x", "choose one of: http")])
def test_a_wrong_port_is_answered_with_the_right_ones(monkeypatch: pytest.MonkeyPatch, port: str, hint: str) -> None:
    monkeypatch.setattr("sandboxer.client.connect.forward.target_of", lambda *_: target("web"))
    with pytest.raises(UsageError) as error:
        Client().forward("web", port)
    assert (error.value.message, error.value.hint) == (f'sandbox "web" has no port "{port}"', hint)
