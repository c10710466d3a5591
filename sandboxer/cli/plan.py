"""``sandboxer plan``."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.console import stdout, write
from sandboxer.cli.exit_codes import EXIT_DIFFERENCES, EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import options_of, output_option, selectors
from sandboxer.cli.session import opened, session
from sandboxer.wiring.input_changes import with_input_changes
from sandboxer.wiring.planning import approval_of, plan_fleet

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan


@click.command()
@selectors
@click.option("--out", metavar="FILE", help="Also save the plan to a file, for review and apply.")
@click.option("--all", "show_all", is_flag=True, help="Also show unchanged sandboxes.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if there are differences.")
@output_option("text", "json", "markdown")
def plan(out: str | None, show_all: bool, detailed_exitcode: bool, output: str, ref: str | None, **given: Any) -> int:
    """Show what apply would change, and why.

    Reads git and each host once, and changes nothing.

    Exits 0 on success, and 1 on any error or if the plan is incomplete because of an unreachable host or a blocked
    change. With --detailed-exitcode, exits 2 if there are differences.

    \b
    Examples:
      sandboxer plan
      sandboxer plan --ref origin/main --target checkout-e2e
      sandboxer plan -o markdown > comment.md
      sandboxer plan --out plan.json && sandboxer apply plan.json
    """
    with opened(revision=ref) as (source, hosts):
        options = options_of(given)
        decided = with_input_changes(plan_fleet(source, hosts, options), source.inputs())
        if out is not None:
            from sandboxer.cli import plan_file

            plan_file.save(decided, approval_of(source, options), out)
    show(decided, output, show_all=show_all)
    if out is not None and output == "text":
        session().notify(
            "info", f"Saved the plan to {out}. To apply exactly this plan, run: sandboxer apply {quote(out)}"
        )
    if not decided.complete:
        return EXIT_ERROR
    return EXIT_DIFFERENCES if detailed_exitcode and decided.differences else EXIT_DONE


def show(decided: Plan, output: str, *, show_all: bool = False) -> None:
    """Print a plan in one of its formats."""
    if output == "json":
        from sandboxer.render.remedies import in_json

        write(json.dumps(decided.to_json(in_json), indent=2, ensure_ascii=False))
    elif output == "markdown":
        from sandboxer.render.plan_markdown import plan_markdown

        write(plan_markdown(decided))
    else:
        from sandboxer.render.plan_text import plan_text

        stdout().print(plan_text(decided, show_all=show_all))
