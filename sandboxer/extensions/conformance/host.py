"""Inspection of a host by the suite itself, with separate commands: files, journals, processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.model.protocols import HostTransport


class HostView:
    """A host as the suite inspects it. ``root`` is the folder of all sandboxes there."""

    def __init__(self, transport: HostTransport, root: str) -> None:
        self._transport = transport
        self.root = root

    def entries(self, path: str = "") -> Mapping[str, str]:
        """Return everything below a path of the root, with its type, mode, size, time of change, and target."""
        words = self._run("entries", path).split("\0")
        return dict(zip(words[::2], words[1::2], strict=False))

    def sums(self, path: str) -> Mapping[str, str]:
        """Return the SHA-256 of every file below a path of the root."""
        found = {}
        for line in self._run("sums", path).split("\0"):
            digest, _, name = line.partition("  ")
            if name:
                found[name.removeprefix("./")] = digest
        return found

    def read(self, path: str) -> bytes:
        """Return the content of a file below the root; nothing where it is not."""
        return os.fsencode(self._run("read", path))

    def write(self, path: str, content: str) -> None:
        """Write a file of one line below the root, with its folders."""
        self._run("write", path, content)

    def remove(self, path: str) -> None:
        """Remove what is at a path of the root."""
        self._run("remove", path)

    def pwned(self, name: str) -> list[str]:
        """Return the files of this name in the root, /tmp, the home and where commands begin; remove them."""
        return self._run("pwned", name).splitlines()

    def processes(self, mark: str) -> list[str]:
        """Return the command lines of processes that contain a text; those of the suite's own command do not."""
        return [line for line in self._run("processes", mark).split("\n") if mark in line]

    def _run(self, what: str, argument: str, content: str = "") -> str:
        command = host_command(
            "prelude.sh",
            "sandboxer.extensions.conformance:host.sh",
            timeout=60,
            root=self.root,
            what=what,
            argument=argument,
            content=content,
        )
        result = self._transport.run(command)
        if result.exit_code:
            raise SandboxerError(f"the suite's own command `{what}` failed: {os.fsdecode(result.stderr).strip()}")
        return os.fsdecode(result.stdout)
