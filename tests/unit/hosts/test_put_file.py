"""A file is put whole or not at all, whoever sweeps empty folders away meanwhile."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from sandboxer.hosts.scripts import script

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 200
PUT_FILE = re.search(r"^put_file\(\) \{.*?^\}$", script("session.sh"), re.MULTILINE | re.DOTALL)[0]  # type: ignore[index]
SWEEPER = 'while [ ! -e "$1/stop" ]; do rmdir "$1"/.staging-* 2>/dev/null; done'
PUTTER = f"""
{PUT_FILE}
for at in $(seq {ROUNDS}); do printf hello | put_file "$1/.staging-$at/id" 5 600 ''; done
"""


def test_a_folder_that_is_swept_away_while_it_is_empty_is_made_again(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", SWEEPER, "sh", str(tmp_path)]) as sweeper:
        try:
            done = subprocess.run(
                ["sh", "-c", PUTTER, "sh", str(tmp_path)], capture_output=True, timeout=120, check=True
            )
        finally:
            (tmp_path / "stop").touch()
        sweeper.wait(timeout=60)
    assert done.stderr == b""
    files = list(tmp_path.glob(".staging-*/id"))
    assert len(files) == ROUNDS
    assert {file.read_text() for file in files} == {"hello"}


def test_a_file_of_another_length_than_announced_is_not_stored(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    target.write_text("old")
    text = f"{PUT_FILE}\nprintf hell | put_file \"$1\" 5 600 ''"
    done = subprocess.run(["sh", "-c", text, "sh", str(target)], capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert target.read_text() == "old"
