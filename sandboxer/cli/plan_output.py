"""A plan on standard output, in one of its formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.cli.console import stdout, write, write_data, write_names
from sandboxer.model.lifecycle import Action

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan


def print_plan(decided: Plan, output: str, *, show_all: bool = False) -> None:
    """Print a plan in one of its formats: with ``name`` the sandboxes that are not as git has them."""
    if output in ("json", "yaml"):
        from sandboxer.render.remedies import in_json

        write_data(decided.to_json(in_json), output)
    elif output == "name":
        shown = [change.sandbox for change in decided.changes if show_all or change.action is not Action.NO_OP]
        write_names(shown)
    elif output == "markdown":
        from sandboxer.render.plan_markdown import plan_markdown

        write(plan_markdown(decided))
    else:
        from sandboxer.render.plan_text import plan_text

        if output == "wide":
            from sandboxer.render.plan_wide import hosts_text

            stdout().print(hosts_text(decided))
        stdout().print(plan_text(decided, show_all=show_all or output == "wide"))
