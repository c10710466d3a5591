"""``sandboxer extend-ttl``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sandboxer.cli.client_session import client_session
from sandboxer.cli.console import stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.cli.options import Duration, lock_timeout_option, output_option

if TYPE_CHECKING:
    from datetime import timedelta


@click.command("extend-ttl")
@click.argument("name", metavar="NAME|ID")
@click.argument("by", metavar="DURATION", type=Duration())
@lock_timeout_option
@output_option("text", "json")
def extend_ttl(name: str, by: timedelta, lock_timeout: timedelta, output: str) -> int:
    """Extend the time to live of a sandbox.

    Adds DURATION (90s, 15m, 8h, 2d) to the expiry, up to the profile's ttl.max after creation. Plans show no difference
    for an extension; a later change of ttl or expiresAt in git overrides it. Expired sandboxes can be extended until
    they are pruned.

    \b
    Examples:
      sandboxer extend-ttl checkout-e2e 2h
      sandboxer extend-ttl 1f2e3d4c 30m -o json
    """
    with client_session(lock_timeout, changes_record=True) as client:
        handle = client.extend_ttl(name, by).handle
    if output == "json":
        write(json.dumps(handle.to_json(), indent=2, ensure_ascii=False))
    else:
        from sandboxer.render.listing import extended_text

        stdout().print(extended_text(handle))
    return EXIT_DONE
