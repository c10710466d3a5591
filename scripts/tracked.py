"""``python -m scripts.tracked [FOLDER]``: reject large files and binaries in git, except the docs' pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAX_BYTES = 1024 * 1024
PICTURES = "docs/images/"
_START = 8000  # git also checks as many bytes for a NUL


def problems(root: Path) -> list[str]:
    """Return a line for each tracked file that does not belong in the repository at ``root``.

    Raise subprocess.CalledProcessError if that is no repository.
    """
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True, timeout=60)
    names = [name.decode("utf-8", "surrogateescape") for name in listed.stdout.split(b"\0") if name]
    return [f"{name}: {why}" for name in names if (why := _problem(root / name, name))]


def _problem(path: Path, name: str) -> str:
    if (
        path.is_symlink() or not path.is_file()
    ):  # a link's text is short, and a file may be removed and not yet committed
        return ""
    size = path.stat().st_size
    if size > MAX_BYTES:
        return f"has {size:,} bytes; the limit is {MAX_BYTES:,}"
    with path.open("rb") as file:
        binary = b"\0" in file.read(_START)
    return f"is binary; only pictures below {PICTURES} may be" if binary and not name.startswith(PICTURES) else ""


def main(arguments: list[str]) -> int:
    """Print every problem of the repository in a folder, by default the current one; return 1 if there is any."""
    found = problems(Path(arguments[0] if arguments else "."))
    for line in found:
        sys.stderr.write(f"{line}\n")
    if found:
        sys.stderr.write("hint: take it out of git (git rm --cached FILE), and add its kind to .gitignore\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
