"""``sandboxer forward``."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from sandboxer.cli.client_session import client_session
from sandboxer.cli.console import write
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.cli.options import output_option
from sandboxer.cli.signals import until_interrupted

if TYPE_CHECKING:
    from sandboxer.client.connect.forward import Forward, PortRequest


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.argument("ports", metavar="[[LOCAL:]PORT]...", nargs=-1)
@click.option("--service", metavar="S", help="The service of the ports, if several could match.")
@click.option("--address", metavar="A", default="127.0.0.1", show_default=True, help="The local address to listen on.")
@output_option("text", "json")
def forward(name: str, ports: tuple[str, ...], service: str | None, address: str, output: str) -> int:
    """Forward local ports to a sandbox until interrupted.

    Prints a line for each port once it is open. PORT is a port name from the profile's reachability, or a container
    port. Without PORT, forwards every port of the reachability; without LOCAL, chooses a free local port. All
    connections share one SSH connection to the host, work under `egress: deny`, and survive a restart or recreation of
    the container.

    \b
    Examples:
      sandboxer forward checkout-e2e
      sandboxer forward checkout-e2e 8080:http
      sandboxer forward 1f2e3d4c 5432 --service db -o json
    """
    request = [_request(port) for port in ports]
    with client_session() as client, ExitStack() as stack:
        made = client.forward_all(name, request, service=service, address=address)
        for one in made:
            stack.callback(one.close)
        stack.enter_context(until_interrupted())
        for one in made:
            write(json.dumps(one.to_json(), ensure_ascii=False) if output == "json" else _line(one))
        sys.stdout.flush()
        threading.Event().wait()
    return EXIT_DONE


def _line(made: Forward) -> str:
    handle = made.to_json()
    return f"{handle['service']}/{handle['name']}: {handle['url']}"


def _request(text: str) -> PortRequest:
    from sandboxer.client.connect.forward import PortRequest

    local, colon, port = text.rpartition(":")
    if not port or (colon and not (local.isdecimal() and len(local) < 6 and int(local) < 65536)):
        raise click.UsageError(f"invalid port {text!r}: expected [LOCAL:]PORT, for example 8080:http")
    return PortRequest(port, int(local or 0))
