"""``sandboxer drift``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.main import EXIT_DIFFERENCES, EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option
from sandboxer.reconcile.options import Options

if TYPE_CHECKING:
    from sandboxer.model.drift import DriftReport
    from sandboxer.wiring import Run


@click.command()
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this sandbox; may be given again.")
@click.option("--exclude", "excluded", multiple=True, metavar="NAME", help="Not this sandbox; may be given again.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only sandboxes on this host.")
@click.option("--deep", is_flag=True, help="Compare the content of every delivered file with git.")
@output_option("text", "json", "markdown")
def drift(targets: tuple[str, ...], excluded: tuple[str, ...], hosts: tuple[str, ...], deep: bool, output: str) -> int:
    """Show what runs otherwise than the last apply left it, for every sandbox on the hosts.

    Git's sandboxes are compared, suspended and orphaned ones too, and imperative ones; nothing is repaired. No input
    repository and no secret is needed, but with --deep the inputs. What is told is noted on the hosts, and what is over
    since is told once as resolved.

    Exits 0 where there is no drift, 2 where there is, and 1 on any error, or where something is Unknown: a host not
    seen, a record that cannot be read, labels that do not agree with it.

    \b
    Examples:
      sandboxer drift
      sandboxer drift --target checkout-e2e --deep
      sandboxer drift -o json | jq '.changes[].drift[].path'
    """
    from sandboxer.wiring import Run

    options = Options(targets=frozenset(targets), excluded=frozenset(excluded), hosts=frozenset(hosts))
    with Run(Path.cwd(), find_inputs=False) as run:
        report = _find(run, options, deep=deep)
    _show(report, output)
    if not report.complete:
        return EXIT_ERROR
    return EXIT_DIFFERENCES if report.drifted else EXIT_DONE


def _find(run: Run, options: Options, *, deep: bool) -> DriftReport:
    if not sys.stderr.isatty():
        return run.drift(options, deep=deep)
    with stderr().status("Looking at the hosts …") as status:
        run.on_look = lambda seen, total: status.update(f"Looking at the hosts: {seen} of {total} …")
        return run.drift(options, deep=deep)


def _show(report: DriftReport, output: str) -> None:
    if output == "json":
        write(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    elif output == "markdown":
        from sandboxer.render.drift_markdown import drift_markdown

        write(drift_markdown(report))
    else:
        from sandboxer.render.drift_text import drift_text

        stdout().print(drift_text(report))
