"""Code that stands in two places is found by what it does: its layout, comments and declarations aside."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from scripts.duplicates import RUN, Duplicate, code, duplicates
from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

STEPS = [f"step_{number}(value)" for number in range(RUN)]


def function(name: str, *steps: str, indent: str = "    ") -> str:
    return "".join([f"def {name}(value: int) -> None:\n", *(f"{indent}{step}\n" for step in steps)])


def test_twelve_equal_lines_are_found_whatever_their_indentation() -> None:
    one = "import os\n\n\n" + function("one", *STEPS)
    other = function("other", "before()", "if value:", *(f"    {step}" for step in STEPS), "after()")
    assert list(duplicates([("a.py", one), ("b.py", other)])) == [Duplicate(("a.py", 5), ("b.py", 4), RUN)]


def test_a_longer_run_is_reported_once_and_in_one_file_too() -> None:
    more = [*STEPS, "last_1(value)", "last_2(value)"]
    text = function("one", *more) + function("other", *more)
    assert list(duplicates([("a.py", text)])) == [Duplicate(("a.py", 2), ("a.py", 17), RUN + 2)]


def test_eleven_are_none() -> None:
    text = function("one", *STEPS[:-1])
    assert list(duplicates([("a.py", text), ("b.py", text)])) == []


def test_blank_lines_comments_and_docstrings_hide_nothing_and_are_nothing() -> None:
    spread = [line for step in STEPS for line in (step, "", "# why")]
    pair = [("a.py", function("one", *STEPS)), ("b.py", function("other", '"""Why."""', *spread))]
    assert [found.length for found in duplicates(pair)] == [RUN]
    comments = "".join(f"    # line {number}\n" for number in range(20))
    text = "def one() -> None:\n" + comments + "    work()\n"
    assert list(duplicates([("a.py", text), ("b.py", text)])) == []


def test_imports_and_declarations_are_left_out() -> None:
    imports = "".join(f"from package import name_{number}\n" for number in range(20))
    fields = "class Row:\n" + "".join(f"    field_{number}: int = {number}\n" for number in range(20))
    options = "".join(f'@option("--word-{number}")\n' for number in range(20))
    inside = "def one(\n" + "".join(f"    name_{n}: int,\n" for n in range(20)) + ") -> int:\n    return 1\n"
    text = imports + fields + options + inside
    assert [line for _, line in code("a.py", text)] == ["return 1"]
    assert list(duplicates([("a.py", text), ("b.py", text)])) == []


def test_scripts_of_hosts_and_of_the_page_count_too() -> None:
    text = "# what it does\n" + "\n".join(STEPS) + "\n"
    assert [found.first for found in duplicates([("a.sh", text), ("b.sh", text)])] == [("a.sh", 2)]
    text = 'import { one } from "./one.js";\n// what it does\n' + "\n".join(STEPS) + "\n"
    assert [found.first for found in duplicates([("a.js", text), ("b.js", text)])] == [("a.js", 3)]


def test_the_check_names_both_positions_and_fails(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(function(name, *STEPS), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.duplicates", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"{tmp_path}/one.py:2: {RUN} lines of code stand at {tmp_path}/other.py:2 too" in done.stderr
