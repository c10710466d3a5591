"""``sandboxer doctor``."""

from __future__ import annotations

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option
from sandboxer.cli.session import opened


@click.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--ref", metavar="REV", help="Read the manifests of this git revision.")
@output_option("text", "json")
def doctor(hosts: tuple[str, ...], ref: str | None, output: str) -> int:
    """Check what the hosts need, and suggest remedies.

    Uses one connection to each host, and changes nothing. Exits 1 on errors: an unreachable host, or one that cannot
    run sandboxes. Warnings and notes do not affect the exit code.

    \b
    Examples:
      sandboxer doctor                     every host of the fleet
      sandboxer doctor lab-1
      sandboxer doctor -o json | jq '.hosts[] | select(.ok | not).name'
    """
    from sandboxer.render import doctor as render
    from sandboxer.wiring.host_checks import check_host

    with opened(revision=ref) as (source, fleet_hosts):
        console = stderr()
        if console.is_terminal:
            with console.status("Checking the hosts …"):
                checkups = check_host(source.sound(), source.registry(), fleet_hosts.transport, hosts)
        else:
            checkups = check_host(source.sound(), source.registry(), fleet_hosts.transport, hosts)
    if output == "json":
        write(render.doctor_json(checkups))
    else:
        stdout().print(render.doctor_text(checkups))
    return EXIT_DONE if all(report.ok for report in checkups) else EXIT_ERROR
