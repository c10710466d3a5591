"""``sandboxer get`` and ``sandboxer list``: the sandboxes, and how to reach them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from sandboxer.cli.choice import Choice
from sandboxer.cli.client_session import client_session, warned
from sandboxer.cli.console import stdout, write_data, write_names
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option, selector_option
from sandboxer.model.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.handle import Handle
    from sandboxer.model.selector import Selector

# Destroyed sandboxes are not listed.
_PHASES = [phase.value for phase in Phase if phase is not Phase.DESTROYED]


@click.command("list")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Include only sandboxes on this host. Repeatable.")
@click.option(
    "--phase",
    "phases",
    multiple=True,
    type=Choice(_PHASES),
    metavar="PHASE",
    help="Include only sandboxes in this phase. Repeatable.",
)
@selector_option("--label")
@click.option("--mine", is_flag=True, help="Include only those you created from this machine.")
@output_option("table", "wide", "json", "yaml", "name")
def list_(hosts: tuple[str, ...], phases: tuple[str, ...], selector: Selector | None, mine: bool, output: str) -> int:
    """List the sandboxes on the hosts.

    Lists sandboxes from git and imperative ones. Exits 1 if a host could not be read in full: its sandboxes may
    be missing from the list.

    \b
    Examples:
      sandboxer list
      sandboxer list -o wide -l team=payments
      sandboxer list --mine --phase failed
      sandboxer list -o json | jq '.[].reachability'
    """
    from sandboxer.client import SandboxFilter
    from sandboxer.wiring.edges import who

    unseen: list[str] = []
    chosen = SandboxFilter(
        hosts=hosts, phases=phases, selector=selector.text if selector else "", by=who() if mine else None
    )
    with client_session(warn=unseen.append) as client:
        handles = [sandbox.handle for sandbox in client.list(chosen)]
    _print(handles, output)
    for words in unseen:
        warned(words)
    return EXIT_ERROR if unseen else EXIT_DONE


@click.command("get")
@click.argument("name", metavar="NAME|ID")
@output_option("text", "wide", "json", "yaml", "name")
def get(name: str, output: str) -> int:
    """Show one sandbox and how to reach it.

    Shows the phase, the health, the sync status with git, why its last operation failed, and the reachable ports.

    \b
    Examples:
      sandboxer get checkout-e2e
      sandboxer get 1f2e3d4c -o json
    """
    with client_session() as client:
        sandbox = client.get(name)
    shown = sandbox.handle
    if output == "text":
        from sandboxer.render.listing import handle_text

        stdout().print(handle_text(shown, datetime.now(UTC), sandbox.error_text))
    else:
        _print([shown], output) if output in ("name", "wide") else write_data(shown.to_json(), output)
    return EXIT_DONE


def _print(handles: Sequence[Handle], output: str) -> None:
    if output == "name":
        write_names(handle.name for handle in handles)
    elif output in ("json", "yaml"):
        write_data([handle.to_json() for handle in handles], output)
    else:
        from sandboxer.render.listing import list_table

        stdout().print(list_table(handles, wide=output == "wide"))
