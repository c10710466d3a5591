"""``sandboxer apply`` and ``sandboxer prune``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.main import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import options_of, output_option, selectors
from sandboxer.cli.plan import make_plan, show
from sandboxer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Plan
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring import ApplyOptions, Run

_HOW = (
    click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    click.option("--parallelism", type=click.IntRange(1, 256), default=16, show_default=True, help="Hosts at once."),
    click.option("--lock-timeout", default="60s", show_default=True, help="How long to wait for another client."),
    output_option("text", "json"),
)


def _how(command: Any) -> Any:
    for option in reversed(_HOW):
        command = option(command)
    return command


@click.command()
@selectors
@click.option("--no-prune", is_flag=True, help="Delete nothing.")
@click.option("--allow-dirty", is_flag=True, help="Apply manifests that are not committed.")
@_how
def apply(
    yes: bool,
    parallelism: int,
    lock_timeout: str,
    output: str,
    ref: str | None,
    no_prune: bool,
    allow_dirty: bool,
    **given: Any,
) -> int:
    """Make the hosts as git wants them: create, update, repair, and delete what git no longer has.

    Shows the plan and asks first; without a terminal it needs -y. Exits 1 where anything failed or is blocked; what
    could be done is done all the same.

    \b
    Examples:
      sandboxer apply
      sandboxer apply -y --target checkout-e2e
      sandboxer apply -y --ref HEAD --no-prune
    """
    from sandboxer.wiring import ApplyOptions, Run

    how = ApplyOptions(parallelism, _seconds(lock_timeout))
    with Run(Path.cwd(), revision=ref, read_secrets=True, allow_rollback=given["allow_rollback"]) as run:
        if run.files.dirty and not allow_dirty:
            raise UsageError(
                "the manifests have changes that are not committed",
                hint="commit them; or apply a commit with --ref HEAD; or give --allow-dirty where that is meant",
            )
        return _carry_out(run, options_of(given, prune=not no_prune), how, output, yes=yes)


@click.command()
@selectors
@click.option("--expired-only", is_flag=True, help="Only what has expired.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@_how
def prune(
    yes: bool,
    parallelism: int,
    lock_timeout: str,
    output: str,
    ref: str | None,
    expired_only: bool,
    dry_run: bool,
    **given: Any,
) -> int:
    """Delete what git no longer has and what has expired, and nothing else.

    \b
    Examples:
      sandboxer prune --dry-run
      sandboxer prune -y --expired-only
    """
    from sandboxer.wiring import ApplyOptions, Run

    options = options_of(given, only_deletes=True, only_expired=expired_only)
    with Run(Path.cwd(), revision=ref, allow_rollback=given["allow_rollback"]) as run:
        if dry_run:
            decided = make_plan(run, options)
            show(decided, output)
            return EXIT_DONE if decided.complete else EXIT_ERROR
        return _carry_out(run, options, ApplyOptions(parallelism, _seconds(lock_timeout)), output, yes=yes)


def _seconds(text: str) -> float:
    from sandboxer.model.quantity import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--lock-timeout") from None


def _carry_out(run: Run, options: Options, how: ApplyOptions, output: str, *, yes: bool) -> int:
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    if not yes and not asks:
        raise UsageError("there is no terminal to ask on", hint="give -y where the plan need not be approved")
    decided = make_plan(run, options)
    if output == "text":
        show(decided, "text")
    if decided.differences and not yes and not _approved(decided, output):
        stderr().print("Nothing was changed.")
        return EXIT_ERROR
    began = time.monotonic()
    outcomes = _follow(run, decided, options, how)
    _report(decided, outcomes, output, time.monotonic() - began)
    return EXIT_DONE if decided.complete and all(outcome.ok for outcome in outcomes) else EXIT_ERROR


def _approved(decided: Plan, output: str) -> bool:
    if output != "text":
        from sandboxer.render.plan_text import plan_text

        stderr().print(plan_text(decided))
    return click.confirm("\nCarry this out?", default=False, err=True)


def _follow(run: Run, decided: Plan, options: Options, how: ApplyOptions) -> list[Outcome]:
    from sandboxer.render.live import LiveView, PlainView

    console = stderr()
    with LiveView(console) if console.is_terminal else PlainView(sys.stderr) as view:
        return run.apply(decided, options, how, view)


def _report(decided: Plan, outcomes: Sequence[Outcome], output: str, seconds: float) -> None:
    if output == "text":
        from sandboxer.render.live import apply_summary

        stdout().print(apply_summary(outcomes, seconds))
        return
    result = {
        "format_version": "1.0",
        "fleet": decided.fleet,
        "commit": decided.commit,
        "complete": decided.complete and all(outcome.ok for outcome in outcomes),
        "plan": decided.to_json(),
        "outcomes": [outcome.to_json() for outcome in outcomes],
        "seconds": round(seconds, 3),
    }
    write(json.dumps(result, indent=2, ensure_ascii=False))
