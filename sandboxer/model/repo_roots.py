"""The repositories that a request from elsewhere may use: URLs and directories compared by whole segments.

Nothing here accesses the file system: a directory is compared as written, and its reader follows the links in its path.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

#: The fleet's own repository, which every request may use.
OWN = "."

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/@]*)@)?(?P<host>[^/:@\[\]]+|\[[^\]/]+\])(?::(?P<port>\d+))?(?P<path>/.*)?"
)
_SCP = re.compile(r"(?:(?P<user>[^/:@]+)@)?(?P<host>[^/:@\[\]]+):(?P<path>.*)")
_PORTS = {"https": "443", "ssh": "22"}
_ODD = re.compile(r"[%\\?#\x00-\x20\x7f]")  # some servers read these as something else


@dataclass(frozen=True, slots=True)
class Location:
    """A repository location: ``server`` is (scheme, user, host, port), empty for a directory; ``path`` its segments."""

    server: tuple[str, ...]
    path: tuple[str, ...]

    def holds(self, other: Location) -> bool:
        """Return whether another location is this one, or below it."""
        return self.server == other.server and other.path[: len(self.path)] == self.path


def location_of(repo: str, base: str) -> Location | None:
    """Return the location that ``repo`` names, a directory relative to ``base``.

    None where it could be read in two ways.
    """
    if url := _URL.fullmatch(repo):
        scheme = url["scheme"].lower()
        server = (scheme, url["user"] or "", url["host"].lower().rstrip("."), url["port"] or _PORTS.get(scheme, ""))
        return _with_path(server, url["path"] or "")
    if "://" in repo or "::" in repo.partition("/")[0]:
        return None
    if scp := _SCP.fullmatch(repo):
        # Such a path is relative to the user's home there, unless it begins with a slash.
        kind = "ssh" if scp["path"].startswith("/") else "scp"
        return _with_path((kind, scp["user"] or "", scp["host"].lower().rstrip("."), _PORTS["ssh"]), scp["path"])
    if ".." in repo.split("/"):
        return None
    return Location((), tuple(part for part in posixpath.normpath(posixpath.join(base, repo)).split("/") if part))


def root_of(root: str, base: str) -> Location | None:
    """Return the location of an entry of the Fleet, which may contain ``..`` as the fleet's owner wrote it."""
    found = location_of(root, base)
    if found is not None or "://" in root or _SCP.fullmatch(root):
        return found
    return Location((), tuple(part for part in posixpath.normpath(posixpath.join(base, root)).split("/") if part))


def _with_path(server: tuple[str, ...], path: str) -> Location | None:
    parts = path.strip("/").split("/") if path.strip("/") else []
    if _ODD.search(path) or any(part in ("", ".", "..") for part in parts):
        return None
    return Location(server, tuple(parts))
