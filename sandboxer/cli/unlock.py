"""``sandboxer unlock``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option
from sandboxer.cli.session import opened, session
from sandboxer.errors import UsageError
from sandboxer.reconcile.options import Options
from sandboxer.wiring.lookup import find
from sandboxer.wiring.planning import plan_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.lock import Lock
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.source import FleetSource


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("--end", is_flag=True, help="End the holder's work to release the lock.")
@click.option("-y", "--yes", is_flag=True, help="Skip the confirmation.")
@output_option("text", "json")
def unlock(name: str, end: bool, yes: bool, output: str) -> int:
    """Show who holds a sandbox's lock, or release it.

    The holder is the client that is changing the sandbox. Locks of a client that is gone are released within 30 s, so
    stale locks need no action. --end stops the work of a live client on the host and releases the lock; the next apply
    resumes from the record. It asks for confirmation; use -y where there is no terminal.

    \b
    Examples:
      sandboxer unlock checkout-e2e
      sandboxer unlock checkout-e2e --end
    """
    from sandboxer.hosts.locks import LockInspector

    if end and not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("cannot ask for confirmation without a terminal", hint="use -y to skip the confirmation")
    with opened() as (source, hosts):
        sandbox, identifier, likely = _identify(source, hosts, name)
        roots = {host: manifest.spec.root for host, manifest in source.fleet().hosts.items()}
        desk = LockInspector(source.fleet_name(), identifier, roots, hosts.transport)
        locks = [lock for lock in desk.inspect_all(sorted(roots)) if _matters(lock, likely)]
        held = [lock.host for lock in locks if lock.status == "held"]
        if end and held:
            if not yes and not _agreed(sandbox, locks):
                session().notify("info", "Nothing was changed.")
                return EXIT_ERROR
            ended = {lock.host: lock for lock in desk.inspect_all(held, end=True)}
            locks = [ended.get(lock.host, lock) for lock in locks]
    _report(sandbox, identifier, locks, output)
    left = end and any(lock.host in held and lock.status == "held" and not lock.ended for lock in locks)
    return EXIT_ERROR if left or any(lock.status == "unknown" for lock in locks) else EXIT_DONE


def _identify(source: FleetSource, hosts: FleetHosts, name: str) -> tuple[str, str, frozenset[str]]:
    """Return name and ID of a sandbox, and the hosts that may have it.

    Sandboxes that are not in git are looked up on the hosts.
    """
    for desired in source.fleet().sandboxes.values():
        if name in (desired.name, desired.id):
            return desired.name, desired.id, frozenset((*desired.eligible, *desired.formerly))
    there = find(plan_fleet(source, hosts, Options()), name)
    return there[0].change.sandbox, there[0].change.id, frozenset(one.observed.host for one in there)


def _matters(lock: Lock, likely: frozenset[str]) -> bool:
    return lock.here or lock.status != "free" or lock.host in likely


def _agreed(sandbox: str, locks: Sequence[Lock]) -> bool:
    from sandboxer.render.locks import locks_text

    stderr().print(locks_text(sandbox, locks))
    return click.confirm("\nEnd this work?", default=False, err=True)


def _report(sandbox: str, identifier: str, locks: Sequence[Lock], output: str) -> None:
    if output == "json":
        report = {"sandbox": sandbox, "id": identifier, "locks": [lock.to_json() for lock in locks]}
        write(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        from sandboxer.render.locks import locks_text

        stdout().print(locks_text(sandbox, locks))
