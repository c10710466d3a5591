"""Shell is held to shellcheck as a host gets it: whole programs, and findings at their place in the fragment."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts import shell
from tests.support.fleet import ROOT

SOURCES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "sandboxer").rglob("*.py"))]
FRAGMENTS = {shell.fragment(str(path.relative_to(ROOT))) for path in (ROOT / "sandboxer").rglob("*.sh")}


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.sh").write_text(text, encoding="utf-8")


def test_every_fragment_is_in_a_program_and_those_that_belong_together_are_in_one() -> None:
    programs = shell.programs(SOURCES, FRAGMENTS)
    assert {name for program in programs for name in program} == FRAGMENTS
    session = {"prelude.sh", "session.sh", "sandboxer.extensions.compose_ssh:verbs.sh", "serve.sh"}
    assert any(session <= set(program) for program in programs)


def test_programs_are_what_the_package_sends() -> None:
    fragments = {"a.sh", "b.sh", "c.sh", "d.sh"}
    sources = ['MORE = ("b.sh", "c.sh")\nOTHER = ("x", "b.sh")', 'script("a.sh", *verbs)\nscript(f"{name}")']
    assert shell.programs(sources, fragments) == [("a.sh", "b.sh", "c.sh"), ("d.sh",)]


def test_a_finding_is_reported_at_its_line_of_the_fragment(tmp_path: Path) -> None:
    write(tmp_path, first="used=$1\n", second='echo "$used"\nrm $used\n')
    (finding,) = shell.check(tmp_path, Path(), [("first.sh", "second.sh")])
    assert (finding.file, finding.line, finding.rule) == ("second.sh", 2, 2086)


def test_what_one_program_leaves_unset_and_another_sets_is_no_finding(tmp_path: Path) -> None:
    write(tmp_path, one="used=1\n", two='echo "$used"\n', three=":\n")
    assert shell.check(tmp_path, Path(), [("one.sh", "two.sh"), ("three.sh", "two.sh")]) == []
    assert [found.rule for found in shell.check(tmp_path, Path(), [("three.sh", "two.sh")])] == [2154]


def test_what_dash_and_busybox_do_not_have_is_found(tmp_path: Path) -> None:
    write(tmp_path, arrays="words=(a b)\necho ${words[@]}\n")
    assert 3030 in {found.rule for found in shell.check(tmp_path, Path(), [("arrays.sh",)])}


def test_every_tracked_shell_file_is_checked_whatever_it_is_called() -> None:
    names = shell.tracked()
    listed = subprocess.run(
        ["git", "ls-files", "*.sh"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(listed.stdout.split()) <= set(names)
    assert {".ci/run", "tests/lab/host.sh", "examples/stacks/hello/www/cgi-bin/greeting"} <= set(names)
