"""``sandboxer ssh``."""

from __future__ import annotations

import os
from contextlib import ExitStack

import click

from sandboxer.cli.client_session import client_session

_COMMAND = "sandboxer.command"


class _WithCommand(click.Command):
    """Command that takes the words behind ``--`` as another command, whatever they look like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remove the words behind the first ``--``, and keep them."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command(cls=_WithCommand)
@click.argument("name", metavar="NAME|ID")
@click.argument("service", metavar="[SERVICE]", required=False)
@click.option("-T", "--no-terminal", is_flag=True, help="Do not allocate a terminal.")
def ssh(name: str, service: str | None, no_terminal: bool) -> int:
    """Open a shell or run a command in a sandbox.

    Runs in the container of SERVICE, or without SERVICE in the workspace on the host. The shell in a container is bash
    if installed, otherwise sh. Exits with the exit code of the command. A terminal is allocated only if standard input
    and output are terminals; otherwise standard input is passed on unchanged.

    \b
    Examples:
      sandboxer ssh checkout-e2e web
      sandboxer ssh checkout-e2e db -- psql -U postgres
      sandboxer ssh checkout-e2e db -- pg_dump shop > shop.sql
      sandboxer ssh 1f2e3d4c
    """
    from sandboxer.cli.ci_output import harmless_bytes
    from sandboxer.model.protocols import Terminal
    from sandboxer.wiring.edges import keyboard

    terminal = None
    if not no_terminal and keyboard.is_terminal():
        terminal = Terminal(os.environ.get("TERM", "xterm"), *keyboard.size())
    with client_session() as client, ExitStack() as stack:
        command = click.get_current_context().meta[_COMMAND]
        harmless = harmless_bytes()
        on_stderr = lambda data: keyboard.write(2, harmless(data))  # noqa: E731 - as short as its type is long
        shell = client.shell(name, service, command, terminal=terminal, on_stderr=on_stderr)
        stack.enter_context(shell)
        if terminal is not None:
            stack.enter_context(keyboard.Raw())
        return keyboard.carry(shell.stream, resizes=terminal is not None)
