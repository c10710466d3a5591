"""State Hubs for tests: one with arbitrary answers, and the program's own as a process.

Both really listen on 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "the-token-of-this-test"
PROGRAM = str(Path(sys.executable).with_name("sandboxer"))
LISTEN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as received."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass(slots=True)
class Talk:
    """One request's turn on its connection; ``over`` is set when the hub ends."""

    sock: socket.socket
    request: Request
    over: threading.Event

    def send(self, data: bytes) -> None:
        """Send bytes. Raise OSError if the client is gone."""
        self.sock.sendall(data)

    def cut(self) -> None:
        """End the connection with a reset. Raise ConnectionError, which ends the turn."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError("cut")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a hub treats one request; ``read`` is whether it reads it first."""

    act: Callable[[Talk], None]
    read: bool = True


def says(status: int, body: bytes | dict[str, Any] | None = None, **headers: str) -> Answer:
    """Return an ordinary answer; ``_`` in the names of ``headers`` stands for ``-``."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(lambda talk: talk.send(_head(status, len(data), headers) + data))


def _head(status: int, length: int | None, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {httpx.codes.get_reason_phrase(status)}".rstrip()]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {length}"] if length is not None and status != 204 else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _take(talk: Talk) -> None:
    identifier = talk.request.json.get("id", "") if talk.request.body else ""
    says(201, {"id": identifier, "status": "accepted"}).act(talk)


def _hang(talk: Talk) -> None:
    talk.over.wait(60)
    talk.cut()


TAKES = Answer(_take)
HANGS = Answer(_hang)
HANGS_UNREAD = Answer(_hang, read=False)
CUTS = Answer(Talk.cut)
CUTS_UNREAD = Answer(Talk.cut, read=False)


def endless(status: int) -> Answer:
    """Return an answer with an endless body, sent as fast as it is read."""

    def act(talk: Talk) -> None:
        talk.send(_head(status, None, {"Connection": "close"}))
        while not talk.over.is_set():
            talk.send(b"x" * 65536)

    return Answer(act)


def drips(head: bytes, seconds: float = 0.05) -> Answer:
    """Return an answer that sends ``head`` at once, and then a byte now and then without end."""

    def act(talk: Talk) -> None:
        talk.send(head)
        while not talk.over.wait(seconds):
            talk.send(b"x")

    return Answer(act)


class LyingHub:
    """A hub on a free port: it answers with the next of ``answers``; then by ``choose``, or with ``otherwise``.

    ``requests`` are those that it read. With ``certificate``, a file of a key and a certificate, it speaks TLS.
    ``port`` 0 is any free one.
    """

    def __init__(
        self,
        *answers: Answer,
        otherwise: Answer = TAKES,
        choose: Callable[[Request], Answer] | None = None,
        certificate: Path | None = None,
        port: int = 0,
    ) -> None:
        self.answers = deque(answers)
        self.choose = choose or (lambda _: otherwise)
        self.requests: list[Request] = []
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._server = socket.create_server(("127.0.0.1", port))
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        port = self._server.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that it received, repetitions included."""
        return [request.json for request in list(self.requests) if request.path.endswith("/events")]

    def left_alone(self, seconds: float = 30) -> bool:
        """Return whether its clients close all connections within a time."""
        deadline = time.monotonic() + seconds
        for thread in self._threads[1:]:  # the first one accepts
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads[1:])

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="lying-hub", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(60)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            with sock:
                while self._one(sock):
                    pass

    def _one(self, sock: socket.socket) -> bool:
        """Answer one request; return whether another may follow."""
        if self._tls is None and not sock.recv(1, socket.MSG_PEEK):
            return False
        with self._lock:
            answer = self.answers.popleft() if self.answers else None
        request = Request("", "", "", {}, b"")
        if answer is None or answer.read:
            read = _request(sock)
            if read is None:
                return False
            request = read
            self.requests.append(request)
        (answer or self.choose(request)).act(Talk(sock, request, self._over))
        return True


def _request(sock: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        part = sock.recv(65536)
        if not part:
            return None
        body += part
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body)


def self_signed(folder: Path) -> Path:
    """Return a file with a key and a self-signed certificate for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a hub of the tests")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "hub.pem"
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


class ServedHub:
    """``sandboxer hub serve`` as a process, with its file in ``folder``; it can be stopped and restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return once it listens."""
        self._folder.mkdir(exist_ok=True)
        words = [PROGRAM, "hub", "serve", "--listen", f"127.0.0.1:{self._port}", "--token", "env:STATE_HUB_TOKEN"]
        words += ["--database", str(self._folder / "hub.sqlite")]
        process = self._process = subprocess.Popen(
            words,
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "STATE_HUB_TOKEN": TOKEN},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline() if select.select([process.stdout], [], [], LISTEN_SECONDS)[0] else ""
        assert line == f"State Hub on {self.url}/\n", line

    def stop(self) -> None:
        """Stop it, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0

    def ask(self, path: str, **query: str | int) -> Any:
        """Return the JSON of its response to a query."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(self.url + path, params=query, headers=headers, timeout=30, trust_env=False)
        return answer.raise_for_status().json()

    def events(self, **query: str | int) -> list[dict[str, Any]]:
        """Return all matching events, in the order of arrival."""
        found: list[dict[str, Any]] = []
        after: dict[str, str | int] = {}
        while True:
            page = self.ask("/events", limit=1000, **query, **after)
            found += page["events"]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    def duplicates(self) -> int:
        """Return how many of the events received since its start it already had."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        text = httpx.get(f"{self.url}/metrics", headers=headers, timeout=30, trust_env=False).raise_for_status().text
        found = re.search(r'^sandboxer_hub_events_total\{status="duplicate"\} (\S+)$', text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def sandboxes(self, **query: str | int) -> dict[str, dict[str, Any]]:
        """Return its state of the sandboxes, by name."""
        return {one["name"]: one for one in self.ask("/sandboxes", **query)["sandboxes"]}
