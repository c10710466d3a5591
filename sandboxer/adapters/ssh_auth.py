"""Login with a key: the manifest's, else the agent's, else those of ssh_config. Never a password."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from paramiko.agent import AgentKey, AgentSSH

from sandboxer.adapters.light_paramiko import paramiko
from sandboxer.errors import HostUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.adapters.ssh_config import Endpoint

_AGENT_LIMIT = 10.0  # seconds; an agent may ask its user to confirm


@dataclass(slots=True)
class KeyRing:
    """The keys to offer to one endpoint, loaded on demand. ``tried`` says what happened with each."""

    endpoint: Endpoint
    tried: list[str] = field(default_factory=list)
    _agent: _Agent | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._agent is not None:
            self._agent.close()

    def offers(self) -> Iterator[tuple[str, paramiko.PKey]]:
        """Yield each key once, with its description, best first."""
        offered: set[bytes] = set()
        for name, key in self._candidates():
            if key.asbytes() not in offered:
                offered.add(key.asbytes())
                yield name, key

    def refused(self, reason: str = "") -> HostUnreachable:
        """Return the error for a login that no key was accepted for."""
        endpoint = self.endpoint
        nothing = f"the agent holds no key, and none of these files exists: {', '.join(map(str, endpoint.identities))}"
        tried = "; ".join(self.tried) or nothing
        key = endpoint.only_identity or "~/.ssh/id_ed25519"
        return HostUnreachable(
            endpoint.host,
            f"{endpoint} rejected the login as {endpoint.user}{reason}: {tried}",
            hint=f"add a public key to ~{endpoint.user}/.ssh/authorized_keys there (`ssh-copy-id -i {key}`), or set "
            f"spec.user and spec.identityFile on the Host, or load the right key with `ssh-add`",
        )

    # --- where keys are ---

    def _candidates(self) -> Iterator[tuple[str, paramiko.PKey]]:
        endpoint = self.endpoint
        if endpoint.only_identity is not None:
            if not endpoint.only_identity.exists():
                raise HostUnreachable(
                    endpoint.host,
                    f"identityFile {endpoint.only_identity} of {endpoint.host} does not exist",
                    hint="set spec.identityFile to a private key on this machine, or leave it out to use the agent",
                )
            yield from self._file(endpoint.only_identity)
            return
        if endpoint.use_agent:
            for key in self._agent_keys():
                yield f"key {key.comment or key.get_name()} of the agent", key
        for path in endpoint.identities:
            if path.exists():
                yield from self._file(path)

    def _file(self, path: Path) -> Iterator[tuple[str, paramiko.PKey]]:
        try:
            yield f"key {path}", paramiko.PKey.from_path(path)
            return
        except (paramiko.PasswordRequiredException, TypeError):
            why = "has a passphrase and is not in an agent"
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
        except Exception:  # noqa: BLE001 - the library raises its parser's errors, and those of its parser's library
            why = "is not a usable private key"
        public = _public_blob(path)
        held = [key for key in self._agent_keys() if key.blob == public]
        yield from ((f"key {path} by the agent", key) for key in held)
        if not held:
            self.tried.append(f"key {path} {why}")

    def _agent_keys(self) -> tuple[AgentKey, ...]:
        if self._agent is None:
            self._agent = _Agent()
            with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
                self._agent.open()
        return self._agent.get_keys()


class _Agent(AgentSSH):
    """The user's ssh-agent, with a time limit on its answers."""

    _connection: socket.socket | None = None

    def open(self) -> None:
        path = os.environ.get("SSH_AUTH_SOCK")
        if not path:
            return
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.settimeout(_AGENT_LIMIT)
        self._connection.connect(path)
        self._connect(self._connection)  # type: ignore[attr-defined]  # the stubs leave it out

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _public_blob(path: Path) -> bytes:
    """Return the public half of a key file: from the file beside it, or from itself."""
    for candidate in (path.with_name(path.name + ".pub"), path):
        with contextlib.suppress(OSError, ValueError, paramiko.SSHException):
            return paramiko.pkey.PublicBlob.from_file(str(candidate)).key_blob
    return b""
