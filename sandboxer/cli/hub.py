"""``sandboxer hub``: the State Hub."""

from __future__ import annotations

import sys

import click

from sandboxer.cli.console import write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.groups import SummaryGroup
from sandboxer.cli.hub_reporting import reporting
from sandboxer.cli.session import opened, session

FLUSH_PATIENCE, FLUSH_MOST = 15.0, 600.0  # seconds

# Packages of the extra; each is imported only where the hub is served.
_EXTRA = frozenset({"fastapi", "starlette", "uvicorn", "prometheus_client"})


@click.group(cls=SummaryGroup)
@click.pass_context
def hub(context: click.Context) -> None:
    """Run a State Hub, or send it pending events.

    A State Hub stores the lifecycle events of fleets, and shows them on a web page.

    \b
    Examples:
      sandboxer hub serve           on this machine only, with a token for this run
      sandboxer hub flush           send pending events to the fleet's State Hub
      sandboxer hub serve --help    address, token and database
    """
    session().name(f"hub {context.invoked_subcommand}")


@hub.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8600",
    show_default=True,
    help="Listen address. Port 0 picks a free port.",
)
@click.option("--token", metavar="SOURCE", help="Where to read the token: env:NAME or file:PATH.")
@click.option("--database", metavar="FILE", help="The database. Default: in the user's state folder.")
def serve(listen: str, token: str | None, database: str | None) -> int:
    """Serve a State Hub until interrupted.

    Prints the URL of the web page once the server listens, and stops on Ctrl-C or SIGTERM. Without --token, the URL
    contains a token for this run. Addresses other than loopback require --token. Requires the extra `hub`: run
    pip install '.[hub]' in a clone.

    \b
    Examples:
      sandboxer hub serve
      sandboxer hub serve --listen 0.0.0.0:8600 --token file:/etc/sandboxer/hub-token
      STATE_HUB_TOKEN=... sandboxer hub serve --token env:STATE_HUB_TOKEN --database hub.sqlite
    """
    from sandboxer.errors import UsageError, extra_hint
    from sandboxer.hub.settings import settings_of

    settings = settings_of(listen, token, database)
    try:
        from sandboxer.hub.server import serve as serve_hub
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise UsageError(f"the State Hub needs {error.name}", hint=extra_hint("hub")) from None

    def announce(address: str) -> None:
        write(f"State Hub on {address}")
        sys.stdout.flush()

    serve_hub(settings, announce)
    return EXIT_DONE


@hub.command()
def flush() -> int:
    """Send pending events to the fleet's State Hub.

    Waits until the hub acknowledges them. apply, prune and drift also send events, but wait only briefly. Exits 1 if
    events remain pending or a host did not answer.

    \b
    Examples:
      sandboxer hub flush
    """
    from sandboxer.errors import UsageError
    from sandboxer.model.text import named

    with opened(find_inputs=False) as (source, hosts):
        if not source.has_hub():
            raise UsageError("the fleet has no State Hub", hint="set spec.stateHub.url in sandboxer.yaml")
        with reporting(source, hosts, patience=FLUSH_PATIENCE, most=FLUSH_MOST) as reporter:
            observations = hosts.observe()
            reporter.begin(observations)
        unheard, reported = observations.unreachable(), reporter.sent
        for name, why in unheard.items():
            session().notify("warning", f"{named('host', name)} did not answer: {why}", name)
    session().notify("info", f"Reported {reported} sandbox{'' if reported == 1 else 'es'} to State Hub.")
    return EXIT_ERROR if unheard or reporter.problems else EXIT_DONE
