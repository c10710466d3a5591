"""The shell scripts that run on hosts: constant text, never built from values, which are lines of standard input.

A script states what it is called with in a line such as ``parameters root fleet id name``; the function of that name in
``prelude.sh`` reads the values there, and ``host_command`` takes one for each::

    host_command("prelude.sh", "names.sh", "present.sh", root="/tmp/sandboxer", fleet="acme", id="0badcafe", name="")
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.hosts.escaping import standard_input
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Iterable


@cache
def script(*names: str) -> str:
    """Return the text of shell files, joined in the given order.

    A name is a path relative to this directory, or ``package:path`` for a file of another package.
    """
    return "\n".join(_text(*name.rpartition(":")) for name in names)


def _text(package: str, _colon: str, path: str) -> str:
    return files(package or "sandboxer.hosts").joinpath(path).read_text(encoding="utf-8")


@cache
def parameters(*names: str) -> tuple[str, ...]:
    """Return the parameters that shell files state, in order."""
    lines = (line.split() for line in script(*names).splitlines() if line.startswith("parameters "))
    return tuple(word for _, *words in lines for word in words)


def host_command(
    *names: str,
    timeout: float = 30.0,
    max_output: int = 32 * 1024 * 1024,
    lines: Iterable[str] = (),
    **values: object,
) -> Command:
    """Return the command that runs shell files, by the names that ``script`` takes, with a value for each parameter.

    ``lines`` follow the values on standard input, for a script that reads more. Raise TypeError unless the values are
    those of the parameters, and SandboxerError for a value or a line that holds a line break: see ``escaping``.
    """
    stated = parameters(*names)
    if missing := [name for name in stated if name not in values]:
        raise TypeError(f"{names[-1]} gets no value of {', '.join(missing)}")
    if unknown := [name for name in values if name not in stated]:
        raise TypeError(f"{names[-1]} states no parameter {', '.join(unknown)}")
    sent = [*(str(values[name]) for name in stated), *lines]
    if any("\n" in line for line in sent):
        raise SandboxerError(f"a parameter of {names[-1]} holds a line break")
    return Command(script(*names), standard_input(sent), timeout, max_output)
