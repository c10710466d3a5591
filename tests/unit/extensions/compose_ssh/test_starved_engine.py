"""A host that is starved: what an engine does not describe in time is unknown by itself, and all else is described."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.hosts.scripts import script

if TYPE_CHECKING:
    from pathlib import Path

# Stands for an engine with 45 containers, whose n-th answer about some of them takes longer than anybody waits.
PODMAN = """#!/bin/sh
if [ "$1" = ps ]; then
  for n in $(seq 45); do printf '{"id":"%064x","name":"n","labels":{"dev.sandboxer.fleet":"acme"}}\\n' "$n"; done
else
  calls=$(cat "$FOLDER/calls" 2>/dev/null); calls=$((calls + 1)); echo "$calls" >"$FOLDER/calls"
  case " $SLOW " in *" $calls "*) exec sleep 60 ;; esac
  shift 5; for id in "$@"; do echo "{\\"id\\":\\"$id\\"}"; done
fi
"""
BEFORE = "nonce=N fleet=acme; section() { printf '\\n@%s\\n' \"$*\"; }\n"
AFTER = "\nASK_SECONDS=1; ask podman '' ''"


@pytest.mark.parametrize(("slow", "described"), [("", 45), ("1", 25), ("2", 25), ("3", 40), ("1 2", 0)])
def test_containers_that_are_not_described_in_time_blind_no_other(tmp_path: Path, slow: str, described: int) -> None:
    podman = tmp_path / "podman"
    podman.write_text(PODMAN)
    podman.chmod(0o755)
    program = BEFORE + script("sandboxer.extensions.compose_ssh:engine.sh") + AFTER
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FOLDER": str(tmp_path), "SLOW": slow}
    done = subprocess.run(
        ["sh", "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    if described:
        assert done.stdout.split("@described podman")[1].count("{") == described
        assert done.stdout.endswith("@engine-answered podman\n")
    else:
        assert "@engine-failed podman inspect 137" in done.stdout
