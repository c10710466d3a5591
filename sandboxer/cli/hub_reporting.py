"""Reports of a command's events to State Hub, with a warning if that fails."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.session import session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.reporting import Reporter
    from sandboxer.wiring.source import FleetSource


@contextmanager
def reporting(source: FleetSource, hosts: FleetHosts, **patience: Any) -> Iterator[Reporter]:
    """Report the events within the block to State Hub, under the command's name; warn of what it did not take."""
    from sandboxer.wiring.reporting import reported

    name = click.get_current_context().info_name or ""
    found: list[Reporter] = []
    try:
        with reported(source, hosts.transport, name, session().run_id, **patience) as reporter:
            found.append(reporter)
            yield reporter
    finally:
        for problem in (problem for reporter in found for problem in reporter.problems):
            session().notify("warning", f"{problem}.")
