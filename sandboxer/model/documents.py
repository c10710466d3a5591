"""Manifests as read: each document with the position of its parts, and all documents with their findings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from sandboxer.errors.diagnostic import Diagnostic, Location
    from sandboxer.model.manifest import AnyManifest, Extension, Fleet, Host, Profile, Sandbox

    class Locator(Protocol):
        """The positions of a document's parts in its file."""

        def find(self, path: tuple[str | int, ...]) -> Location | None:
            """Return the position of exactly this part; None where the document does not contain it."""

        def nearest(self, path: tuple[str | int, ...]) -> Location:
            """Return the position of this part, or of the nearest one that encloses it."""

        def text(self, path: tuple[str | int, ...]) -> str | None:
            """Return the scalar at ``path`` as written; None where no scalar is there."""

        def span(self, path: tuple[str | int, ...], *, of_key: bool = False) -> tuple[Location, int]:
            """Return the position and width of the value (or key) at ``path``, or of the nearest one around it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a known kind.

    ``value`` is its content as plain mappings, lists and scalars, without comments, order and quoting. ``model`` is
    None where the document has errors. Paths consist of YAML keys and list indices: ``("spec", "ttl")``.
    """

    kind: str
    name: str | None
    file: str
    value: Mapping[str, Any]
    model: AnyManifest | None
    positions: Locator = field(repr=False, compare=False)

    def find(self, path: tuple[str | int, ...]) -> Location | None:
        """Return the position of the value at ``path``; None where the document leaves it to a default."""
        return self.positions.find(path)

    def locate(self, path: tuple[str | int, ...] = ()) -> Location:
        """Return the position of ``path``, or of the nearest part that encloses it; the document's start for ``()``."""
        return self.positions.nearest(path)


@dataclass(frozen=True, slots=True)
class Manifests:
    """All manifests of a fleet at one revision. The mappings hold, by name, only documents without errors.

    ``extensions`` also holds those that ship with Sandboxer, unless a document replaces their description.
    """

    fleet: Fleet | None
    hosts: Mapping[str, Host]
    profiles: Mapping[str, Profile]
    extensions: Mapping[str, Extension]
    sandboxes: Mapping[str, Sandbox]
    documents: tuple[Document, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(found.severity != "error" for found in self.diagnostics)

    def models(self) -> Manifests:
        """Return the models without their documents, which hold the position of every value and take much memory."""
        return replace(self, documents=(), diagnostics=())

    def document(self, kind: str, name: str) -> Document | None:
        """Return the document of this kind and name; None without one, as for a built-in extension."""
        return next((found for found in self.documents if found.kind == kind and found.name == name), None)
