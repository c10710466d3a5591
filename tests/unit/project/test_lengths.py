"""No file has more than 400 lines, and no function more than 60."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scripts.lengths import EXEMPT, MAX_FILE, MAX_FUNCTION, problems, python_functions, shell_functions, too_long
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from pathlib import Path

LONG = MAX_FUNCTION - 1  # lines of a body, one more than fits behind the line with the name


def python(lines: int, head: str = "def f() -> None:", indent: str = "") -> str:
    return f"{indent}{head}\n" + f"{indent}    act()\n" * lines


def shell(lines: int, ends: str = "{}") -> str:
    return f"f() {ends[0]} # words\n" + "    act\n" * lines + f"{ends[1]}\n"


@pytest.mark.parametrize("name", ["a.py", "a.sh", "a.js", "a.css", "a.html", "docs/a.md"])
def test_a_file_over_the_limit_is_found(name: str) -> None:
    assert list(too_long(name, "x\n" * MAX_FILE)) == []
    assert list(too_long(name, "x\n" * (MAX_FILE + 1))) == [f"{name}: has 401 lines; the limit is 400"]


@pytest.mark.parametrize(
    ("name", "fits", "text"),
    [
        ("a.py", python(LONG), python(LONG + 1)),
        ("a.py", python(LONG, "async def f() -> None:"), python(LONG + 1, "async def f() -> None:")),
        ("a.py", "class A:\n" + python(LONG, indent="    "), "class A:\n" + python(LONG + 1, indent="    ")),
        ("a.py", "@once\n" + python(LONG), "@once\n" + python(LONG + 1)),
        ("a.sh", shell(LONG - 1), shell(LONG)),
        ("a.sh", shell(LONG - 1, "()"), shell(LONG, "()")),
    ],
)
def test_a_function_over_the_limit_is_found(name: str, fits: str, text: str) -> None:
    assert list(too_long(name, fits)) == []
    (found,) = too_long(name, text)
    assert found.endswith(": f has 61 lines; the limit is 60")


def test_every_function_of_a_file_is_measured() -> None:
    outer = "def outer() -> None:\n    def inner() -> None:\n        act()\n\n    inner()\n"
    assert sorted(python_functions(outer)) == [("inner", 2, 2), ("outer", 1, 5)]
    script = "one() { act; }\ntwo() {\n    if x; then {\n        y\n    }; fi\n}\n"
    script += "three() (\n    z\n)\nfour() { # words (more)\n    w\n}\n"
    assert list(shell_functions(script)) == [("two", 2, 5), ("three", 7, 3), ("four", 10, 3)]


def test_what_is_tracked_is_measured(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "repo")
    repo.commit({"good.py": python(2), "long.py": python(LONG + 1), "other.txt": "x\n" * 500})
    repo.write("untracked.py", python(LONG + 1))
    assert [line.partition(":")[0] for line in problems(repo.path)] == ["long.py"]
    command = [sys.executable, "-m", "scripts.lengths", str(repo.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "long.py:1: f has 61 lines; the limit is 60" in done.stderr


@pytest.mark.parametrize("name", EXEMPT)
def test_a_page_without_a_limit_exists(name: str) -> None:
    assert (ROOT / name).is_file()
