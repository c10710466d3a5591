"""Commands whose input and output pass through (``model.protocols.Stream``), on this machine."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import HostUnreachable
from sandboxer.model.protocols import Command, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.protocols import Stream

BOTH = pytest.mark.parametrize("terminal", [None, Terminal("vt100", 70, 20)], ids=["pipes", "terminal"])


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    threads = set(threading.enumerate())
    transport = LocalTransport("lab-1")
    yield transport
    transport.close()
    assert set(threading.enumerate()) <= threads


def _rest(stream: Stream) -> bytes:
    return b"".join(iter(lambda: stream.read(20), b""))


@BOTH
def test_a_script_its_input_and_its_exit_code(transport: LocalTransport, terminal: Terminal | None) -> None:
    command = Command('read -r a; echo begun; read -r b; echo "$a $b"; exit 7', b"one\n")
    with transport.stream(command, terminal) as stream:
        stream.write(b"two\n")
        assert _rest(stream).replace(b"\r", b"") == b"begun\none two\n"
        assert stream.wait(10) == 7


def test_a_terminal_has_its_type_and_size_and_gets_a_new_size(transport: LocalTransport) -> None:
    script = "echo $TERM; stty size; read -r x; stty size"
    with transport.stream(Command(script), Terminal("vt100", 70, 20)) as stream:
        shown = b""
        while b"20 70" not in shown:
            shown += stream.read(10)
        assert shown.split() == [b"vt100", b"20", b"70"]
        stream.resize(90, 30)
        stream.write(b"\n")
        assert _rest(stream).split() == [b"30", b"90"]


def test_more_than_any_buffer_goes_through_both_ways(transport: LocalTransport) -> None:
    data = bytes(range(256)) * 40_000
    errors = bytearray()
    with transport.stream(Command("tee /dev/stderr"), on_stderr=errors.extend) as stream:
        writing = threading.Thread(target=lambda: (stream.write(data), stream.end_input()))
        writing.start()
        assert _rest(stream) == data
        writing.join()
        assert stream.wait(10) == 0
    assert bytes(errors) == data


@BOTH
def test_whoever_closes_it_ends_the_command(transport: LocalTransport, terminal: Terminal | None) -> None:
    stream = transport.stream(Command("echo $$; sleep 60"), terminal)
    stream.read(10)
    with pytest.raises(TimeoutError):
        stream.read(0.05)
    stream.close()
    stream.close()


def test_nobody_reads_any_more(transport: LocalTransport) -> None:
    with transport.stream(Command("exec <&-; echo closed; sleep 60")) as stream:
        assert stream.read(10) == b"closed\n"
        with pytest.raises(BrokenPipeError):
            stream.write(b"x" * 10_000_000)


def test_standard_error_is_kept_in_part_and_a_signal_leaves_no_code(transport: LocalTransport) -> None:
    with transport.stream(Command("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2; kill -9 $$")) as stream:
        assert _rest(stream) == b""
        with pytest.raises(HostUnreachable, match="killed by a signal"):
            stream.wait(10)
        assert len(stream.error_output) <= 2000
        assert stream.error_output.endswith("xend")
