"""``sandboxer plan``."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from itertools import count
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.main import EXIT_DIFFERENCES, EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import options_of, output_option, selectors
from sandboxer.cli.session import opened, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.observed import HostObservation
    from sandboxer.model.plan import Plan
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring import Run


@click.command()
@selectors
@click.option("--out", metavar="FILE", help="Save the plan to a file too, to be approved and applied.")
@click.option("--all", "show_all", is_flag=True, help="Show what does not change too.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where there are differences.")
@output_option("text", "json", "markdown")
def plan(out: str | None, show_all: bool, detailed_exitcode: bool, output: str, ref: str | None, **given: Any) -> int:
    """Show what apply would change, and why.

    Changes nothing: it reads git, and each host once.

    Exits 0; 1 on any error, or where the plan is not complete: a host not seen, a change blocked; and with
    --detailed-exitcode 2 where there are differences.

    \b
    Examples:
      sandboxer plan
      sandboxer plan --ref origin/main --target checkout-e2e
      sandboxer plan -o markdown > comment.md
      sandboxer plan --out plan.json && sandboxer apply plan.json
    """
    with opened(revision=ref) as run:
        options = options_of(given)
        decided = make_plan(run, options)
        if out is not None:
            from sandboxer.cli import plan_file

            plan_file.save(decided, run.approval(options), out)
    show(decided, output, show_all=show_all)
    if out is not None and output == "text":
        session().said("info", f"The plan is in {out}: `sandboxer apply {quote(out)}` does this and nothing else.")
    if not decided.complete:
        return EXIT_ERROR
    return EXIT_DIFFERENCES if detailed_exitcode and decided.differences else EXIT_DONE


def make_plan(run: Run, options: Options) -> Plan:
    """Return a plan; on a terminal, show how many hosts have answered."""
    with looking(run):
        return run.plan(options)


@contextmanager
def looking(run: Run) -> Iterator[None]:
    """Show on a terminal how many hosts have answered while the run observes them."""
    if not sys.stderr.isatty():
        yield
        return
    with stderr().status("Looking at the hosts …") as status:
        tell, answered = run.on_observation, count(1)

        def hosts_observed(observation: HostObservation, seconds: float) -> None:
            tell(observation, seconds)
            status.update(f"Looking at the hosts: {next(answered)} of {len(run.sound().hosts)} …")

        run.on_observation = hosts_observed
        try:
            yield
        finally:
            run.on_observation = tell


def show(decided: Plan, output: str, *, show_all: bool = False) -> None:
    """Print a plan in one of its formats."""
    if output == "json":
        write(json.dumps(decided.to_json(), indent=2, ensure_ascii=False))
    elif output == "markdown":
        from sandboxer.render.plan_markdown import plan_markdown

        write(plan_markdown(decided))
    else:
        from sandboxer.render.plan_text import plan_text

        stdout().print(plan_text(decided, show_all=show_all))
