"""``python -m scripts.lengths [FOLDER]``: reject long files and long functions among what git tracks.

Code, tests and scripts included, and pages have at most 400 lines; a function of Python or of the shell has at most
60, from its name to its last line. A function inside another counts for itself and as part of that one.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE = 400
MAX_FUNCTION = 60
SUFFIXES = {".py", ".sh", ".js", ".css", ".html", ".md"}
EXEMPT = {
    "CHANGELOG.md": "grows with each release",
    "docs/library-reference.md": "is generated (scripts/library.py)",
    "docs/manifests.md": "is a reference of one section per kind, half of it generated tables (scripts/fields.py)",
}
_SHELL_FUNCTION = re.compile(r"(?P<indent>\s*)(?P<name>\w+) ?\(\) ?[{(](?!.*; \}$)")


def problems(root: Path) -> Iterator[str]:
    """Yield a line for each long file and each long function in the repository at ``root``.

    Raise subprocess.CalledProcessError if that is no repository.
    """
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True, timeout=60)
    for name in filter(None, listed.stdout.decode("utf-8", "surrogateescape").split("\0")):
        path = root / name
        if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink():
            yield from too_long(name, path.read_text(encoding="utf-8"))


def too_long(name: str, text: str) -> Iterator[str]:
    """Yield a line for the file, if it is too long, and for each function in it that is."""
    lines = len(text.splitlines())
    if lines > MAX_FILE and name not in EXEMPT:
        yield f"{name}: has {lines} lines; the limit is {MAX_FILE}"
    kinds = {".py": python_functions, ".sh": shell_functions}
    for function, line, length in kinds.get(Path(name).suffix, lambda _: iter(()))(text):
        if length > MAX_FUNCTION:
            yield f"{name}:{line}: {function} has {length} lines; the limit is {MAX_FUNCTION}"


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each function of a module: its name, its first line, and the number of its lines without decorators."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def shell_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each function of a shell script that is longer than a line, as ``python_functions`` does.

    It ends at the first bracket that closes a line of the same indentation.
    """
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if (begin := _SHELL_FUNCTION.match(line)) is not None:
            ends = [begin["indent"] + bracket for bracket in "})"]
            last = next((i for i in range(at + 1, len(lines)) if lines[i].startswith(tuple(ends))), len(lines) - 1)
            yield begin["name"], at + 1, last - at + 1


def main(arguments: list[str]) -> int:
    """Print every problem of the repository in a folder, by default the current one; return 1 if there is any."""
    found = list(problems(Path(arguments[0] if arguments else ".")))
    for line in found:
        sys.stderr.write(f"{line}\n")
    if found:
        sys.stderr.write("hint: give a part of it a name and a place of its own\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
