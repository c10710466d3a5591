"""A name server for a host of the lab, on its loopback alone, that records every requested name.

``python3 -`` runs this file there: it needs Python alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from pathlib import Path


def request(query: bytes) -> tuple[str, int]:
    """Return the name in a query, and where its question ends."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "backslashreplace"))
        at += 1 + query[at]
    return ".".join(labels), at + 5


def answered(query: bytes, log: str) -> bytes:
    """Return the answer to a query: one address, whatever the name."""
    name, end = request(query)
    kind = struct.unpack(">H", query[end - 4 : end - 2])[0]
    with Path(log).open("a") as file:
        file.write(f"{name} {kind}\n")
    if kind != 1:
        return query[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + query[12:end]
    address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 9])
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + address


def _serve_tcp(listener: socket.socket, log: str) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError, IndexError, struct.error):
            length = struct.unpack(">H", connection.recv(2))[0]
            reply = answered(connection.recv(length), log)
            connection.sendall(struct.pack(">H", len(reply)) + reply)


def main(log: str) -> None:
    """Answer until killed."""
    with socket.create_server(("127.0.0.1", 53)) as listener, socket.socket(type=socket.SOCK_DGRAM) as server:
        threading.Thread(target=_serve_tcp, args=(listener, log), daemon=True).start()
        server.bind(("127.0.0.1", 53))
        print(os.getpid(), flush=True)
        while True:
            query, client = server.recvfrom(4096)
            with contextlib.suppress(IndexError, struct.error):
                server.sendto(answered(query, log), client)


if __name__ == "__main__":
    main(sys.argv[1])
