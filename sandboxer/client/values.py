"""What the library gives: a sandbox that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sandboxer.client.client import Client
    from sandboxer.model.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that is there: its ``handle``, as ``sandboxer get -o json`` writes it. As a context manager it ends."""

    client: Client
    handle: JsonObject

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.handle["id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.handle["name"])

    def destroy(self) -> None:
        """Removes it; raises as Client.destroy does."""
        self.client.destroy(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()
