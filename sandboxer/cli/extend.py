"""``sandboxer extend-ttl``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.main import EXIT_DONE
from sandboxer.cli.options import Duration, lock_timeout_option, output_option
from sandboxer.cli.plan import make_plan
from sandboxer.cli.session import opened, session
from sandboxer.cli.telling import telling
from sandboxer.errors import UsageError
from sandboxer.reconcile.options import Options
from sandboxer.wiring.found import find, handle_of

if TYPE_CHECKING:
    from datetime import timedelta

    from sandboxer.model.record import Record
    from sandboxer.wiring import ApplyOptions, Run
    from sandboxer.wiring.found import There


@click.command("extend-ttl")
@click.argument("name", metavar="NAME|ID")
@click.argument("by", metavar="DURATION", type=Duration())
@lock_timeout_option
@output_option("text", "json")
def extend_ttl(name: str, by: timedelta, lock_timeout: timedelta, output: str) -> int:
    """Let a sandbox live longer: DURATION (90s, 15m, 8h, 2d) is added to its end.

    It ends at the latest when the profile's ttl.max has passed since its creation. A plan shows no difference for it; a
    later change of ttl or expiresAt in git wins. What has expired and is not pruned yet can be extended too.

    \b
    Examples:
      sandboxer extend-ttl checkout-e2e 2h
      sandboxer extend-ttl 1f2e3d4c 30m -o json
    """
    from sandboxer.wiring import ApplyOptions

    with opened() as run:
        home = _home(find(run, make_plan(run, Options()), name))
        with telling(run):
            record = _extend(run, home, by, ApplyOptions(lock_timeout=lock_timeout.total_seconds()))
        found = replace(home.sight.found, record=record) if home.sight.found else None
        handle = handle_of(run, replace(home, sight=replace(home.sight, found=found)))
    if output == "json":
        write(json.dumps(handle, indent=2, ensure_ascii=False))
    else:
        from sandboxer.render.listing import extended_text

        stdout().print(extended_text(handle))
    return EXIT_DONE


def _home(found: list[There]) -> There:
    """The one copy that may be extended. Raises UsageError where it is in doubt which one, or whether it is ours."""
    copies = [there for there in found if not there.stray]
    name, hosts = found[0].change.sandbox, ", ".join(there.sight.host for there in found)
    if len(copies) != 1:
        raise UsageError(f"{name} is on {hosts}: which copy stays is not decided", hint="`sandboxer apply` decides it")
    if copies[0].sight.doubt or copies[0].sight.record is None:
        reason = copies[0].sight.doubt or "its record is gone"
        raise UsageError(f"the end of {name} on {hosts} cannot be moved: {reason}", hint="see `sandboxer plan`")
    return copies[0]


def _extend(run: Run, home: There, by: timedelta, how: ApplyOptions) -> Record:
    from sandboxer.reconcile.expiry import says_otherwise

    watch, change = session(), replace(home.change, host=home.sight.host)

    def waiting(step: str) -> None:
        watch.following().progressed(change, step)
        if not watch.logs:
            stderr().print(f"{change.sandbox} on {change.host}: {step}", markup=False)

    record = run.extend(home.change, home.sight.host, by, how, waiting)
    if home.desired is not None and says_otherwise(home.desired, record):
        watch.said(
            "warning", f"git has another ttl or expiresAt for {record.name} by now, and the next apply keeps to that."
        )
    return record
