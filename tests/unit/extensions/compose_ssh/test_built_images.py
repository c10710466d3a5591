"""Which images a host removes: those that were built for a life of a sandbox that is over, and no other one's."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.hosts.scripts import script

if TYPE_CHECKING:
    from pathlib import Path

LIFE, OTHER = "a" * 32, "b" * 32
SCRIPT = script("prelude.sh", "session.sh", "sandboxer.extensions.compose_ssh:images.sh")
# Answers as an engine does: `image ls` with all IDs, `image inspect` with a line for each; and notes what is removed.
ENGINE = """#!/bin/sh
case "$2" in
  ls) cut -d'|' -f1 "$LINES_OF"; [ -z "$WHEN_LISTED" ] || eval "$WHEN_LISTED" ;;
  inspect) case $4 in *'{{json (index .Config.Labels'*) cat "$LINES_OF" ;; *) exit 1 ;; esac ;;
  rm) echo "$3" >>"$REMOVED" ;;
esac
"""


class Host:
    """A root with records, and an engine that has images."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.removed = folder / "root", folder / "bin", folder / "removed"
        self.lines = folder / "images"
        (self.root / "demo").mkdir(parents=True)
        self.bin.mkdir()
        engine = self.bin / "docker"
        engine.write_text(ENGINE)
        engine.chmod(0o700)
        self.lines.write_text("")

    def record(self, identifier: str, uid: str) -> Path:
        place = self.root / "demo" / identifier / "record.json"
        place.parent.mkdir()
        place.write_text(json.dumps({"uid": uid}, separators=(",", ":")))
        return place

    def image(self, name: str, uid: str, *, names: str = "", root: str = "") -> None:
        with self.lines.open("a") as lines:
            lines.write(f"{name}|{json.dumps(uid)}|{names}|{json.dumps(root or str(self.root))}\n")

    def run(self, call: str, *, when_listed: str = "") -> list[str]:
        words = f"root={self.root} fleet=demo; id=0a1b2c3d; locate; engine=docker; {call}"
        environment = {"LINES_OF": self.lines, "REMOVED": self.removed, "WHEN_LISTED": when_listed, "ROOT": self.root}
        given = "; ".join(f"export {name}='{value}'" for name, value in environment.items())
        # session.sh unsets what it does not know.
        subprocess.run(
            ["sh", "-c", f"{SCRIPT}\n{given}; {words}"],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.root)},
            check=True,
            timeout=60,
        )
        return self.removed.read_text().splitlines() if self.removed.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_sweep_removes_what_was_built_for_lives_without_a_record(host: Host) -> None:
    host.record("0a1b2c3d", LIFE)
    host.image("sha256:live", LIFE)
    host.image("sha256:over", OTHER, names="sbx-web-0a1b2c3d-web:latest ")
    host.image("sha256:named", OTHER, names="sbx-web-0a1b2c3d-web:latest mine:1 ")
    host.image("sha256:elsewhere", OTHER, root="/srv/other")
    assert host.run("sweep_images") == ["sha256:over"]


def test_a_sweep_without_any_record_removes_all_that_is_ours(host: Host) -> None:
    host.image("sha256:over", OTHER)
    host.image("sha256:odd", "not hexadecimal")
    assert host.run("sweep_images") == ["sha256:over"]


def test_a_sandbox_that_is_created_while_images_are_listed_keeps_its_own(host: Host) -> None:
    host.record("0a1b2c3d", OTHER)
    host.image("sha256:new", LIFE)
    created = f'mkdir "$ROOT/demo/1a1b2c3d" && echo {{\\"uid\\":\\"{LIFE}\\"}} >"$ROOT/demo/1a1b2c3d/record.json"'
    assert host.run("sweep_images", when_listed=created) == []


def test_a_record_that_cannot_be_read_is_no_answer(host: Host) -> None:
    host.record("0a1b2c3d", OTHER)
    gone = host.root / "demo" / "00000000"
    gone.mkdir()
    (gone / "record.json").symlink_to("nowhere")
    host.image("sha256:live", LIFE)
    assert host.run("sweep_images") == []


@pytest.mark.parametrize("call", ["sweep_images", f"do_tidy_images docker {LIFE}"])
def test_no_label_of_an_image_names_another_image(host: Host, call: str) -> None:
    line = f"x\nsha256:theirs|{LIFE}||{host.root}"
    host.image("sha256:hostile", line)
    host.image("sha256:hostile", LIFE, root=line)
    assert host.run(call) == []


def test_a_tidy_keeps_what_is_used_and_what_has_another_name(host: Host) -> None:
    host.image("sha256:former", LIFE)
    host.image("sha256:renamed", LIFE, names="sbx-web-0a1b2c3d-old:latest ")
    host.image("sha256:used", LIFE, names="localhost/sbx-web-0a1b2c3d-web:latest ")
    host.image("sha256:kept", LIFE, names="mine:1 ")
    host.image("sha256:other", OTHER)
    found = host.run(f"do_tidy_images docker {LIFE} sbx-web-0a1b2c3d-web")
    assert found == ["sha256:former", "sha256:renamed"]
