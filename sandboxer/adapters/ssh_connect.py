"""Opening one SSH connection: TCP or a jump host, the handshake, the host's key, the login; and its errors."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import threading
import time
from typing import TYPE_CHECKING, ClassVar

from sandboxer.adapters.light_paramiko import paramiko
from sandboxer.adapters.ssh_auth import KeyRing
from sandboxer.adapters.ssh_channel import ChannelSocket, Connection
from sandboxer.adapters.ssh_config import host_and_port
from sandboxer.adapters.ssh_hostkeys import HostKeyCheck
from sandboxer.errors import HostUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxer.adapters.ssh_config import Endpoint

# What the library raises if a connection fails or is gone.
LOST = (paramiko.SSHException, OSError, EOFError)

_HANDSHAKES = 8  # sshd starts to drop connections at 10 that are not logged in
_TRIES = 3
_DEAD_AFTER = 45_000  # milliseconds without an acknowledgement
# Encryption and integrity in one pass, where the server supports it.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")


class _DroppedEarly(Exception):
    """The server hung up before it sent anything, as sshd does beyond MaxStartups."""


class Shared:
    """A connection that its first user opens, once; a failure too is shared by all."""

    def __init__(self, host: str, open_it: Callable[[], Connection]) -> None:
        self._host, self._open = host, open_it
        self._lock = threading.Lock()
        self._transport: Connection | None = None
        self._failure: HostUnreachable | None = None

    def get(self) -> Connection:
        """Return the connection. Raise HostUnreachable, the same one each time."""
        with self._lock:
            if self._transport is not None and not self._transport.is_active():
                self._failure = lost(self._host, self._transport.saved_exception)
            if self._failure is not None:
                raise type(self._failure)(self._failure.host, self._failure.message, hint=self._failure.hint)
            if self._transport is None:
                try:
                    self._transport = self._open()
                except HostUnreachable as failure:
                    self._failure = failure
                    raise
            return self._transport

    def close(self, why: HostUnreachable) -> None:
        """Close the connection, and raise ``why`` for every later user. Idempotent."""
        with self._lock:
            transport, self._transport = self._transport, None
            self._failure = self._failure or why
        if transport is not None:
            shut(transport)


class JumpPool:
    """The jump hosts that the connections of one run share, and the process's limit on simultaneous handshakes."""

    # A server has many runs at once, and each sshd one limit for all of them.
    _handshakes: ClassVar[dict[str, threading.BoundedSemaphore]] = {}
    _all = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jumps: dict[Endpoint, Shared] = {}

    def through(self, jump: Endpoint, timeout: float) -> Connection:
        """Return the connection to a jump host, opened at its first use."""
        with self._lock:
            shared = self._jumps.setdefault(jump, Shared(jump.host, lambda: connect(jump, timeout, self)))
        return shared.get()

    @contextlib.contextmanager
    def handshake(self, endpoint: Endpoint, timeout: float) -> Iterator[None]:
        """Wait for a free handshake: at most 8 at once to one address or through one jump host."""
        first = endpoint.jump or endpoint
        with self._all:
            slot = self._handshakes.setdefault(
                host_and_port(first.address, first.port), threading.BoundedSemaphore(_HANDSHAKES)
            )
        if not slot.acquire(timeout=timeout * 10):
            raise HostUnreachable(endpoint.host, f"cannot connect to {endpoint}: too many connections wait for {first}")
        try:
            yield
        finally:
            slot.release()

    def close(self) -> None:
        """Close the connections to the jump hosts, the farthest first."""
        with self._lock:
            jumps = list(self._jumps.items())
        for jump, shared in reversed(jumps):
            shared.close(HostUnreachable(jump.host, f"the connection to {jump} is closed"))


def connect(endpoint: Endpoint, timeout: float, pool: JumpPool) -> Connection:
    """Return a connection that is logged in, within the time limit (seconds).

    Raise HostUnreachable or HostKeyRefused for every failure.
    """
    timeout = endpoint.connect_timeout or timeout
    through = _jump(endpoint, timeout, pool)
    with pool.handshake(endpoint, timeout):
        deadline = time.monotonic() + timeout
        for attempt in range(1, _TRIES + 1):
            try:
                return _try(endpoint, through, deadline)
            except _DroppedEarly as dropped:
                pause = random.uniform(0.1, 0.3) * 2**attempt  # noqa: S311 - spreads the retries, no secret
                if attempt == _TRIES or time.monotonic() + pause > deadline:
                    raise _dropped(endpoint, str(dropped)) from None
                time.sleep(pause)
            except LOST as error:
                raise explain(endpoint, error, timeout) from None
    raise AssertionError("unreachable")


def _jump(endpoint: Endpoint, timeout: float, pool: JumpPool) -> Connection | None:
    if endpoint.jump is None:
        return None
    try:
        return pool.through(endpoint.jump, timeout)
    except HostUnreachable as error:
        message = f"cannot reach {endpoint} through {endpoint.jump}: {error.message}"
        raise type(error)(endpoint.host, message, hint=error.hint) from None


def shut(transport: Connection) -> None:
    """Close a connection at once, and wait for its thread to end."""
    sock = transport.sock
    with contextlib.suppress(*LOST):
        # Wakes the reading thread; closing alone would leave it to its next poll, a tenth of a second later.
        sock.shutdown(socket.SHUT_RDWR) if isinstance(sock, socket.socket) else sock.close()
    with contextlib.suppress(*LOST):
        transport.close()
    if transport.ident is not None:
        transport.join(2.0)
    with contextlib.suppress(*LOST):
        sock.close()


def _try(endpoint: Endpoint, through: Connection | None, deadline: float) -> Connection:
    check = HostKeyCheck(endpoint)
    sock: socket.socket | ChannelSocket
    if through is None:
        sock = _tcp(endpoint, deadline)
    else:
        sock = through.tcp(endpoint.address, endpoint.port, _left(deadline))
    transport = Connection(sock)
    try:
        _handshake(transport, check, deadline)
        key = transport.get_remote_server_key()
        check.verify(key.get_name(), key.asbytes())
        _log_in(transport, endpoint, deadline)
        transport.set_keepalive(endpoint.keepalive)
    except BaseException:
        shut(transport)
        raise
    return transport


def _tcp(endpoint: Endpoint, deadline: float) -> socket.socket:
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        endpoint.address, endpoint.port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # With this the keepalive notices a dead network; without it, the system takes a quarter of an hour.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER)
        return sock
    raise failure


def _handshake(transport: Connection, check: HostKeyCheck, deadline: float) -> None:
    options = transport.get_security_options()
    options.ciphers = _CIPHERS
    options.key_types = check.preferred(options.key_types)
    transport.banner_timeout = transport.auth_timeout = _left(deadline)
    done = threading.Event()
    transport.start_client(event=done)
    if not done.wait(_left(deadline)):
        raise TimeoutError
    if not transport.is_active():
        error = transport.get_exception() or EOFError()
        if time.monotonic() >= deadline - 0.05:
            raise TimeoutError
        if not transport.remote_version:
            raise _DroppedEarly(str(error))
        raise error


def _log_in(transport: Connection, endpoint: Endpoint, deadline: float) -> None:
    with KeyRing(endpoint) as ring:
        for name, key in ring.offers():
            transport.auth_timeout = _left(deadline)
            try:
                missing = transport.auth_publickey(endpoint.user, key)
            except paramiko.BadAuthenticationType as error:
                raise ring.refused(f" by key; required: {' or '.join(error.allowed_types)}") from None
            except paramiko.SSHException:
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
                if not transport.is_active():
                    if not ring.tried:
                        raise
                    raise ring.refused(" and disconnected after too many keys") from None
                ring.tried.append(f"{name} was rejected")
                continue
            if not missing:
                return
            raise ring.refused(f" by key alone; also required: {' or '.join(missing)}")
        raise ring.refused()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


# --- errors ---


def explain(endpoint: Endpoint, error: BaseException, timeout: float) -> HostUnreachable:
    """Return our error for any of the library's or the system's while connecting."""
    hint = f"check the address and port of {endpoint.host}, its sshd, and the network"
    if isinstance(error, TimeoutError):
        reason = f"no answer within {timeout:g} s"
    elif isinstance(error, socket.gaierror):
        reason = f"{endpoint.address} is neither an address nor a resolvable name ({error.strerror})"
        hint = f"set spec.address of {endpoint.host} to an address, a name, or an alias of ~/.ssh/config"
    elif isinstance(error, paramiko.ChannelException):
        reason = f"{endpoint.jump} cannot reach this host ({reason_of(error)})"
        hint = f"check that {endpoint.jump} reaches {endpoint.address} and allows forwarding (AllowTcpForwarding)"
    else:
        reason = reason_of(error)
    notes = "; ".join(endpoint.notes)
    return HostUnreachable(
        endpoint.host, f"cannot connect to {endpoint}: {reason}", hint=f"{hint} ({notes})" if notes else hint
    )


def reason_of(error: BaseException | None) -> str:
    """Return in a few words what ended a connection."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, paramiko.ChannelException):
        return error.text.lower()
    if error is None or isinstance(error, EOFError):
        return "connection closed by the host"
    return str(error) or type(error).__name__


def lost(host: str, error: BaseException | None) -> HostUnreachable:
    """Return our error for a lost connection."""
    return HostUnreachable(
        host,
        f"the connection to {host} was lost: {reason_of(error)}",
        hint=f"check the network and {host}, and run again",
    )


def _dropped(endpoint: Endpoint, reason: str) -> HostUnreachable:
    return HostUnreachable(
        endpoint.host,
        f"cannot connect to {endpoint}: disconnected {_TRIES} times before answering ({reason})",
        hint=f"check that sshd listens on port {endpoint.port}, and its log: MaxStartups limits connections",
    )
