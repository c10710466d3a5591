"""``python -m scripts.duplicates [FOLDER]``: report duplicated code, of twelve equal lines or more.

Only statements count. Blank lines, comments, docstrings and imports are left out, and so are declarations: signatures
with their decorators, and the lines of a module or a class outside of any function. Indentation is ignored.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RUN = 12
_COMMENTS = {".sh": ("#",), ".js": ("//", "/*", "*", "import ")}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two locations with the same ``length`` lines of code, each as a file and its first line number."""

    first: tuple[str, int]
    second: tuple[str, int]
    length: int

    def __str__(self) -> str:
        (one, line), (other, at) = self.first, self.second
        return f"{one}:{line}: {self.length} lines of code stand at {other}:{at} too"


def code(name: str, text: str) -> list[tuple[int, str]]:
    """Return the statements of a file as lines, each with its number and without its indentation."""
    lines = list(enumerate((line.strip() for line in text.splitlines()), start=1))
    if name.endswith(".py"):
        kept = _inside_functions(ast.parse(text))
        return [(number, line) for number, line in lines if number in kept and line and not line.startswith("#")]
    comments = _COMMENTS[Path(name).suffix]
    return [(number, line) for number, line in lines if line and not line.startswith(comments)]


def _inside_functions(tree: ast.Module) -> set[int]:
    kept, dropped = set[int](), set[int]()
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            begin = min(each.lineno for each in (node, *node.decorator_list))
            dropped.update(range(begin, node.body[0].lineno))
            kept.update(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
        if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_text(node):
            dropped.update(range(node.lineno, (node.end_lineno or 0) + 1))
    return kept - dropped


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def duplicates(files: Iterable[tuple[str, str]], run: int = RUN) -> Iterator[Duplicate]:
    """Yield each pair of locations with ``run`` or more equal lines, of files given as name and text; each run once."""
    sources = {name: code(name, text) for name, text in files}
    positions: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for name, lines in sources.items():
        for at in range(len(lines) - run + 1):
            positions.setdefault(tuple(line for _, line in lines[at : at + run]), []).append((name, at))
    for same in positions.values():
        first, *others = same
        for second in others:
            before = (first[0], first[1] - 1), (second[0], second[1] - 1)
            if _equal(sources, *before, 1):
                continue  # the middle of a longer run that was already reported
            length = run
            while _equal(sources, first, second, length + 1):
                length += 1
            yield Duplicate(*((name, sources[name][at][0]) for name, at in (first, second)), length)


def _equal(
    sources: dict[str, list[tuple[int, str]]], first: tuple[str, int], second: tuple[str, int], length: int
) -> bool:
    runs = []
    for name, at in (first, second):
        if at < 0 or at + length > len(sources[name]):
            return False
        runs.append([line for _, line in sources[name][at : at + length]])
    return runs[0] == runs[1]


def main(arguments: list[str]) -> int:
    """Print each duplicate below a folder, by default the product's; return 1 if there is any."""
    folder = Path(arguments[0] if arguments else "sandboxer")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".py", *_COMMENTS})
    found = list(duplicates((str(path), path.read_text(encoding="utf-8")) for path in paths))
    for one in found:
        sys.stderr.write(f"{one}\n")
    if found:
        sys.stderr.write("hint: give it one place and a name of its own\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
