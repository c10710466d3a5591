"""A State Hub beside a demo, for the time that it runs."""

from __future__ import annotations

import re
import select
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from scripts import interrupts
from scripts.stage import REPOSITORY, ShowFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS = 30
_LISTENS = re.compile(r"State Hub on (?P<url>http://[^/]+)/#token=(?P<token>\S+)\n")


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A running State Hub at ``url`` with one token; ``page`` is the address for a person."""

    url: str
    token: str

    @property
    def page(self) -> str:
        """The page's address, with the token."""
        return f"{self.url}/#token={self.token}"

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables that programs need to report to it, as sandboxer.yaml names them."""
        return {"STATE_HUB_URL": self.url, "STATE_HUB_TOKEN": self.token}

    def phases(self) -> dict[str, str]:
        """Return the phase of each sandbox that it knows, destroyed ones included."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.url}/sandboxes", params={"all": "1"}, headers=headers, timeout=SECONDS)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["sandboxes"]
        return {sandbox["name"]: sandbox["phase"] for sandbox in found}


@contextmanager
def open_hub(folder: Path) -> Iterator[RunningHub]:
    """Run a State Hub with its file in ``folder`` during the block. Raise ShowFailed if it does not start."""
    serve = ("hub", "serve", "--listen", "127.0.0.1:0", "--database", str(folder / "hub.sqlite"))
    with interrupts.held():
        process = subprocess.Popen(
            [sys.executable, "-m", "sandboxer", *serve],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
    try:
        yield _listening(process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process.stdout:
            process.stdout.close()


def _listening(process: subprocess.Popen[str]) -> RunningHub:
    stdout = process.stdout
    line = stdout.readline() if stdout and select.select([stdout], [], [], SECONDS)[0] else ""
    listening = _LISTENS.fullmatch(line)
    if listening is None:
        raise ShowFailed(f"State Hub does not listen after {SECONDS} s: {line.strip() or 'it says nothing'}")
    return RunningHub(listening["url"], listening["token"])
