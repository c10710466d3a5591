"""Consoles: results go to stdout, everything else to stderr; colour and width depend on the terminal."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

PIPED_WIDTH = 4096


@cache
def stdout() -> Console:
    """Return the console of results. Outside of a terminal it folds no line: other programs read lines."""
    return _console(stderr=False)


@cache
def stderr() -> Console:
    """Return the console of everything else."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        soft_wrap=not terminal,
        width=None if terminal else PIPED_WIDTH,
        force_terminal=terminal,
    )


def write(text: str) -> None:
    """Write machine output to stdout unchanged, with a trailing line break; escape JSON so that CI keeps it intact."""
    if text[:1] in ("{", "["):
        from sandboxer.render.ci import harmless_json

        text = harmless_json(text)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def write_data(value: object, output: str, *, ascii_only: bool = False) -> None:
    """Write a value of JSON as ``json`` or as ``yaml``, which has the same keys and values.

    With ``ascii_only`` all other characters are escaped, as a value from a stranger may have some for the terminal.
    """
    if output == "json":
        write(json.dumps(value, indent=2, ensure_ascii=ascii_only))
    else:
        import yaml

        write(yaml.safe_dump(value, sort_keys=False, allow_unicode=not ascii_only))


def write_names(names: Iterable[str]) -> None:
    """Write names for scripts, one per line, each once."""
    for name in dict.fromkeys(names):
        write(name)
