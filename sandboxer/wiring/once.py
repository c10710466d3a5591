"""Methods of frozen objects that are computed once: git is read at the first use, and never again in a run."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Caching(Protocol):
    """An object with a place for what its methods have computed."""

    @property
    def kept(self) -> dict[str, Any]:
        """The results, by the method's name."""


K = TypeVar("K", bound=Caching)
T = TypeVar("T")


def once(method: Callable[[K], T]) -> Callable[[K], T]:
    """Return the method with its first result kept. An error is not kept: the next call tries again."""
    name = method.__name__

    @wraps(method)
    def kept(self: K) -> T:
        if name not in self.kept:
            self.kept[name] = method(self)
        found: T = self.kept[name]
        return found

    return kept
