"""The promises of every transport (``model.protocols.HostTransport``): one suite, run over SSH and on this machine.

A test class that inherits from it provides a fixture ``transport``.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import CommandTimeout, HostUnreachable, OutputTooLarge
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from sandboxer.model.protocols import HostTransport

MEGABYTE = 1024 * 1024
ECHO = Command('while read -r line; do echo "got $line"; done; echo bye; echo more >&2; exit 4')
# Shows the test on the other side when it starts and, by the end of the connection, when it ends.
NOBODY = b"\x00\xff\xfe not UTF-8 \xc3\x28\n"


class TransportPromises:
    def test_returns_exit_code_and_both_streams_apart(self, transport: HostTransport) -> None:
        result = transport.run(Command("cat; echo problem >&2; exit 3", NOBODY))
        assert (result.exit_code, result.stdout, result.stderr) == (3, NOBODY, b"problem\n")

    def test_a_script_is_run_as_it_is(self, transport: HostTransport) -> None:
        script = (
            """set -e\nx='it'"'"'s !5 \\t ${HOME:+home}'\nprintf '%s\\n' "$x" "$(printf a; printf b)"\nfalse\necho no"""
        )
        result = transport.run(Command(script))
        assert (result.exit_code, result.stdout) == (1, b"it's !5 \\t ${HOME:+home}\nab\n")

    def test_an_empty_command_ends_well(self, transport: HostTransport) -> None:
        assert transport.run(Command("")).exit_code == 0

    def test_large_input_and_output_at_once(self, transport: HostTransport) -> None:
        data = bytes(range(256)) * (48 * 1024)
        result = transport.run(Command("tee /dev/stderr", data, max_output=len(data)))
        assert result.exit_code == 0
        assert result.stdout == data
        assert result.stderr == data

    def test_input_that_the_command_does_not_read(self, transport: HostTransport) -> None:
        result = transport.run(Command("head -c 3; echo; echo done", b"abc" * MEGABYTE))
        assert (result.exit_code, result.stdout) == (0, b"abc\ndone\n")

    @pytest.mark.parametrize("target", ["", ">&2"])
    def test_output_beyond_its_limit_is_refused(self, transport: HostTransport, target: str) -> None:
        with pytest.raises(OutputTooLarge, match="more than 100000 bytes"):
            transport.run(Command(f"cat /dev/zero {target}", max_output=100_000))
        assert transport.run(Command("echo still here")).stdout == b"still here\n"

    def test_output_up_to_its_limit_is_not(self, transport: HostTransport) -> None:
        assert len(transport.run(Command("head -c 100000 /dev/zero", max_output=100_000)).stdout) == 100_000

    def test_a_command_that_takes_too_long(self, transport: HostTransport) -> None:
        began = time.monotonic()
        with pytest.raises(CommandTimeout, match=r"lab-1 did not answer within 3 s; stderr: still busy"):
            transport.run(Command("echo still busy >&2; exec sleep 60", timeout=3))
        assert time.monotonic() - began < 30
        assert transport.run(Command("echo next")).stdout == b"next\n"

    def test_a_shell_that_is_killed_returns_no_result(self, transport: HostTransport) -> None:
        with pytest.raises(HostUnreachable, match="killed by a signal"):
            transport.run(Command("echo half; kill -9 $$"))

    def test_a_conversation(self, transport: HostTransport) -> None:
        with transport.open(ECHO) as session:
            for number in range(5):
                session.write(b"%d\n" % number)
                assert session.read_line(10) == b"got %d" % number
            session.write(b"one\ntwo\n")
            assert session.read_exactly(7, 10) == b"got one"
            result = session.finish(10)
        assert (result.exit_code, result.stdout, result.stderr) == (4, b"\ngot two\nbye\n", b"more\n")

    def test_a_conversation_carries_large_parts_both_ways(self, transport: HostTransport) -> None:
        size = 3 * MEGABYTE
        with transport.open(
            Command("read -r n; head -c $n | tr a b; head -c 4000000 /dev/zero >&2; echo end")
        ) as session:
            session.write(b"%d\n" % size)
            writer = threading.Thread(target=session.write, args=(b"a" * size,))
            writer.start()
            assert session.read_exactly(size, 20) == b"b" * size
            writer.join(20)
            assert session.read_line(10) == b"end"
            assert len(session.finish(10).stderr) == 4_000_000

    def test_of_a_conversation_the_last_of_stderr_is_kept(self, transport: HostTransport) -> None:
        command = Command("head -c 50000 /dev/zero >&2; echo last words >&2", max_output=1000)
        with transport.open(command) as session:
            stderr = session.finish(10).stderr
        assert len(stderr) == 1000
        assert stderr.endswith(b"last words\n")

    def test_a_conversations_reads_are_bounded_and_may_be_repeated(self, transport: HostTransport) -> None:
        with transport.open(ECHO) as session:
            with pytest.raises(CommandTimeout, match=r"lab-1 did not answer within 0\.2 s"):
                session.read_line(0.2)
            session.write(b"x\n")
            assert session.read_line(10) == b"got x"

    def test_a_conversations_output_ends(self, transport: HostTransport) -> None:
        with transport.open(Command("echo first; printf second")) as session:
            assert session.read_line(10) == b"first"
            with pytest.raises(EOFError):
                session.read_line(10)
            with pytest.raises(EOFError):
                session.read_exactly(100, 10)
            assert session.finish(10).stdout == b"second"

    def test_a_conversations_output_is_bounded(self, transport: HostTransport) -> None:
        with transport.open(Command("yes", max_output=100_000)) as session, pytest.raises(OutputTooLarge):
            session.read_exactly(1_000_000, 10)

    def test_writing_to_a_command_that_ended(self, transport: HostTransport) -> None:
        with transport.open(Command("echo gone >&2; exit 1")) as session:
            with pytest.raises(EOFError):
                session.read_line(10)
            with pytest.raises(HostUnreachable, match="input was closed"):
                session.write(b"x" * 20_000_000)  # data in transit is lost without an error

    def test_leaving_a_conversation_ends_the_commands_input(self, transport: HostTransport) -> None:
        marker = transport.run(Command("mktemp")).stdout.strip()
        with transport.open(
            Command('read -r file; echo ready; cat >/dev/null; echo "input ended" >"$file"')
        ) as session:
            session.write(marker + b"\n")
            assert session.read_line(10) == b"ready"
        found = Command(
            'read -r f; n=0; until [ -s "$f" ] || [ $n = 100 ]; do n=$((n+1)); sleep 0.05; done; cat "$f"; rm "$f"'
        )
        assert transport.run(Command(found.script, marker + b"\n")).stdout == b"input ended\n"

    def test_more_threads_than_sessions(self, transport: HostTransport) -> None:
        def echo(number: int) -> bytes:
            if number % 2:
                return transport.run(Command("sleep 0.05; cat", b"%d" % number)).stdout
            with transport.open(Command("read -r n; echo $n")) as session:
                session.write(b"%d\n" % number)
                return session.read_line(10)

        with ThreadPoolExecutor(20) as pool:
            assert list(pool.map(echo, range(40))) == [b"%d" % number for number in range(40)]
        assert (transport.stats.connections, transport.stats.commands) == (1, 40)

    def test_closing_ends_what_runs_and_what_comes_later(self, transport: HostTransport) -> None:
        session = transport.open(Command("echo ready; cat"))
        assert session.read_line(10) == b"ready"
        closing = threading.Timer(0.1, transport.close)
        closing.start()
        with pytest.raises((HostUnreachable, EOFError)):
            session.read_line(20)
        closing.join(10)
        transport.close()
        with pytest.raises(HostUnreachable, match="closed"):
            transport.run(Command("true"))

    def test_an_idle_transport_has_done_nothing(self, transport: HostTransport) -> None:
        assert (transport.stats.connections, transport.stats.commands) == (0, 0)
