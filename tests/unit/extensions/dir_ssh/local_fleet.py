"""A fleet on this machine, and the processes of its sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.e2e import FleetRepo
from tests.support.program import run_in_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.e2e import Outcome


class LocalFleet(FleetRepo):
    """A fleet of one host, this machine, and one sandbox, `work`.

    The program runs in this process, or with ``starts`` as one of its own.
    """

    starts = False

    def outcome(self, arguments: Sequence[str], env: dict[str, str], timeout: float) -> Outcome:
        """Run the program to its end."""
        if self.starts:
            return super().outcome(arguments, env, timeout)
        return run_in_process(["-C", str(self.repo.path), *arguments], self.environment(env), timeout)

    @property
    def directory(self) -> Path:
        """The sandbox's directory."""
        return Path(self.folder("work"))

    @property
    def tree(self) -> Path:
        """The delivered tree."""
        (tree,) = (self.directory / "workspace/tree").iterdir()
        return tree

    @property
    def now(self) -> dict[str, Any]:
        """The sandbox's record."""
        record: dict[str, Any] = json.loads((self.directory / "record.json").read_bytes())
        return record

    def declare(self, setup: dict[str, Any] | None = None, **spec: Any) -> None:
        """Write the profile and the Sandbox, and commit them."""
        profile = {"extension": "ext.dir-ssh", "workspace": {"path": "data"}, "setup": setup or {}}
        self.document("profiles/scratch.yaml", "Profile", "scratch", profile)
        self.document("manifests/work.yaml", "Sandbox", "work", {"profile": "scratch", **spec})
        self.commit()

    def ssh(self, *words: str, code: int | None = 0) -> str:
        """Return the output of a command in the sandbox."""
        return self.run("ssh", "work", "--", *words, code=code)

    def drifted(self, *arguments: str) -> dict[str, str]:
        """Return what `drift` shows, by path."""
        shown = json.loads(self.run("drift", "-o", "json", *arguments, code=None, drifts=True))
        return {field["path"]: field["new"] for change in shown["changes"] for field in change["drift"]}


def marked(fleet: LocalFleet) -> list[int]:
    """Return the processes below the fleet's root or with a mark of a sandbox, as nobody but this test has any."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = (folder / "cwd").readlink().is_relative_to(fleet.root)
            mark = b"\0SANDBOXER_SANDBOX=" in b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue
        if inside and mark:
            found.append(int(folder.name))
    return found


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
