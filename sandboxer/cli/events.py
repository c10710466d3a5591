"""``sandboxer events``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from sandboxer.cli.client_session import client_session, warned
from sandboxer.cli.console import stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option

if TYPE_CHECKING:
    from sandboxer.model.event import Event


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("-f", "--follow", is_flag=True, help="Print new events until interrupted or destroyed.")
@output_option("text", "json")
def events(name: str, follow: bool, output: str) -> int:
    """Show the lifecycle events of a sandbox.

    Reads the journals on the hosts, oldest event first. For a destroyed sandbox, only events that are still pending for
    State Hub remain. JSON output is one CloudEvent per line. Exits 1 if there are no events or a host did not answer.

    \b
    Examples:
      sandboxer events checkout-e2e
      sandboxer events checkout-e2e --follow
      sandboxer events 1f2e3d4c -o json | jq -r .type
    """
    unheard: list[str] = []

    def warn(words: str) -> None:
        unheard.append(words)
        warned(words)

    with client_session(warn=warn) as client:
        for event in client.events(name, follow=follow):
            if event is not None:
                _show(event, output)
    return EXIT_ERROR if unheard else EXIT_DONE


def _show(event: Event, output: str) -> None:
    if output == "json":
        from sandboxer.model.hub import cloud_event

        write(json.dumps(cloud_event(event).to_json(), ensure_ascii=False))
    else:
        from sandboxer.render.events import event_line

        stdout().print(event_line(event))
    sys.stdout.flush()  # a pipe must receive each event at once
