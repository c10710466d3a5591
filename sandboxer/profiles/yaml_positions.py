"""The positions of the parts of a YAML document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandboxer.errors.diagnostic import Location

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """A value and its position (lines and columns from 0). ``key`` is the position of the key that it belongs to."""

    value: Any
    line: int
    column: int
    width: int = 1
    children: dict[str | int, Node] | None = None
    key: tuple[int, int, int] | None = None
    text: str | None = None
    size: int = 1
    height: int = 1

    def belong_to(self, key: tuple[int, int, int]) -> None:
        """Note the position of its key."""
        self.key = key


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of the parts of one document."""

    file: str
    root: Node

    def node(self, path: Path) -> Node | None:
        """Return the node at ``path``; None without one."""
        node: Node | None = self.root
        for step in path:
            if node is None or node.children is None:
                return None
            node = node.children.get(step)
        return node

    def span(self, path: Path, *, of_key: bool = False) -> tuple[Location, int]:
        """Return the position and width of the value (or key) at ``path``, or of the nearest one around it."""
        node = self.node(path)
        while node is None:
            path, of_key = path[:-1], True
            node = self.node(path)
        # An empty value has no width, and a block's value begins at its first child: readers look for its key.
        keyed = of_key or node.children is not None or (node.value is None and not node.text)
        if keyed and node.key is not None:
            line, column, width = node.key
            return Location(self.file, line + 1, column + 1), width
        return Location(self.file, node.line + 1, node.column + 1), node.width

    def text(self, path: Path) -> str | None:
        """Return the scalar at ``path`` as written, without quotes; None where no scalar is there."""
        node = self.node(path)
        return None if node is None else node.text

    def find(self, path: Path) -> Location | None:
        """Return the position of exactly this part; None where the document does not contain it."""
        return None if self.node(path) is None else self.span(path, of_key=True)[0]

    def nearest(self, path: Path) -> Location:
        """Return the position of this part, or of the nearest one that encloses it."""
        return self.span(path, of_key=True)[0]
