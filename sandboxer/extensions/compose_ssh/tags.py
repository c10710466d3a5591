"""Carries out ``!reset`` and ``!override`` before podman-compose reads a file, because it treats them differently.

As in Compose: a tagged value counts in its own file as it is written there, and removes what the files before it have
at the same path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.plain_yaml import OVERRIDE, Tagged

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TAGS = 1000
MAX_STEPS = 100_000

Path = tuple[str, ...]


def carried_out(documents: Iterable[Any]) -> list[Any]:
    """Return the documents, in the order in which they are merged, without any tag.

    Raise ValueError if a tag is below something that an earlier document does not write as a mapping.
    """
    done: list[Any] = []
    for document in documents:
        stripping = _Stripping()
        own = stripping.stripped(document, ())
        for path in stripping.paths:
            done = [_without(earlier, path) for earlier in done]
        done.append(own)
    return done


class _Stripping:
    def __init__(self) -> None:
        self.paths: list[Path] = []
        self._plain: dict[int, Any] = {}
        self._steps = 0

    def stripped(self, value: Any, path: Path) -> Any:
        """Return a mapping without tags, and note the paths of those that it had."""
        if not isinstance(value, dict) or id(value) in self._plain:
            return value
        self._steps += len(value) + 1
        if self._steps > MAX_STEPS:
            raise ValueError(f"needs more than {MAX_STEPS} steps to carry its tags out; make it smaller")
        before, result = len(self.paths), {}
        for key, item in value.items():
            here = (*path, key)
            if isinstance(item, Tagged):
                self.paths.append(here)
                if len(self.paths) > MAX_TAGS:
                    raise ValueError(f"has more than {MAX_TAGS} tags")
                if item.tag == OVERRIDE:
                    result[key] = self.stripped(item.value, here)
            else:
                result[key] = self.stripped(item, here)
        if len(self.paths) == before:
            self._plain[id(value)] = value
            return value
        return result


def _without(value: Any, path: Path) -> Any:
    if value is None or (isinstance(value, dict) and path[0] not in value):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"resets {'.'.join(path)}, but another file has no mapping there; write it as a mapping")
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return value | {path[0]: _without(value[path[0]], path[1:])}
