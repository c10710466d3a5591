"""``python -m scripts.release_fixtures COMMIT NAME``: record what a commit's program leaves on the lab's hosts.

Writes ``tests/cases/release/NAME/``, which ``tests/unit/project/test_release.py`` lets the present program read. Needs
root on Linux, for the lab. The README.md there describes the content, and when to record again.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from scripts.release_fleet import COMMANDS, ENGINES, FLEET, RecordedFleet
from tests.lab import Lab, Process
from tests.support.former import FormerRelease
from tests.support.hubs import TAKES, LyingHub, says
from tests.support.release import HUB_PORT, RELEASES, ROOT, TOKEN, engine_answers, on_branch, told

if TYPE_CHECKING:
    from tests.support.e2e import FleetRepo

# Everything below the root except secrets.
_LIST = r"""
cd "$1" || exit
find . -mindepth 1 -name secrets -prune -o \( -type d -o -type f \) -printf '%y %m %Ts %P\n' | LC_ALL=C sort -k 4
"""


@dataclass(slots=True)
class Recorder:
    """One recording: the fleet on the lab, the hub that it reports to, and the folder that it is written to."""

    former: FormerRelease
    lab: Lab
    fleet: FleetRepo
    hub: LyingHub
    folder: Path
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def record(self) -> None:
        """Write everything on the hosts, and the program's output about it."""
        self.at = datetime.now(UTC).replace(microsecond=0)
        hosts = {name: self._host(name, lab_name) for name, (lab_name, _) in ENGINES.items()}
        self._write("fleet.fast-export", on_branch(self.fleet.repo.path).decode())
        commands = {name: self._command(name, *words) for name, words in COMMANDS.items()}
        about = {
            "commit": self.former.commit,
            "at": self.at.isoformat(),
            "fleet": FLEET,
            "hosts": hosts,
            "commands": commands,
        }
        self._write("release.json", json.dumps(about, indent=2) + "\n")
        for path in self.folder.rglob("*"):
            if path.is_file() and any(value in path.read_text() for value in TOKEN.values()):
                raise SystemExit(f"{path} holds a secret")

    def _command(self, name: str, *words: str) -> dict[str, Any]:
        self.hub.requests.clear()
        process = self.fleet.start(*words)
        stdout, stderr = process.communicate(timeout=120)
        sys.stdout.write(f"{name}: exit {process.returncode}\n{stderr}")
        self._write(f"output/{name}", stdout)
        if words == ("hub", "flush"):
            self._write("hub.jsonl", "".join(json.dumps(one, sort_keys=True) + "\n" for one in told(self.hub.requests)))
        return {"words": list(words), "exit": process.returncode}

    def _host(self, name: str, lab_name: str) -> dict[str, Any]:
        execute = self.lab.exec
        listed = execute(lab_name, ["sh", "-c", _LIST, "sh", ROOT]).stdout
        self._write(f"hosts/{name}/index.txt", listed)
        for line in listed.splitlines():
            kind, _, _, path = line.split(" ", 3)
            if kind == "f":
                self._write(f"hosts/{name}/files/{path}", execute(lab_name, ["cat", f"{ROOT}/{path}"]).stdout)
        engine = self.lab.host(lab_name).engine

        def ask(script: str, given: bytes) -> bytes:
            return execute(lab_name, ["sh", "-c", script], input=given.decode()).stdout.encode()

        clock, answers = engine_answers(ask, name, FLEET, engine)
        for what, answer in answers.items():
            self._write(f"hosts/{name}/engine/{what}.txt", answer.decode())
        return {"engine": engine, "clock": clock}

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(words: list[str]) -> int:
    """Record the program of the commit in the first word under the name in the second; return 0."""
    commit, name = words
    folder = RELEASES / name
    began = time.monotonic()
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory()))
        former = FormerRelease.install(temporary / "release", commit)
        lab = stack.enter_context(Lab.up(owner=Process.me()))
        hub = stack.enter_context(LyingHub(port=HUB_PORT))
        recorded = RecordedFleet.create(lab, temporary, former)
        stack.callback(recorded.fleet.clean_up)
        recorded.make()
        hub.choose = lambda _: says(503)
        recorded.make_untold()
        shutil.rmtree(folder, ignore_errors=True)
        hub.choose = lambda _: TAKES
        folder.mkdir(parents=True)
        shutil.copyfile(recorded.saved, folder / "saved-plan.json")
        Recorder(former, lab, recorded.fleet, hub, folder).record()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    sys.stdout.write(f"{folder}: {size:,} bytes, in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
