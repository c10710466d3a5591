"""``python -m scripts.links``: check every internal link and anchor of all pages.

A page may link to files of this repository and their headings, and to the few standards in ``OUTSIDE``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.markdown import anchors, links, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTSIDE = ("https://keepachangelog.com/", "https://semver.org/")


def problems(page: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each link of a page that is broken, or leads out of the repository at ``root``."""
    for link in links(page):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        location = f"{page.relative_to(root)}: {link}"
        if link.startswith("["):
            yield f"{location}: no such reference"
        elif not target.is_relative_to(root):
            yield f"{location}: leads out of the repository"
        elif not target.exists():
            yield f"{location}: no such file"
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            yield f"{location}: no such heading"


def main() -> int:
    """Print every broken link; return 1 if there is any."""
    found = [line for page in pages() for line in problems(page)]
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
