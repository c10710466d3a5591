"""``sandboxer logs``."""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.client_session import client_session
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.cli.signals import until_interrupted

if TYPE_CHECKING:
    from sandboxer.extensions.capabilities import LogLine

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,40}m)")


class _Tail(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A number of lines, or ``all``; its value is None for all."""

    name = "lines"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number; fail with a usage error if the text is not one."""
        if value == "all":
            return None
        if not str(value).isdecimal() or len(str(value)) > 9:
            self.fail(f"{value!r} is not a number of lines, or `all`", param, ctx)
        return int(value)


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("-f", "--follow", is_flag=True, help="Print new lines until interrupted or all containers end.")
@click.option("--service", "services", multiple=True, metavar="S", help="Include only this service. Repeatable.")
@click.option(
    "-n", "--tail", type=_Tail(), metavar="N|all", default="all", help="Print the last N lines of each container."
)
@click.option("-t", "--timestamps", is_flag=True, help="Prefix each line with its timestamp.")
def logs(name: str, follow: bool, services: tuple[str, ...], tail: int | None, timestamps: bool) -> int:
    """Show the logs of a sandbox's containers.

    Includes stopped containers. --follow continues with a container that restarts, or that an update recreates.

    \b
    Examples:
      sandboxer logs checkout-e2e
      sandboxer logs checkout-e2e --follow --service web --tail 100
      sandboxer logs 1f2e3d4c -t > checkout.log
    """
    show = _Show()
    with client_session() as client, ExitStack() as stack:
        lines = client.logs(name, services=services, tail=tail, follow=follow, timestamps=timestamps)
        stack.callback(lines.close)
        if follow:
            stack.enter_context(until_interrupted())
        for line in lines:
            show(line)
            if follow:
                sys.stdout.flush()
        sys.stdout.flush()
    return EXIT_DONE


class _Show:
    """Writer of log lines to standard output: unchanged for programs, harmless on a terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._colours = self._terminal and not os.environ.get("NO_COLOR")
        self._width = 0
        self._styles: dict[str, int] = {}

    def __call__(self, line: LogLine) -> None:
        """Write one line."""
        sys.stdout.buffer.write(self._for_people(line) if self._terminal else self._for_programs(line))

    def _for_programs(self, line: LogLine) -> bytes:
        return line.source.encode() + b" | " + line.data + b"\n"

    def _for_people(self, line: LogLine) -> bytes:
        self._width = max(self._width, len(line.source))
        head = f"{line.source:{self._width}} |"
        if not self._colours:
            return f"{head} {harmless(_COLOUR.sub('', line.text))}\n".encode()
        style = self._styles.setdefault(line.source, _COLOURS[len(self._styles) % len(_COLOURS)])
        return f"\x1b[{style}m{head}\x1b[0m {harmless(line.text)}\x1b[0m\n".encode()


def harmless(text: str) -> str:
    """Return the text with a mark for each control character, except tabs and colours."""
    from sandboxer.model.text import plain_line

    parts = _COLOUR.split(text)
    parts[::2] = ["\t".join(plain_line(piece) for piece in part.split("\t")) for part in parts[::2]]
    return "".join(parts)
