"""A fleet for demos: this repository's own manifests in a separate git repository, and the program."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.interrupts import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

REPOSITORY = Path(__file__).parent.parent
IMAGE = "sandboxer-lab/busybox:1"
SECONDS = 180

_AUTHOR = {"NAME": "Demo", "EMAIL": "demo@example.org"}


class ShowFailed(Exception):
    """A check of a demo failed; the message says which."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet in ``folder``. ``env`` is the environment of every program that runs for it."""

    folder: Path
    env: Mapping[str, str]
    console: Console

    @classmethod
    def create(
        cls, parent: Path, console: Console, *, name: str, hosts: str, image: str, env: Mapping[str, str]
    ) -> Fleet:
        """Copy this repository's manifests into a new repository below ``parent``, and commit them.

        ``hosts`` are its Host documents, ``name`` is its name, and ``image`` is the image of its stacks.
        """
        folder = parent / "fleet"
        folder.mkdir()
        for shipped in ("manifests", "profiles", "extensions", "examples"):
            shutil.copytree(REPOSITORY / shipped, folder / shipped)
        settings = (REPOSITORY / "sandboxer.yaml").read_text(encoding="utf-8")
        (folder / "sandboxer.yaml").write_text(settings.replace("name: demo", f"name: {name}"), encoding="utf-8")
        (folder / "manifests/hosts.yaml").write_text(hosts, encoding="utf-8")
        for stack in folder.glob("examples/stacks/*/compose.yaml"):
            stack.write_text(stack.read_text(encoding="utf-8").replace(IMAGE, image), encoding="utf-8")
        fleet = cls(folder, _environment(parent, env), console)
        fleet.git("init", "--quiet", "--initial-branch=main")
        fleet.commit("The whole fleet")
        return fleet

    def git(self, *arguments: str) -> str:
        """Run git in the fleet's repository and return its output. Raise ShowFailed if it fails."""
        done = run(["git", *arguments], timeout=60, cwd=self.folder, env=self.env)
        if done.returncode != 0:
            raise ShowFailed(f"git {shlex.join(arguments)}: exit {done.returncode}\n{done.stderr.strip()}")
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit the whole work tree."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def remove(self, *names: str) -> None:
        """Remove sandboxes from git, as a person would, and show it."""
        paths = [f"manifests/{name}.yaml" for name in names]
        message = f"Remove {', '.join(names)}"
        self.show("git", "rm", "--quiet", *paths)
        self.git("rm", "--quiet", *paths)
        self.show("git", "commit", "--quiet", "--message", message)
        self.git("commit", "--quiet", "--message", message)

    def show(self, *words: str) -> None:
        """Show a command as a person would type it."""
        self.console.print(f"$ {shlex.join(words)}", style="bold", markup=False)

    def sandboxer(self, *arguments: str, code: int = 0) -> None:
        """Run Sandboxer visibly. Raise ShowFailed if it exits with another code than ``code``."""
        self.show("sandboxer", *arguments)
        done = run(_program(arguments), timeout=SECONDS, capture=False, cwd=self.folder, env=self.env)
        if done.returncode != code:
            raise ShowFailed(f"`sandboxer {shlex.join(arguments)}` exited with {done.returncode}, not with {code}")
        self.console.print(f"(exit code {code})", style="dim", markup=False)

    def ask(self, *arguments: str) -> Any:
        """Return Sandboxer's JSON output, not shown: for the checks. Raise ShowFailed if there is none."""
        arguments = (*arguments, "-o", "json")
        done = run(_program(arguments), timeout=SECONDS, cwd=self.folder, env=self.env)
        try:
            return json.loads(done.stdout)
        except ValueError:
            words = shlex.join(arguments)
            raise ShowFailed(f"`sandboxer {words}`: exit {done.returncode}\n{done.stderr.strip()}") from None

    def reasons(self) -> dict[str, str]:
        """Return the reason of each change that a plan would carry out now, by sandbox."""
        changes = self.ask("plan")["changes"]
        return {change["sandbox"]: change["reason"] for change in changes if change["action"] != "no-op"}


def _program(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "sandboxer", *arguments]


def _environment(parent: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the user's git and Sandboxer settings: the same demo for everybody."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SANDBOXER_"))}
    authors = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _AUTHOR.items()}
    own = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "XDG_CACHE_HOME": str(parent / "cache"),
        # This checkout's program, whichever one is installed.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
    }
    return {**kept, **authors, **own, **more}
