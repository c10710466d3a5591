"""What a transport does over SSH: its promises, connections that fail, and jump hosts."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.ssh import JumpPool
from sandboxer.errors import HostKeyRefused, HostUnreachable
from sandboxer.model.protocols import Command
from tests.support.sshd import Sshd, wait_for
from tests.support.transport_promises import TransportPromises

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.ssh.conftest import Connect

pytestmark = pytest.mark.lab

HELLO = Command("echo hello")


class TestSshTransport(TransportPromises):
    """A host over SSH keeps the promises of every transport."""


class TestConnection:
    def test_a_closed_port(self, connect: Connect, sshd: Sshd) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            transport = connect(sshd, port=port)
            message = rf"cannot connect to lab-1 \(127.0.0.1:{port}\): connection refused"
            for _ in range(2):
                with pytest.raises(HostUnreachable, match=message):
                    transport.run(HELLO)
        assert transport.stats.connections == 0

    def test_a_server_that_sends_nothing(self, connect: Connect, sshd: Sshd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            began = time.monotonic()
            with pytest.raises(HostUnreachable, match=r"no answer within 0.5 s"):
                connect(sshd, port=server.getsockname()[1], connect_timeout=0.5).run(HELLO)
            assert time.monotonic() - began < 5

    def test_a_name_that_does_not_exist(self, connect: Connect, sshd: Sshd) -> None:
        with pytest.raises(HostUnreachable, match="is neither an address nor a resolvable name"):
            connect(sshd, address="not a name").run(HELLO)

    def test_a_server_that_drops_connections_for_a_while(self, connect: Connect, tmp_path: Path) -> None:
        with (
            Sshd(tmp_path / "busy", options=("MaxStartups 1:100:1", "LogLevel DEBUG1")) as server,
            socket.create_connection(("127.0.0.1", server.port), 10) as first,
        ):
            assert first.recv(4) == b"SSH-"  # it counts now, and until it is gone nobody else gets in
            release = threading.Thread(target=lambda: (wait_for(lambda: "MaxStartups" in server.log), first.close()))
            release.start()
            transport = connect(server)
            assert transport.run(HELLO).stdout == b"hello\n"
            release.join(10)
            assert transport.stats.connections == 1

    def test_a_server_that_drops_every_connection(self, connect: Connect, tmp_path: Path) -> None:
        with (
            Sshd(tmp_path / "busy", options=("MaxStartups 1:100:1",)) as server,
            socket.create_connection(("127.0.0.1", server.port), 10) as first,
        ):
            assert first.recv(4) == b"SSH-"
            with pytest.raises(HostUnreachable, match="disconnected 3 times before answering") as caught:
                connect(server).run(HELLO)
            assert "MaxStartups" in caught.value.hint

    def test_a_connection_lost_amid_a_command(self, connect: Connect, other: Sshd) -> None:
        transport = connect(other)
        with transport.open(Command("echo ready; sleep 20")) as session:
            assert session.read_line(10) == b"ready"
            other.drop_connections()
            with pytest.raises(HostUnreachable, match="the command on lab-1 was interrupted: "):
                session.read_line(10)
        with pytest.raises(HostUnreachable, match="the connection to lab-1 was lost"):
            transport.run(HELLO)

    def test_half_an_output_is_no_result(self, connect: Connect, other: Sshd, tmp_path: Path) -> None:
        half = tmp_path / "half"
        drop = threading.Thread(target=lambda: (wait_for(half.exists, 30), other.drop_connections()))
        drop.start()
        with pytest.raises(HostUnreachable, match="was interrupted"):
            connect(other).run(Command(f"echo half; touch {half}; sleep 20; echo whole"))
        drop.join(10)

    def test_a_server_that_allows_fewer_sessions(self, connect: Connect, tmp_path: Path) -> None:
        with Sshd(tmp_path / "server", options=("MaxSessions 2",)) as server:
            transport = connect(server)
            with ThreadPoolExecutor(8) as pool:
                results = list(pool.map(transport.run, [Command("sleep 0.1; echo ok")] * 8))
        assert [result.stdout for result in results] == [b"ok\n"] * 8

    def test_commands_that_end_while_input_is_on_the_way(self, connect: Connect, sshd: Sshd) -> None:
        transport = connect(sshd)
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(transport.run, [Command("exit 3", b"x" * 20_000)] * 200))
        assert {result.exit_code for result in results} == {3}
        assert transport.stats.connections == 1

    def test_a_channel_stays_ours_until_we_end_it(self, connect: Connect, sshd: Sshd) -> None:
        # The library gives its number back as soon as the command ends; what another thread was just sending then
        # goes to nobody, and sshd hangs up on all.
        transport = connect(sshd)
        channel = transport._connection.get().session("exit 3", 10)
        assert channel.exit_code(10) == 3
        transport.run(HELLO)  # what sshd had to say about the first one has come before this
        assert not channel.closed
        channel.shutdown_write()
        channel.close()
        assert channel.closed
        assert transport.run(HELLO).stdout == b"hello\n"

    def test_a_tunnel(self, connect: Connect, sshd: Sshd) -> None:
        transport = connect(sshd)
        with socket.create_server(("127.0.0.1", 0)) as server:
            channel = transport.tunnel("127.0.0.1", server.getsockname()[1])
            peer, _ = server.accept()
            with peer:
                channel.sendall(b"ping")
                assert peer.recv(4) == b"ping"
            assert channel.recv(10) == b""
            channel.close()
        with pytest.raises(HostUnreachable, match=r"lab-1 cannot reach 127\.0\.0\.1:1 "):
            transport.tunnel("127.0.0.1", 1)


class TestJump:
    def test_hosts_behind_an_alias_share_its_connection(
        self, connect: Connect, sshd: Sshd, other: Sshd, home: Path
    ) -> None:
        (home / ".ssh/known_hosts").write_text(sshd.known_hosts_line())
        (home / ".ssh/config").write_text(
            f"Host bastion\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {sshd.client_key}\n"
            f"Host inner\n HostName 127.0.0.1\n Port {other.port}\n ProxyJump bastion\n"
        )
        before = sshd.log.count("Accepted publickey")
        pool = JumpPool()
        behind = [connect(other, jumps=pool, address="inner", port=None) for _ in range(12)]
        with ThreadPoolExecutor(12) as threads:
            results = list(threads.map(lambda host: host.run(HELLO).stdout, behind))
        assert results == [b"hello\n"] * 12
        assert {host.stats.connections for host in behind} == {1}
        assert sshd.log.count("Accepted publickey") == before + 1
        assert other.log.count("Accepted publickey") == 12
        for host in behind:
            host.close()
        pool.close()

    def test_a_chain(self, connect: Connect, sshd: Sshd, other: Sshd, home: Path) -> None:
        (home / ".ssh/known_hosts").write_text(sshd.known_hosts_line() + other.known_hosts_line())
        (home / ".ssh/id_ed25519").symlink_to(sshd.client_key)
        (home / ".ssh/id_rsa").symlink_to(other.client_key)
        (home / ".ssh/config").write_text(
            f"Host last\n HostName 127.0.0.1\n Port {sshd.port}\n"
            f"Host inner\n HostName 127.0.0.1\n ProxyJump 127.0.0.1:{other.port},ssh://last\n"
        )
        assert connect(sshd, address="inner").run(Command("cat", b"x" * 5_000_000)).stdout == b"x" * 5_000_000
        assert other.log.count("Accepted publickey") == 1

    def test_the_jump_hosts_key_is_verified(self, connect: Connect, sshd: Sshd, other: Sshd, home: Path) -> None:
        (home / ".ssh/config").write_text(f"Host inner\n HostName 127.0.0.1\n ProxyJump 127.0.0.1:{sshd.port}\n")
        with pytest.raises(
            HostKeyRefused, match=r"through 127\.0\.0\.1.*is neither pinned nor in known_hosts"
        ) as caught:
            connect(other, address="inner").run(HELLO)
        assert caught.value.host == "lab-1"

    def test_a_jump_host_that_cannot_reach_the_host(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        (home / ".ssh/known_hosts").write_text(sshd.known_hosts_line())
        (home / ".ssh/id_ed25519").symlink_to(sshd.client_key)
        (home / ".ssh/config").write_text(f"Host 127.0.0.2\n ProxyJump 127.0.0.1:{sshd.port}\n")
        with socket.socket() as closed:
            closed.bind(("127.0.0.2", 0))
            transport = connect(sshd, address="127.0.0.2", port=closed.getsockname()[1])
            with pytest.raises(
                HostUnreachable, match=r"cannot connect to lab-1 .*: 127\.0\.0\.1:\d+ cannot reach this host"
            ):
                transport.run(HELLO)
