"""The folders above a root: which ones are refused, by the output of `stat`."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.hosts.scripts import script

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = [["sh"], *([["busybox", "sh"]] if shutil.which("busybox") else []), ["bash"]]
FOLDER, LINK, STICKY = 0o040755, 0o120777, 0o041777
OURS, THEIRS = 4242, 1357

# The folders above /a/b/root, each an owner and a mode; missing ones are left out. The error is about the first.
CASES: dict[str, tuple[dict[str, tuple[int, int]], str]] = {
    "root's": ({"/": (0, FOLDER), "/a": (0, FOLDER), "/a/b": (0, FOLDER)}, ""),
    "ours": ({"/": (0, FOLDER), "/a": (OURS, FOLDER), "/a/b": (OURS, 0o040700)}, ""),
    "not there yet": ({"/": (0, FOLDER)}, ""),
    "half there": ({"/": (0, FOLDER), "/a": (OURS, FOLDER)}, ""),
    "sticky": ({"/": (0, FOLDER), "/a": (0, STICKY), "/a/b": (OURS, FOLDER)}, ""),
    "sticky, group": ({"/a": (0, 0o041775), "/a/b": (0, FOLDER)}, ""),
    "setgid": ({"/a": (0, 0o042755)}, ""),
    "a link of root's": ({"/a": (0, LINK)}, ""),
    "a link of ours": ({"/a/b": (OURS, LINK)}, ""),
    "theirs above": ({"/a": (THEIRS, FOLDER), "/a/b": (0, FOLDER)}, "/a belongs to user id 1357"),
    "theirs below": ({"/a": (0, FOLDER), "/a/b": (THEIRS, FOLDER)}, "/a/b belongs to user id 1357"),
    "theirs, closed": ({"/a/b": (THEIRS, 0o040700)}, "/a/b belongs to user id 1357"),
    "theirs, sticky": ({"/a": (THEIRS, STICKY)}, "/a belongs to user id 1357"),
    "theirs in a sticky one": ({"/a": (0, STICKY), "/a/b": (THEIRS, FOLDER)}, "/a/b belongs to user id 1357"),
    "theirs, the top": ({"/": (THEIRS, FOLDER)}, "/ belongs to user id 1357"),
    "nobody's": ({"/a": (65534, FOLDER)}, "/a belongs to user id 65534"),
    "a link of theirs": ({"/a": (THEIRS, LINK)}, "/a is a symbolic link of user id 1357"),
    "a link of theirs in a sticky one": (
        {"/a": (0, STICKY), "/a/b": (THEIRS, LINK)},
        "/a/b is a symbolic link of user id 1357",
    ),
    "open to all": ({"/a": (0, 0o040777)}, "/a may be written by other users (mode 777)"),
    "open to others alone": ({"/a": (0, 0o040702)}, "/a may be written by other users (mode 702)"),
    "open to a group": ({"/a/b": (0, 0o040775)}, "/a/b may be written by other users (mode 775)"),
    "ours, and open": ({"/a/b": (OURS, 0o040777)}, "/a/b may be written by other users (mode 777)"),
    "open, with setgid": ({"/a": (0, 0o042775)}, "/a may be written by other users (mode 2775)"),
    "two things": ({"/a": (0, 0o040777), "/a/b": (THEIRS, FOLDER)}, "/a may be written by other users (mode 777)"),
    "a file of theirs": ({"/a/b": (THEIRS, 0o100644)}, "/a/b belongs to user id 1357"),
}


def _unsafe(shell: list[str], root: str, stated: str = "", real: str = "") -> str:
    """Return the error for a root; ``stat`` and ``id`` print the given values, and the folder is as given."""
    parts = [
        "id() { echo 4242; }",
        f"stat() {{ cat <<'END'\n{stated}END\n}}" if stated else "",
        f"cd() {{ :; }}; pwd() {{ echo '{real}'; }}" if real else "",
    ]
    text = "\n".join([script("prelude.sh"), *parts]) + '\nroot=$1; way_to_root; printf %s "$unsafe"; [ -z "$IFS" ] || :'
    done = subprocess.run([*shell, "-c", text, "sh", root], capture_output=True, text=True, check=False, timeout=30)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("case", CASES)
def test_the_folder_that_others_may_change_is_reported_by_name(case: str, shell: list[str]) -> None:
    folders, problem = CASES[case]
    stated = "".join(f"{owner} {mode:x} {path}\n" for path, (owner, mode) in folders.items())
    expected = f"{problem}, who could replace /a/b/root" if problem else ""
    assert _unsafe(shell, "/a/b/root", stated, real="/a/b") == expected


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_names_of_any_kind_are_distinguished(shell: list[str], tmp_path: Path) -> None:
    for name in ("two words", "star *", "$(id)", "tab\tbed", "back\\slash"):
        folder = tmp_path / name
        folder.mkdir()
        folder.chmod(0o757)
        problem = _unsafe(shell, f"{folder}/root")
        assert problem == f"{folder} may be written by other users (mode 757), who could replace {folder}/root"
        folder.chmod(0o755)


def test_what_a_link_leads_to_counts_as_well(tmp_path: Path) -> None:
    real = tmp_path / "open"
    real.mkdir()
    real.chmod(0o777)
    (tmp_path / "link").symlink_to(real)
    problem = _unsafe(["sh"], f"{tmp_path}/link/root")
    assert problem == f"{real} may be written by other users (mode 777), who could replace {tmp_path}/link/root"


@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_on_the_way_from_one_link_to_the_next_counts_as_well(tmp_path: Path, *, relative: bool) -> None:
    """Whoever may write to it can lead the second link elsewhere, though both ends are safe."""
    between, real = tmp_path / "between", tmp_path / "real"
    between.mkdir()
    real.mkdir()
    (between / "second").symlink_to("../real" if relative else real)
    (tmp_path / "link").symlink_to("between/second" if relative else between / "second")
    assert _unsafe(["sh"], f"{tmp_path}/link/root") == ""
    between.chmod(0o777)
    problem = _unsafe(["sh"], f"{tmp_path}/link/root")
    assert problem == f"{between} may be written by other users (mode 777), who could replace {tmp_path}/link/root"


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert _unsafe(["sh"], f"{tmp_path}/one/root") == ""


def test_the_usual_root_needs_no_program() -> None:
    text = script("prelude.sh") + '\nPATH=/nowhere; root=/tmp/sandboxer; way_to_root; echo "[$unsafe]"'
    done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == ("[]\n", "")
