"""``python -m benchmarks.create``: one ``sandboxer create`` on a warm host, as a ratio to the same work by hand.

By hand is ``tar`` to ``ssh`` to ``docker compose up -d --wait``: one connection, opened within the measured time, the
same project and the same image, which is already on the host. Ours is the command, whose interpreter start counts
against it, and the library in a running program, as in a harness or ``sandboxer serve``. There are two stacks: an
application behind a database that takes two seconds to be healthy, as a real one does, and the smallest, which is ready
as soon as its one container runs. Both sides run in turn, and each run's sandbox is removed before the next.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.apply import clear
from benchmarks.fleet import PROGRAM, git
from benchmarks.measure import Taken, compare, median, take
from sandboxer import Client
from tests.lab import IMAGE, Lab, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS, SECONDS = 7, 2
_HEAD = "apiVersion: sandboxer.dev/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n"
STACKS = {
    f"an application behind a database that is healthy after {SECONDS} s": f"""\
services:
  db:
    image: {IMAGE}
    init: true
    command: [sh, -c, "sleep {SECONDS}; touch /tmp/ready; exec sleep 86400"]
    healthcheck: {{test: [CMD, test, -e, /tmp/ready], interval: 1s, retries: 30}}
  web:
    image: {IMAGE}
    init: true
    command: [httpd, -f, -p, "8080", -h, /www]
    volumes: [./www:/www:ro]
    depends_on: {{db: {{condition: service_healthy}}}}
    healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 1s, retries: 30}}
""",
    "one container, and nothing to wait for": f"""\
services:
  web:
    image: {IMAGE}
    init: true
    command: [sleep, "86400"]
""",
}


@contextmanager
def _fleet(lab: Lab) -> Iterator[Path]:
    """Yield a fleet of the lab's host, with a profile for each stack; each stack is in a folder of its number."""
    with tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as name:
        folder = Path(name)
        files = {
            "sandboxer.yaml": _HEAD.format("Fleet", "bench", "{}"),
            "manifests/hosts.yaml": lab.host_manifests(),
        }
        for number, text in enumerate(STACKS.values()):
            spec = f"{{extension: ext.compose-ssh, workspace: {{path: stack-{number}}}}}"
            files[f"profiles/{number}.yaml"] = _HEAD.format("Profile", f"profile.stack-{number}", spec)
            files[f"stack-{number}/compose.yaml"] = text
            files[f"stack-{number}/www/index.html"] = "measured\n"
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "The fleet that is measured")
        git(folder, "gc", "-q")
        yield folder


def _by_hand(lab: Lab, stack: Path) -> list[str | Path]:
    there = "/tmp/sandboxer/by-hand"
    up = f"mkdir -p {there} && cd {there} && tar -xf - && docker compose -p by-hand up -d --wait"
    (host,) = lab.hosts
    ssh = shlex.join(["ssh", "-F", str(lab.ssh_config), host.name, up])
    return _quiet(["/bin/sh", "-c", f"tar -C {shlex.quote(str(stack))} -cf - . | {ssh}"])


def _quiet(words: list[str | Path]) -> list[str | Path]:
    """Return the command without its progress output."""
    return ["/bin/sh", "-c", 'exec "$0" "$@" 2>/dev/null', *words]


def _taken(lab: Lab, words: list[str | Path]) -> Taken:
    taken = take(words)
    clear(lab)
    return taken


def _called(lab: Lab, folder: Path, profile: str) -> Taken:
    began = time.monotonic()
    Client(folder).create(profile)
    taken = Taken(time.monotonic() - began, 0.0)
    clear(lab)
    return taken


def _measure(lab: Lab, folder: Path, number: int, what: str) -> None:
    profile = f"profile.stack-{number}"
    create = _quiet([PROGRAM, "-C", folder, "create", "--profile", profile, "-o", "json"])
    hand = _by_hand(lab, folder / f"stack-{number}")
    ours = {"the command": lambda: _taken(lab, create), "the library": lambda: _called(lab, folder, profile)}
    for which, made in ours.items():
        hands, creates, ratio = compare(lambda: _taken(lab, hand), made, pairs=PAIRS)
        print(
            f"create, {which}, {what}: {ratio:.2f} x `docker compose up --wait` by hand "
            f"(median of {PAIRS} pairs; {median(creates):.2f} s to {median(hands):.2f} s)"
        )


def main() -> None:
    """Measure, and print a line of figures for each stack."""
    with Lab.up(docker=1, podman=0, owner=Process.me()) as lab, _fleet(lab) as folder:
        for number, what in enumerate(STACKS):
            _measure(lab, folder, number, what)


if __name__ == "__main__":
    main()
