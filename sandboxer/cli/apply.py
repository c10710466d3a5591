"""``sandboxer apply`` and ``sandboxer prune``."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED
from sandboxer.cli.hub_reporting import reporting
from sandboxer.cli.interruption import finishing_changes
from sandboxer.cli.options import carries_out, diff_option, given_options, options_of, selectors
from sandboxer.cli.plan import warn_of_none
from sandboxer.cli.plan_output import print_plan
from sandboxer.cli.session import opened, session
from sandboxer.errors import UsageError
from sandboxer.model.lifecycle import Action
from sandboxer.model.run_events import ChangeEnded
from sandboxer.wiring.planning import plan_approved, plan_fleet
from sandboxer.wiring.review import for_review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.cli.options import CommandOptions
    from sandboxer.model.outcome import ChangedSecrets, Outcome
    from sandboxer.model.plan import Plan
    from sandboxer.model.saved_plan import SavedPlan
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.source import FleetSource


@click.command()
@click.argument("planfile", required=False, metavar="[PLANFILE]")
@selectors
@click.option("--no-prune", is_flag=True, help="Delete nothing.")
@click.option("--allow-dirty", is_flag=True, help="Apply uncommitted manifests.")
@diff_option
@carries_out
def apply(
    command: CommandOptions,
    planfile: str | None,
    ref: str | None,
    no_prune: bool,
    allow_dirty: bool,
    diff: bool,
    **given: Any,
) -> int:
    """Make the hosts match git, after confirmation.

    Creates, updates and repairs sandboxes, and deletes those removed from git. Prints the plan and asks for
    confirmation; use -y where there is no terminal. A failed or blocked change does not stop the others, but makes
    the exit code 1.

    With PLANFILE, written by `sandboxer plan --out`, applies that plan without confirmation and nothing beyond it.
    Changes that no longer match the state of the hosts are blocked as stale.

    \b
    Examples:
      sandboxer apply
      sandboxer apply -y --target checkout-e2e
      sandboxer apply -y --ref HEAD --no-prune
      sandboxer apply plan.json
    """
    saved = _read_plan(planfile) if planfile is not None else None
    with opened(revision=ref, read_secrets=saved is None) as (source, hosts):
        if source.files().dirty and not allow_dirty:
            raise UsageError(
                "the manifests have uncommitted changes",
                hint="commit them, apply a commit with --ref HEAD, or use --allow-dirty",
            )
        if saved is not None:
            return _carry_out_approved(source, hosts, saved, command, diff=diff)
        return _carry_out(source, hosts, options_of(given, prune=not no_prune), command, diff=diff)


@click.command()
@selectors
@click.option("--expired-only", is_flag=True, help="Delete only expired sandboxes.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; delete nothing.")
@carries_out
def prune(command: CommandOptions, ref: str | None, expired_only: bool, dry_run: bool, **given: Any) -> int:
    """Delete sandboxes that expired or left git.

    Creates, updates and repairs nothing.

    \b
    Examples:
      sandboxer prune --dry-run
      sandboxer prune -y --expired-only
    """
    options = options_of(given, only_deletes=True, only_expired=expired_only)
    with opened(revision=ref) as (source, hosts):
        if dry_run:
            decided = plan_fleet(source, hosts, options)
            warn_of_none(decided)
            print_plan(decided.plan, command.output)
            return EXIT_DONE if decided.plan.complete else EXIT_ERROR
        return _carry_out(source, hosts, options, command)


def _carry_out(
    source: FleetSource, hosts: FleetHosts, options: Options, command: CommandOptions, *, diff: bool = False
) -> int:
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if not command.yes and not interactive:
        raise UsageError("cannot ask for confirmation without a terminal", hint="use -y to skip the confirmation")
    planned = for_review(plan_fleet(source, hosts, options), source, diff=diff)
    warn_of_none(planned)
    if command.output == "text":
        print_plan(planned.plan, "text")
    if planned.plan.differences and not command.yes and not _approved(planned.plan, command.output):
        session().notify("info", "Nothing was changed.")
        return EXIT_ERROR
    return _act(source, hosts, planned, planned.options, command)


def _read_plan(name: str) -> SavedPlan:
    """Return the saved plan, which has its own selectors and guards.

    Raise UsageError if others are given beside it.
    """
    from sandboxer.cli.plan_file import read

    beside = list(given_options(click.get_current_context()))
    if beside:
        raise UsageError(
            f"{', '.join(beside)} cannot be used with {name}: a saved plan keeps its own selectors and guards",
            hint=f"create a new plan: sandboxer plan {beside[0]} … --out FILE",
        )
    return read(name)


def _carry_out_approved(
    source: FleetSource, hosts: FleetHosts, saved: SavedPlan, command: CommandOptions, *, diff: bool
) -> int:
    """Carry out the changes that are still as approved. The saved plan is the approval, so there is no prompt."""
    planned = for_review(plan_approved(source, hosts, saved), source, diff=diff)
    if command.output == "text":
        print_plan(planned.plan, "text")
    return _act(source, hosts, planned.of_fleet(source.fleet_with_secrets()), None, command)


def _act(
    source: FleetSource, hosts: FleetHosts, planned: Planned, options: Options | None, command: CommandOptions
) -> int:
    """Carry out a plan and report the outcome; return the exit code."""
    from sandboxer.wiring.applying import apply_plan
    from sandboxer.wiring.changed_secrets import changed_secrets

    began = time.monotonic()
    with reporting(source, hosts) as reporter:
        stopping = command.operation.stopping
        with finishing_changes(stopping), session().screen():
            outcomes = apply_plan(planned, source, hosts, reporter, command.operation, again=options)
        for outcome in outcomes:
            if outcome.change in planned.plan.changes and outcome.change.action is Action.BLOCKED:
                session().receive(ChangeEnded(outcome, begun=False))
        secrets = changed_secrets(planned, outcomes)
        if command.output == "text" and secrets:
            from sandboxer.render.secrets import secrets_text

            stdout().print(secrets_text(secrets, saved=options is None))
        _report(planned.plan, outcomes, secrets, command.output, time.monotonic() - began)
        well = planned.plan.complete and all(one.ok for one in outcomes)
        return reporter.exits(EXIT_INTERRUPTED if stopping.is_set() else EXIT_DONE if well else EXIT_ERROR)


def _approved(decided: Plan, output: str) -> bool:
    if output != "text":
        from sandboxer.render.plan_text import plan_text

        stderr().print(plan_text(decided))
    return click.confirm("\nApply these changes?", default=False, err=True)


def _report(
    decided: Plan, outcomes: Sequence[Outcome], secrets: Sequence[ChangedSecrets], output: str, seconds: float
) -> None:
    begun = {outcome.change.id for outcome in outcomes}
    left = sum(1 for change in decided.changes if change.acts and change.id not in begun)  # after an interrupt
    if output == "text":
        from sandboxer.render.live import apply_summary

        stdout().print(apply_summary(outcomes, seconds, decided.hosts, left))
        return
    from sandboxer.render.remedies import in_json

    result = {
        "format_version": "1.0",
        "fleet": decided.fleet,
        "commit": decided.commit,
        "complete": decided.complete and not left and all(outcome.ok for outcome in outcomes),
        "plan": decided.to_json(in_json),
        "outcomes": [outcome.to_json(in_json) for outcome in outcomes],
        **({"secrets": [one.to_json() for one in secrets]} if secrets else {}),
        "seconds": round(seconds, 3),
    }
    write(json.dumps(result, indent=2, ensure_ascii=False))
