"""``make faults``: runs the whole fault matrix, and writes the table of docs/reliability.md from what it found.

``python -m scripts.faults --from FILE`` writes the table from the figures of earlier runs, which tests add to the
file that ``SANDBOXER_FAULTS_FIGURES`` names; of several runs of one test the last counts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.stage import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = REPOSITORY / "docs/reliability.md"
TESTS = REPOSITORY / "tests/faults"
TITLES = ("fault", "must hold", "broken", "leaked", "doubled", "what was measured", "seconds")
_TABLE = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- end -->)", re.DOTALL)
_TOTAL = "all of them"
_ROW = re.compile(rf"^\| (?!fault \||--- \||{_TOTAL} \|)(?P<fault>.*?) \| (?P<must>.*?) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Figures:
    """Combined figures of the tests of one row."""

    broken: int
    leaked: int
    doubled: int
    found: tuple[str, ...]
    seconds: float


def rows() -> dict[str, str]:
    """Return every row that has a test: the fault, and what must hold."""
    found = {}
    for file in sorted(TESTS.glob("test_*.py")):
        module = importlib.import_module(f"tests.faults.{file.stem}")
        given = getattr(module, "pytestmark", [])
        marks = list(given if isinstance(given, list) else [given])
        marks += [mark for thing in vars(module).values() for mark in getattr(thing, "pytestmark", ())]
        found.update({mark.args[0]: mark.args[1] for mark in marks if mark.name == "fault"})
    return found


def shown(page: str) -> dict[str, str]:
    """Return the rows of the page's table, in its order."""
    table = _TABLE.search(page)
    return {match["fault"]: match["must"] for match in _ROW.finditer(table[0])} if table else {}


def read(lines: Iterable[str]) -> tuple[dict[str, Figures], list[str]]:
    """Return the figures by fault, and the tests that failed or were not run in full."""
    last: dict[str, dict[str, Any]] = {}
    for line in lines:
        test = json.loads(line)
        last[test["test"]] = test
    wrong = [
        f"failed, or not run in full: {name}" for name, test in last.items() if not (test["passed"] and test["full"])
    ]
    by_fault: dict[str, list[dict[str, Any]]] = {}
    for test in last.values():
        by_fault.setdefault(test["fault"], []).append(test)
    return {fault: _together(tests) for fault, tests in by_fault.items()}, wrong


def _together(tests: Sequence[dict[str, Any]]) -> Figures:
    return Figures(
        sum(test["broken"] for test in tests),
        sum(test["leaked"] for test in tests),
        sum(test["doubled"] for test in tests),
        tuple(dict.fromkeys(words for test in tests for words in test["found"])) + _most(tests),
        sum(test["seconds"] for test in tests),
    )


def _most(tests: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    most: dict[str, float] = {}
    for test in tests:
        for what, figure in test["most"].items():
            most[what] = max(figure, most.get(what, figure))
    return tuple("at most " + what.format(figure) for what, figure in most.items())


def page(text: str, figures: dict[str, Figures], musts: dict[str, str]) -> str:
    """Return the page with its table regenerated: existing rows keep their order, new ones follow."""
    order = [fault for fault in shown(text) if fault in musts]
    order += [fault for fault in musts if fault not in order]
    lines = [_line(TITLES), _line(["---"] * len(TITLES))]
    for fault in order:
        one = figures[fault]
        words = "; ".join(one.found).replace("|", "\\|")
        lines.append(
            _line([fault, musts[fault], f"{one.broken:,}", one.leaked, one.doubled, words, f"{one.seconds:.0f}"])
        )
    every = figures.values()
    total = [sum(getattr(one, key) for one in every) for key in ("broken", "leaked", "doubled")]
    seconds = f"{sum(one.seconds for one in every):.0f}"
    lines.append(_line([_TOTAL, "", f"{total[0]:,}", *total[1:], f"on {os.cpu_count()} cores", seconds]))
    return _TABLE.sub(lambda _: "\n".join(lines) + "\n", text)


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def run(figures: Path, arguments: Sequence[str]) -> int:
    """Run every row in full, and return pytest's exit code."""
    env = os.environ | {"SANDBOXER_FAULTS": "full", "SANDBOXER_FAULTS_FIGURES": str(figures)}
    command = [sys.executable, "-m", "pytest", "-m", "lab", str(TESTS), *arguments]
    return subprocess.run(command, env=env, cwd=REPOSITORY, check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Run the matrix, or take earlier figures, and write the table; return 1 if a row failed or is missing."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument("--from", dest="file", type=Path, metavar="FILE", help="figures of earlier runs")
    given, arguments = parser.parse_known_args(argv)  # the rest is pytest's
    with tempfile.TemporaryDirectory() as folder:
        file = given.file or Path(folder, "figures.jsonl")
        failed = 0 if given.file else run(file, arguments)
        figures, wrong = read(file.read_text(encoding="utf-8").splitlines() if file.exists() else ())
    musts = rows()
    wrong += [f"no figures: {fault}" for fault in musts if fault not in figures]
    if failed or wrong:
        sys.stderr.writelines(f"faults: {problem}\n" for problem in [*wrong, f"{PAGE.name} is left as it was"])
        return 1
    text = PAGE.read_text(encoding="utf-8")
    written = page(text, {fault: figures[fault] for fault in musts}, musts)
    PAGE.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
