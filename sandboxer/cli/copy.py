"""``sandboxer cp``."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from typing import Self

import click

from sandboxer.cli.client_session import client_session
from sandboxer.cli.console import stdout
from sandboxer.cli.exit_codes import EXIT_DONE

_INSIDE = re.compile(r"([a-z0-9][a-z0-9.-]{0,39})(?:/([A-Za-z0-9][A-Za-z0-9._-]*))?:(.*)", re.DOTALL)
_OFTEN = 0.2  # seconds between two progress updates


@dataclass(frozen=True, slots=True)
class _Inside:
    """A path in a container of a sandbox."""

    name: str
    service: str | None
    path: str


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
def cp(source: str, target: str) -> int:
    """Copy files to or from a container.

    One of SRC and DST is NAME[/SERVICE]:PATH, the other a local path. Folders are copied recursively; SRC/. copies the
    contents without the folder. If DST is a folder, the copy goes into it. SERVICE is optional in a sandbox with one
    service. Write a local path with a colon as ./a:b. A download appears at its destination only once it is complete;
    links that point outside the copy are rejected.

    \b
    Examples:
      sandboxer cp checkout-e2e/web:/var/log/app ./logs
      sandboxer cp fixtures/. checkout-e2e/db:/fixtures
      sandboxer cp 1f2e3d4c:/tmp/report.xml .
    """
    there, here = _inside(source), _inside(target)
    with client_session() as client, _Progress() as progress:
        if there is not None and here is None:
            made = client.copy_from(there.name, there.path, target, service=there.service, progress=progress)
            result = str(made)
        elif here is not None and there is None:
            result = client.copy_to(here.name, source, here.path, service=here.service, progress=progress)
            result = f"{target.partition(':')[0]}:{result}"
        else:
            raise click.UsageError("exactly one of SRC and DST must be NAME[/SERVICE]:PATH, the other a local path")
    if sys.stdout.isatty():
        stdout().print(result, markup=False, soft_wrap=True)
    return EXIT_DONE


def _inside(text: str) -> _Inside | None:
    """Return the path in a sandbox that the text names; None for a local path."""
    found = _INSIDE.fullmatch(text)
    return _Inside(found[1], found[2], found[3]) if found else None


class _Progress:
    """Progress of a copy, shown on a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._began = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._began:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, count: int) -> None:
        """Add this number of copied bytes."""
        now = time.monotonic()
        if self._shown and now - self._last > _OFTEN:
            self._last, self._began = now, True
            sys.stderr.write(f"\rcopied {count / 1_000_000:.1f} MB")
            sys.stderr.flush()
