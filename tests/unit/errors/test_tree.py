"""The tree of errors in the docstring is the tree of the classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandboxer import errors

if TYPE_CHECKING:
    from collections.abc import Iterator


def documented() -> Iterator[tuple[str, str]]:
    """Yield each error of the tree in the docstring with its parent there."""
    path: list[str] = []
    for prefix, name in re.findall(r"^    ([│├└─ ]*)([A-Z]\w+)  ", errors.__doc__ or "", re.MULTILINE):
        depth = len(prefix) // 4
        del path[depth:]
        if path:
            yield name, path[-1]
        path.append(name)


def test_the_documented_tree_is_that_of_the_classes() -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.SandboxerError)]
    parents = {one.__name__: one.__bases__[0].__name__ for one in classes if one is not errors.SandboxerError}
    assert dict(documented()) == parents


def test_an_error_is_its_message_and_carries_the_rest() -> None:
    error = errors.HostUnreachable("h1", "h1 did not answer", hint="check the host")
    assert (str(error), error.host, error.hint, error.remedy) == ("h1 did not answer", "h1", "check the host", None)
