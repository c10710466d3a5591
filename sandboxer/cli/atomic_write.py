"""Atomic writes of a command's files: complete or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from sandboxer.errors import UsageError


def write_atomically(option: str, name: str, data: bytes) -> None:
    """Write the file of this name, which ``option`` names. Raise UsageError if that is not possible.

    The previous file stays until the new one is complete beside it; a symbolic link stays, and its target is written.
    """
    path = Path(os.path.realpath(name))
    beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{option} {name}: not a regular file", hint="choose a file")
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            with suppress(OSError):
                beside.unlink()
    except OSError as error:
        hint = "choose a file in a writable folder"
        raise UsageError(f"{option} {name}: {error.strerror or error}", hint=hint) from None
