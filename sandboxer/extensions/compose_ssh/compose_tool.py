"""The Compose program on a host: Docker Compose or podman-compose, and the command that starts it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Literal

ComposeKind = Literal["docker-compose", "podman-compose"]

_BY_PROGRAM: dict[str, ComposeKind] = {
    "docker": "docker-compose",
    "docker-compose": "docker-compose",
    "podman": "podman-compose",
    "podman-compose": "podman-compose",
}


@dataclass(frozen=True, slots=True)
class ComposeTool:
    """Docker Compose or podman-compose, found out once on the host; ``argv`` are the words that start it there."""

    kind: ComposeKind
    argv: tuple[str, ...]

    @property
    def podman(self) -> bool:
        """Whether it is podman-compose, which reads and starts a stack in its own way."""
        return self.kind == "podman-compose"

    @property
    def command(self) -> str:
        """The words in one line, for messages and for the host's scripts."""
        return " ".join(self.argv)


def kind_by_name(command: str) -> ComposeKind | None:
    """Return what a command is by the name of its program, in any directory; None if the name is another one."""
    words = command.split()
    return _BY_PROGRAM.get(posixpath.basename(words[0])) if words else None


def kind_by_version(printed: str) -> ComposeKind:
    """Return what a command is by what its ``version`` printed."""
    return "podman-compose" if "podman" in printed else "docker-compose"
