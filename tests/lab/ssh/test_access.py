"""Who is let in, which hosts are trusted, and what ssh_config says."""

from __future__ import annotations

import getpass
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import HostKeyRefused, HostUnreachable
from sandboxer.model.protocols import Command
from tests.support.sshd import KINDS, Sshd, fingerprint, keygen, public_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.ssh.conftest import Connect

pytestmark = pytest.mark.lab

HELLO = Command("echo hello")


class TestLogin:
    def test_the_login_shells_noise_is_dropped(self, connect: Connect, tmp_path: Path) -> None:
        noise = r"""ForceCommand printf 'Welcome!\nno newline'; echo oh >&2; exec sh -c "$SSH_ORIGINAL_COMMAND" """
        with Sshd(tmp_path / "noisy", options=(noise,)) as server:
            result = connect(server).run(Command("cat; exit 7", b"input"))
        assert (result.exit_code, result.stdout, result.stderr) == (7, b"input", b"oh\n")

    @pytest.mark.parametrize(
        ("shell", "reason"),
        [
            ("echo This account is not available; exit 1", "output: This account is not available"),
            ("echo no such file >&2; exit 1", "stderr: no such file"),
            ("yes", "output: y"),
        ],
    )
    def test_an_account_without_a_shell(self, connect: Connect, tmp_path: Path, shell: str, reason: str) -> None:
        with (
            Sshd(tmp_path / "closed", options=(f"ForceCommand {shell}",)) as server,
            pytest.raises(HostUnreachable, match=f"login shell of lab-1 did not start sh; {reason}"),
        ):
            connect(server).run(HELLO)

    def test_a_key_that_is_refused(self, connect: Connect, sshd: Sshd, tmp_path: Path) -> None:
        key = keygen(tmp_path / "stranger")
        with pytest.raises(HostUnreachable, match=f"rejected the login as .*: key {key} was rejected") as caught:
            connect(sshd, identity_file=str(key)).run(HELLO)
        assert f"ssh-copy-id -i {key}" in caught.value.hint

    def test_an_identity_file_that_is_not_there(self, connect: Connect, sshd: Sshd) -> None:
        with pytest.raises(HostUnreachable, match="identityFile /nowhere/key of lab-1 does not exist"):
            connect(sshd, identity_file="/nowhere/key").run(HELLO)

    def test_an_identity_file_that_is_no_key(self, connect: Connect, sshd: Sshd, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
        with pytest.raises(HostUnreachable, match="is not a usable private key"):
            connect(sshd, identity_file=str(tmp_path / "key")).run(HELLO)

    def test_no_key_at_all(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        with pytest.raises(HostUnreachable, match=f"none of these files exists: {home}/.ssh/id_ed25519"):
            connect(sshd, identity_file=None).run(HELLO)

    def test_the_home_folders_key(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        keygen(home / ".ssh/id_ed25519")
        (home / ".ssh/id_rsa").symlink_to(sshd.client_key)
        assert connect(sshd, identity_file=None).run(HELLO).stdout == b"hello\n"

    @pytest.mark.parametrize("kind", KINDS)
    def test_keys_of_all_types_from_the_agent(self, connect: Connect, tmp_path: Path, agent: str, kind: str) -> None:
        key = keygen(tmp_path / "server/client", kind)
        subprocess.run(["ssh-add", "-q", key], check=True, timeout=10)
        with Sshd(tmp_path / "server") as server:
            assert connect(server, identity_file=None).run(HELLO).stdout == b"hello\n"

    def test_a_key_with_a_passphrase(self, connect: Connect, tmp_path: Path, agent: str) -> None:
        key = keygen(tmp_path / "server/client", passphrase="secret")
        with Sshd(tmp_path / "server") as server:
            with pytest.raises(HostUnreachable, match="has a passphrase and is not in an agent") as caught:
                connect(server).run(HELLO)
            assert "ssh-add" in caught.value.hint
            ask = tmp_path / "ask"
            ask.write_text("#!/bin/sh\necho secret\n")
            ask.chmod(0o700)
            environment = os.environ | {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
            subprocess.run(["ssh-add", "-q", key], check=True, env=environment, timeout=10, stdin=subprocess.DEVNULL)
            assert connect(server).run(HELLO).stdout == b"hello\n"

    def test_a_dangling_agent_is_no_error(
        self, connect: Connect, sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere/agent")
        (home / ".ssh/id_ed25519").symlink_to(sshd.client_key)
        assert connect(sshd, identity_file=None).run(HELLO).stdout == b"hello\n"

    def test_a_server_that_wants_more_than_a_key(self, connect: Connect, tmp_path: Path) -> None:
        options = ("AuthenticationMethods publickey,password", "PasswordAuthentication yes")
        with (
            Sshd(tmp_path / "strict", options=options) as server,
            pytest.raises(HostUnreachable, match="by key alone; also required: password"),
        ):
            connect(server).run(HELLO)


class TestHostKey:
    @pytest.mark.parametrize("kind", KINDS)
    def test_any_of_the_servers_keys_may_be_pinned(self, connect: Connect, sshd: Sshd, kind: str) -> None:
        transport = connect(sshd, host_key=public_key(sshd.host_key(kind)) + " a comment")
        assert transport.run(HELLO).stdout == b"hello\n"

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("hashed", [False, True])
    def test_any_of_the_servers_keys_may_be_known(
        self, connect: Connect, sshd: Sshd, home: Path, kind: str, hashed: bool
    ) -> None:
        known = home / ".ssh/known_hosts"
        known.write_text(sshd.known_hosts_line(kind))
        if hashed:
            subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, timeout=10, capture_output=True)
            assert "127.0.0.1" not in known.read_text()
        known.write_text("# a comment\n\nnonsense\n|1|AA ssh-rsa AAAA\n" + known.read_text())
        assert connect(sshd, host_key=None).run(HELLO).stdout == b"hello\n"

    def test_a_known_host_by_pattern(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        key = public_key(sshd.host_key("ed25519"))
        (home / ".ssh/known_hosts").write_text(f"!other,[127.0.0.?]:* {key}\n")
        assert connect(sshd, host_key=None).run(HELLO).stdout == b"hello\n"

    def test_an_unknown_key(self, connect: Connect, sshd: Sshd) -> None:
        with pytest.raises(HostKeyRefused, match="is neither pinned nor in known_hosts") as caught:
            connect(sshd, host_key=None).run(HELLO)
        error, key = caught.value, sshd.host_key("ed25519")
        assert error.host == "lab-1"
        assert f"rejected: ssh-ed25519 {fingerprint(key)}" in error.message
        assert f'hostKey: "{public_key(key)}"' in error.hint
        assert sshd.known_hosts_line().strip() in error.hint

    def test_the_line_that_the_error_for_an_unknown_key_shows_makes_it_known(
        self, connect: Connect, sshd: Sshd, home: Path
    ) -> None:
        with pytest.raises(HostKeyRefused) as caught:
            connect(sshd, host_key=None).run(HELLO)
        line = caught.value.hint.split("the line `")[1].split("`")[0]
        (home / ".ssh/known_hosts").write_text(line + "\n")
        assert connect(sshd, host_key=None).run(HELLO).stdout == b"hello\n"

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_changed_key(self, connect: Connect, sshd: Sshd, home: Path, tmp_path: Path, kind: str) -> None:
        old = keygen(tmp_path / "old", kind)
        (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {public_key(old)}\n")
        with pytest.raises(HostKeyRefused, match="known_hosts line 1") as caught:
            connect(sshd, host_key=None).run(HELLO)
        assert f"got {public_key(sshd.host_key(kind)).split()[0]} " in caught.value.message
        assert fingerprint(sshd.host_key(kind)) in caught.value.message
        assert fingerprint(old) in caught.value.message
        assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in caught.value.hint

    def test_a_pin_is_the_only_key_that_counts(self, connect: Connect, sshd: Sshd, home: Path, tmp_path: Path) -> None:
        (home / ".ssh/known_hosts").write_text(sshd.known_hosts_line())
        pinned = keygen(tmp_path / "pinned")
        with pytest.raises(HostKeyRefused, match="hostKey of its manifest") as caught:
            connect(sshd, host_key=public_key(pinned)).run(HELLO)
        assert fingerprint(sshd.host_key("ed25519")) in caught.value.message
        assert fingerprint(pinned) in caught.value.message

    def test_a_revoked_key(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        line = sshd.known_hosts_line()
        (home / ".ssh/known_hosts").write_text(f"{line}@revoked {line}")
        with pytest.raises(HostKeyRefused, match="as revoked"):
            connect(sshd, host_key=None).run(HELLO)

    def test_a_pin_that_is_no_key(self, connect: Connect, sshd: Sshd) -> None:
        with pytest.raises(HostKeyRefused, match="hostKey of lab-1 is not a public key: 'ssh-ed25519 AAAA'"):
            connect(sshd, host_key="ssh-ed25519 AAAA").run(HELLO)

    def test_nothing_is_sent_to_a_host_that_is_refused(self, connect: Connect, sshd: Sshd, tmp_path: Path) -> None:
        with Sshd(tmp_path / "server") as server:
            with pytest.raises(HostKeyRefused):
                connect(server, host_key=None).run(HELLO)
            server.stop()
            assert "Accepted" not in server.log
            assert "Failed" not in server.log


class TestConfig:
    def test_an_alias(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        (home / ".ssh/extra").write_text(f"Host lab\n  HostName 127.0.0.1\n  Port {sshd.port}\n")
        (home / ".ssh/names").write_text(f"pinned {public_key(sshd.host_key('ecdsa'))}\n")
        (home / ".ssh/config").write_text(
            f"Include extra\nIdentityFile {sshd.client_key}\nHost lab\n  HostKeyAlias pinned\n"
            f"  UserKnownHostsFile ~/.ssh/other ~/.ssh/names\n  IdentitiesOnly yes\n"
        )
        transport = connect(sshd, address="lab", port=None, identity_file=None, host_key=None)
        assert transport.run(HELLO).stdout == b"hello\n"

    def test_the_manifest_wins(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        (home / ".ssh/config").write_text("Host *\n  Port 1\n  User nobody-here\n  IdentityFile /nowhere\n")
        transport = connect(sshd, user=getpass.getuser())
        assert transport.run(HELLO).stdout == b"hello\n"

    @pytest.mark.parametrize("criterion", ["exec", "host nothing !exec", "Exec"])
    def test_match_exec_runs_nothing(
        self, connect: Connect, sshd: Sshd, home: Path, tmp_path: Path, criterion: str
    ) -> None:
        canary = tmp_path / "canary"
        (home / ".ssh/config").write_text(f'Match {criterion} "touch {canary}"\n  Port 1\nMatch all\n  Port 1\n')
        assert connect(sshd).run(HELLO).stdout == b"hello\n"
        with pytest.raises(HostUnreachable) as caught:
            connect(sshd, port=None).run(HELLO)
        assert "was ignored" in caught.value.hint
        assert not canary.exists()

    def test_a_proxy_command_is_refused(self, connect: Connect, sshd: Sshd, home: Path) -> None:
        (home / ".ssh/config").write_text("ProxyCommand touch /nowhere/%h\n")
        with pytest.raises(HostUnreachable, match="sets a ProxyCommand") as caught:
            connect(sshd).run(HELLO)
        assert "ProxyJump" in caught.value.hint

    @pytest.mark.parametrize(
        "text", ["nonsense\n", 'Host "a\n', "Port many\n", "Match host\n", "ProxyJump a b c:d\n", "ProxyJump self\n"]
    )
    def test_a_config_that_cannot_be_used(self, connect: Connect, sshd: Sshd, home: Path, text: str) -> None:
        (home / ".ssh/config").write_text(text)
        with pytest.raises(HostUnreachable, match="ssh_config cannot be used for lab-1"):
            connect(sshd, port=None).run(HELLO)
