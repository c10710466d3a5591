"""Under a CI system no output is a command there, whatever its source and however it is split."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandboxer.cli.ci_output import in_ci
from sandboxer.render.ci import VARIABLES, Harmless, harmless_json

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "::add-mask::x",
    "::set-output name=a::b",
    "::stop-commands::token",
    "::error file=a,line=1::b",
    "::warning::b",
    "::debug::b",
    "::group::b",
    "::endgroup::",
    "::save-state name=a::b",
    "  ::add-mask::x",
    "\t::add-mask::x",
    "\u00a0::add-mask::x",
    "\u3000\u2003::add-mask::x",
    "\x0b\x0c::add-mask::x",
    "first\r::add-mask::x",
    "first\r\n::add-mask::x",
    "first\n\n  ::add-mask::x",
    ":::add-mask::x",
    "##[add-mask]x",
    "text ##[set-env name=A]b",
    "##[error]x",
    "##[command]x",
    "##vso[task.setvariable variable=a]b",
    "web-1 | ##vso[task.setsecret]x",
    "##VSO[task.complete result=Succeeded;]",
    "###[x]",
    "##teamcity[buildStatus status='SUCCESS']",
]


def obeyed(text: str) -> list[str]:
    """Return the lines that a CI system would obey, read as its runner reads them."""
    lines = re.split(r"\r\n|\r|\n", text)
    return [
        line
        for line in lines
        if line.lstrip().startswith("::") or re.search(r"##(vso|teamcity)?\[", line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_command_is_a_line_like_any_other(text: str) -> None:
    assert obeyed(text), "else the test is none"
    assert obeyed(Harmless()(text)) == []
    pieces = Harmless()
    assert obeyed("".join(pieces(character) for character in text)) == [], "a character at a time"
    assert Harmless()(text).replace(" ", "") == text.replace(" ", ""), "nothing is lost"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a::b",
        "web-1 | ::add-mask::x",
        "## Plan",
        "##",
        "# [x]",
        "a: b",
        ": x",
        "std::string\n",
        "[x] ##\n[y]",
        "::"[:1],
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert Harmless()(text) == text


@given(st.lists(st.text(alphabet=":#[]vso \r\n\tax\u00a0", max_size=8), max_size=12))
@example([":", " ", ":"])
def test_however_it_is_cut(pieces: list[str]) -> None:
    harmless = Harmless()
    given = "".join(harmless(piece) for piece in pieces)
    assert obeyed(given) == []
    assert given == Harmless()("".join(pieces))


@given(st.text(alphabet=':#[]vso \\"\n', max_size=30))
def test_json_keeps_its_meaning(text: str) -> None:
    found = harmless_json(json.dumps({"a": [text], text: 1}, indent=2))
    assert json.loads(found) == {"a": [text], text: 1}
    assert Harmless()(found) == found


def test_where_it_is() -> None:
    assert not in_ci({})
    assert not in_ci({"CI": "false", "GITHUB_ACTIONS": ""})
    assert all(in_ci({name: "true"}) for name in VARIABLES)


SCRIPT = """
import sys
from sandboxer.cli.ci_output import guard_output
guard_output()
from sandboxer.cli.console import stdout, stderr, write
sys.stdout.buffer.write(b"  ::add-mask::bytes\\n\\xff ##[add-mask]x\\n")
sys.stdout.flush()
write("::add-mask::written")
write('{"a": "##[group]x"}')
stdout().print("##vso[task.complete]", markup=False)
stderr().print("::error::printed", markup=False)
import click
click.echo("::warning::clicked", err=True)
raise RuntimeError("\\n::add-mask::raised")
"""


SEVERAL = """
import json, sys
from sandboxer.cli.ci_output import guard_output
guard_output()
from sandboxer.cli.main import run
codes = [run(words) for words in json.loads(sys.argv[1])]
sys.exit(1 if set(codes) == {1} else 3)
"""


@pytest.mark.parametrize("variable", [*VARIABLES, ""])
def test_all_that_a_process_writes_is_harmless_in_ci_and_as_it_is_elsewhere(variable: str, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environ |= {variable: "true"} if variable else {}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, capture_output=True, timeout=60, check=False)
    out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    assert done.returncode == 1
    assert bool(obeyed(out)) == bool(obeyed(err)) == (not variable)
    assert b"\xff" in done.stdout
    assert [json.loads(line) for line in out.splitlines() if line.startswith("{")] == [{"a": "##[group]x"}]
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([sys.executable, "-c", SCRIPT], env=environ, stdout=log, stderr=log, timeout=60, check=False)
    assert obeyed((tmp_path / "log").read_text("utf-8", "surrogateescape")), "a file is written as it is"


def test_an_error_that_holds_a_name_from_outside_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "sandboxer.yaml").write_text('kind: Fleet\n"::add-mask::x": 1\n? "##[add-mask]y"\n: 1\n', "utf-8")
    others = [["validate", "-o", "json"], ["plan"], ["::add-mask::x"], ["--log-format=json", "plan"]]
    for program in (["-m", "sandboxer", "-C", str(tmp_path), "validate"], ["-c", SEVERAL, json.dumps(others)]):
        done = subprocess.run(
            [sys.executable, *program],
            env={**os.environ, "GITHUB_ACTIONS": "true"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "add-mask" in done.stdout + done.stderr
        assert obeyed(done.stdout + "\n" + done.stderr) == []
    assert done.stdout.count("add-mask") + done.stderr.count("add-mask") >= len(others)
