"""The runner's own secrets: the values of a manifest's `env:NAME` and `file:PATH` on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.errors import UsageError
from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden

if TYPE_CHECKING:
    from sandboxer.model.manifest import SecretRef


def secret_of(reference: SecretRef, root: Path, *, read: bool) -> SecretValue:
    """Return whether this machine has the secret, and with ``read`` its value.

    A relative path is relative to the fleet's ``root``. Raise UsageError if it exists and cannot be read as text.
    """
    kind, _, where = reference.from_.partition(":")
    path = root / Path(where).expanduser()
    present = where in os.environ if kind == "env" else path.is_file()
    value = None
    if present and read:
        try:
            value = Hidden(os.environ[where] if kind == "env" else path.read_bytes().decode().rstrip("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"the secret {reference.name} cannot be read from {reference.from_}: {error}",
                hint="use a text file that this user can read",
            ) from None
    return SecretValue(reference.name, reference.from_, present, value)
