"""``sandboxer plan``."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.exit_codes import EXIT_DIFFERENCES, EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import diff_option, options_of, output_option, selectors
from sandboxer.cli.plan_output import print_plan
from sandboxer.cli.session import opened, session
from sandboxer.wiring.planning import approval_of, plan_fleet
from sandboxer.wiring.review import for_review

if TYPE_CHECKING:
    from sandboxer.wiring.planning import Planned


@click.command()
@selectors
@click.option("--out", metavar="FILE", help="Also save the plan to a file, for review and apply.")
@click.option("--all", "show_all", is_flag=True, help="Also show unchanged sandboxes.")
@diff_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if there are differences.")
@output_option("text", "wide", "json", "yaml", "name", "markdown")
def plan(
    out: str | None,
    show_all: bool,
    diff: bool,
    detailed_exitcode: bool,
    output: str,
    ref: str | None,
    **given: Any,
) -> int:
    """Show what apply would change, and why.

    Reads git and each host once, and changes nothing.

    Exits 0 on success, and 1 on any error or if the plan is incomplete because of an unreachable host or a blocked
    change. With --detailed-exitcode, exits 2 if there are differences.

    --diff shows the text of the files of each input that changed, without values of sensitive names.

    -o name prints the sandboxes that are not as git has them, one per line; -o wide adds the hosts and what is
    unchanged.

    \b
    Examples:
      sandboxer plan
      sandboxer plan --ref origin/main --target 'checkout-*'
      sandboxer plan --diff
      sandboxer plan -l 'team=payments,tier!=gold'
      sandboxer plan -o markdown > comment.md
      sandboxer plan --out plan.json && sandboxer apply plan.json
    """
    with opened(revision=ref) as (source, hosts):
        planned = plan_fleet(source, hosts, options_of(given))
        warn_of_none(planned)
        decided = for_review(planned, source, diff=diff).plan
        if out is not None:
            from sandboxer.cli import plan_file

            plan_file.save(decided, approval_of(source, planned.options), out)
    print_plan(decided, output, show_all=show_all)
    if out is not None and output == "text":
        session().notify(
            "info", f"Saved the plan to {out}. To apply exactly this plan, run: sandboxer apply {quote(out)}"
        )
    if not decided.complete:
        return EXIT_ERROR
    return EXIT_DIFFERENCES if detailed_exitcode and decided.differences else EXIT_DONE


def warn_of_none(planned: Planned) -> None:
    """Warn that a selector selects no sandbox, for then a plan has nothing to show."""
    options = planned.options
    if options.selector is not None and not options.selected:
        session().notify("warning", f"No sandbox in git or on the hosts has labels for {options.selector.text!r}.")
