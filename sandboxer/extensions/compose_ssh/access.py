"""Who may read the file of a secret or a config in a container: the ``uid``, ``gid`` and ``mode`` of its long form.

An engine mounts such a file as it is on the host, and cannot change its owner or mode in the container. A file that is
requested with one of them is therefore a separate copy, which has them on the host too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.policy import Access

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.scope import Scope

DEFAULT = Access()
MAX_ID = (1 << 31) - 1
_OCTAL = re.compile(r"0?o?[0-7]{1,4}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)


def take_access(reference: dict[str, Any], scope: Scope) -> Access | None:
    """Take the three keys out of a reference and return them; return None where they only repeat the default."""
    given = {key: reference.pop(key, None) for key in ("mode", "uid", "gid")}
    requested = {key: value for key, value in given.items() if value not in (None, "")}
    access = Access(
        _mode(requested["mode"], scope.at("mode")) if "mode" in requested else DEFAULT.mode,
        _number(requested.get("uid"), scope.at("uid")),
        _number(requested.get("gid"), scope.at("gid")),
    )
    return None if access == DEFAULT else access


def _mode(value: Any, scope: Scope) -> int:
    """Return permission bits; text is octal, as Compose writes it."""
    if isinstance(value, str) and _OCTAL.fullmatch(value):
        value = int(value.replace("o", ""), 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    scope.refuse(f"{value!r} is not the mode of a file, such as 0440")
    return DEFAULT.mode


def _number(value: Any, scope: Scope) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID:
        return value
    scope.refuse(f"{value!r} is not a numeric user or group ID; names exist only inside the image")
    return None
