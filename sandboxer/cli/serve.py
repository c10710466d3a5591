"""``sandboxer serve``: the HTTP API."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.console import write
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.cli.fleet_folder import fleet_folder
from sandboxer.cli.options import Duration
from sandboxer.cli.session import session

if TYPE_CHECKING:
    from datetime import timedelta

# Packages of the extra; each is imported only where the API is served.
_EXTRA = frozenset({"fastapi", "starlette", "uvicorn", "prometheus_client", "limits"})


class Every(Duration):
    """A duration, or 0 for never."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration; fail with a usage error and the reason if the text is not one."""
        from datetime import timedelta

        return timedelta(0) if value == "0" else super().convert(value, param, ctx)


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8700",
    show_default=True,
    help="Listen address. Port 0 picks a free port.",
)
@click.option("--tokens", metavar="FILE", help="The tokens file: names, digests, scopes, consumers.")
@click.option("--tls-cert", metavar="FILE", help="The TLS certificate, in PEM.")
@click.option("--tls-key", metavar="FILE", help="The TLS key, in PEM.")
@click.option("--behind-proxy", is_flag=True, help="Serve HTTP: a proxy in front terminates TLS.")
@click.option(
    "--operations", type=click.IntRange(1, 64), default=8, show_default=True, help="Run at most N operations at once."
)
@click.option(
    "--queue", type=click.IntRange(0, 10_000), default=100, show_default=True, help="Let at most N operations wait."
)
@click.option(
    "--rate", metavar="N/UNIT", default="120/minute", show_default=True, help="The request limit of each token."
)
@click.option(
    "--reap-every",
    type=Every(),
    default="1m",
    show_default=True,
    help="The interval of deleting expired sandboxes; 0: never.",
)
@click.option(
    "--grace", type=Every(), default="30s", show_default=True, help="The time to finish operations at shutdown."
)
def serve(reap_every: timedelta, grace: timedelta, **given: Any) -> int:
    """Serve the HTTP API until interrupted.

    Prints the URL once the server listens, and stops on Ctrl-C or SIGTERM. A loopback address needs no --tokens: the
    server prints a token for this run. Other addresses require --tokens, and TLS or --behind-proxy. The server keeps no
    state: the next server to start resumes interrupted operations. Requires the extra `api`: run pip install '.[api]'
    in a clone.

    \b
    Examples:
      sandboxer serve
      sandboxer serve --tokens /etc/sandboxer/tokens.yaml --operations 16 --rate 10/second
      sandboxer serve --listen 0.0.0.0:8700 --tokens tokens.yaml --tls-cert cert.pem --tls-key key.pem
      sandboxer serve --listen 0.0.0.0:8700 --tokens tokens.yaml --behind-proxy
    """
    from sandboxer.errors import UsageError, extra_hint

    own = session()
    root = fleet_folder()
    try:
        from sandboxer.api.server import serve as serve_api
        from sandboxer.api.settings import settings_of
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise UsageError(f"the HTTP API needs {error.name}", hint=extra_hint("api")) from None
    settings = settings_of(
        reap_every=reap_every.total_seconds(),
        grace=grace.total_seconds(),
        warn=lambda words: own.notify("warning", words),
        **given,
    )

    def announce(url: str) -> None:
        write(f"Sandboxer API on {url}")
        if settings.token is not None:
            write(f"Token of this run: {settings.token.reveal()}")
        sys.stdout.flush()

    serve_api(settings, root, announce, own.notify)
    return EXIT_DONE
