"""The page's files from the package: read once, and identified by their digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.responses import Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, and its path on the server."""

    path: str
    content: bytes
    media_type: str
    etag: str

    def answer(self, known: str | None) -> Response:
        """Return the file, or an empty response if the reader's ``known`` version is current."""
        # Revalidated each time: a page and a script of two releases do not fit together.
        headers = {"ETag": self.etag, "Cache-Control": "no-cache"}
        if known is not None and self.etag in known:
            return Response(None, 304, headers)
        return Response(self.content, 200, headers, self.media_type)


def page_files() -> list[PageFile]:
    """Return all files of the page; ``index.html`` is at ``/``."""
    found = []
    for file in sorted(files("sandboxer.hub").joinpath("page").iterdir(), key=lambda one: one.name):
        suffix = file.name[file.name.rfind(".") :]
        if suffix in _TYPES:
            content = file.read_bytes()
            path = "/" if file.name == "index.html" else f"/{file.name}"
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found.append(PageFile(path, content, _TYPES[suffix], etag))
    return found
