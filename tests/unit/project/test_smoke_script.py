"""The script that follows the runbook calls what that calls, and nothing else: a recorder stands in for `sandbox`.

What the calls do on a host is in tests/lab/test_smoke.py.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.markdown import blocks

if TYPE_CHECKING:
    from pathlib import Path

RUNBOOK = ROOT / "docs/runbooks/profile-compose-e2e.md"
# It notes its arguments, a line a call, and prints the page of the sandbox whose service is requested.
RECORDER = """#!/bin/sh
echo "$*" >>"$CALLS"
[ "$1" != ssh ] || echo "Hello from $2"
"""


def test_it_calls_what_the_runbook_calls(tmp_path: Path) -> None:
    program, calls = tmp_path / "recorder", tmp_path / "calls"
    program.write_text(RECORDER)
    program.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SANDBOX": str(program), "CALLS": str(calls)}
    done = subprocess.run(
        ["sh", ROOT / "scripts/smoke-compose-e2e.sh", "somebody@host.example"],
        env=env | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    made = calls.read_text().splitlines()
    (name,) = re.findall(r" --name (\S+)", "\n".join(made))
    assert made == [call.replace("$NAME", name) for call in _calls()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls", "recorder"]


def _calls() -> list[str]:
    """Return the arguments of each call of the program in the runbook's blocks, in order."""
    text = "".join(block.text for block in blocks(RUNBOOK) if (block.language, block.name) == ("sh", ""))
    found = re.findall(r"(?:^|\$\()sandbox(?:er)? ([^|>)\n]+)", text, re.MULTILINE)
    return [" ".join(shlex.split(arguments)) for arguments in found]
