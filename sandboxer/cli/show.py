"""``sandboxer show``."""

from __future__ import annotations

import click

from sandboxer.cli.console import write_data
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.cli.options import output_option
from sandboxer.cli.plan_output import print_plan


@click.command()
@click.argument("planfile", metavar="PLANFILE", type=click.Path())
@click.option("--all", "show_all", is_flag=True, help="Also show unchanged sandboxes.")
@output_option("text", "wide", "json", "yaml", "name", "markdown")
def show(planfile: str, show_all: bool, output: str) -> int:
    """Show a saved plan.

    Prints a file written by `sandboxer plan --out` as `sandboxer plan` did. Needs no fleet and contacts no host: it
    shows what was approved, not what an apply would still do.

    \b
    Examples:
      sandboxer show plan.json
      sandboxer show plan.json -o markdown
      sandboxer show plan.json -o json | jq '.approval.options'
    """
    from sandboxer.cli.plan_file import read_to_show

    decided, content = read_to_show(planfile)
    if output in ("json", "yaml"):
        write_data(content, output, ascii_only=True)
    else:
        print_plan(decided, output, show_all=show_all)
    return EXIT_DONE
