"""Manifests as read: each document with its place in its file, and all of them with what was found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from sandboxer.model.diagnostic import Diagnostic, Location
    from sandboxer.model.manifest import AnyManifest, Extension, Fleet, Host, Profile, Sandbox

    class Locator(Protocol):
        """Tells where in its file a part of a document stands."""

        def find(self, path: tuple[str | int, ...]) -> Location | None:
            """Return the place of exactly this part; None where the document does not say it."""

        def nearest(self, path: tuple[str | int, ...]) -> Location:
            """Return the place of this part, or of the nearest that encloses it."""

        def text(self, path: tuple[str | int, ...]) -> str | None:
            """Return the scalar at ``path`` as it is written; None where there is none."""

        def span(self, path: tuple[str | int, ...], *, of_key: bool = False) -> tuple[Location, int]:
            """Return the place and width of the value at ``path`` (or of its key), or of the nearest that encloses it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a known kind.

    ``value`` is what it says, as plain mappings, lists and scalars; comments, order and quoting are gone. ``model`` is
    None where it has errors. Paths are of YAML keys and list indices: ``("spec", "ttl")``.
    """

    kind: str
    name: str | None
    file: str
    value: Mapping[str, Any]
    model: AnyManifest | None
    places: Locator = field(repr=False, compare=False)

    def find(self, path: tuple[str | int, ...]) -> Location | None:
        """Return where the value at ``path`` was set; None where the document leaves it to a default."""
        return self.places.find(path)

    def locate(self, path: tuple[str | int, ...] = ()) -> Location:
        """Return where ``path`` is, or else the nearest part that encloses it; the document's start for ``()``."""
        return self.places.nearest(path)


@dataclass(frozen=True, slots=True)
class Manifests:
    """All manifests of a fleet at one revision. Only documents without errors are in the mappings, by name.

    ``extensions`` also holds those that ship with Sandboxer, where no document describes them anew.
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
        """Return the models without their documents, which know the place of every value and take much memory."""
        return replace(self, documents=(), diagnostics=())

    def document(self, kind: str, name: str) -> Document | None:
        """The document that says this kind and name; None where there is none, as for a built-in extension."""
        return next((found for found in self.documents if found.kind == kind and found.name == name), None)
