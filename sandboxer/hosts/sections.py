"""Splits a script's output at the marks that it prints: a fresh nonce, which nothing on the host can imitate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sections:
    """The output of a script, split at its nonce: ``(name, argument, body)`` in order."""

    def __init__(self, output: bytes, nonce: str) -> None:
        mark = f"\n@{nonce} ".encode()
        self._parts = [_section(part) for part in output.split(mark)[1:]]

    @property
    def complete(self) -> bool:
        """Whether the script ran to its end."""
        return bool(self._parts) and self._parts[-1][0] == "end"

    def __iter__(self) -> Iterator[tuple[str, str, bytes]]:
        return iter(self._parts)

    def body(self, name: str) -> bytes | None:
        """Return the body of the last section of that name; None if there is none."""
        return next((body for found, _, body in reversed(self._parts) if found == name), None)


def _section(part: bytes) -> tuple[str, str, bytes]:
    head, _, body = part.partition(b"\n")
    name, _, argument = head.decode("utf-8", "replace").partition(" ")
    return name, argument, body
