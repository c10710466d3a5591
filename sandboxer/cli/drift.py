"""``sandboxer drift``."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click

from sandboxer.cli.atomic_write import write_atomically
from sandboxer.cli.console import stdout, write
from sandboxer.cli.exit_codes import EXIT_DIFFERENCES, EXIT_DONE, EXIT_ERROR
from sandboxer.cli.hub_reporting import reporting
from sandboxer.cli.options import Duration, output_option, target_options
from sandboxer.cli.session import opened, session
from sandboxer.errors import SandboxerError
from sandboxer.reconcile.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sandboxer.model.drift import DriftReport
    from sandboxer.model.selector import Selector


@click.command()
@target_options
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Include only sandboxes on this host. Repeatable.")
@click.option("--deep", is_flag=True, help="Compare the content of every delivered file with git.")
@click.option(
    "--report",
    "report_file",
    is_flag=False,
    flag_value="drift.md",
    metavar="[FILE]",
    help="Also write a Markdown report. Default FILE: drift.md.",
)
@click.option("--watch", type=Duration(), metavar="DURATION", help="Repeat at this interval until interrupted.")
@output_option("text", "json", "markdown")
def drift(
    targets: tuple[str, ...],
    excluded: tuple[str, ...],
    selector: Selector | None,
    hosts: tuple[str, ...],
    deep: bool,
    report_file: str | None,
    watch: timedelta | None,
    output: str,
) -> int:
    """Show what differs from the last apply.

    Compares every sandbox on the hosts with its record: those from git, including suspended and orphaned ones, and
    imperative ones. Repairs nothing. Reads no secrets, and input repositories only with --deep. The reported drift is
    stored on the hosts, so that a later run reports it once as resolved. Events also go to State Hub if the fleet has
    one.

    --watch repeats the comparison until Ctrl-C or SIGTERM, at a slightly randomized interval, and exits with the code
    of the last comparison.

    Exits 0 without drift, 2 with drift, and 1 on any error or Unknown result: an unreachable host, an unreadable
    record, or labels that contradict the record.

    \b
    Examples:
      sandboxer drift
      sandboxer drift --target checkout-e2e --deep
      sandboxer drift -o json | jq '.changes[].drift[].path'
      sandboxer drift --report drift.md --watch 5m
    """
    options = Options(frozenset(targets), frozenset(excluded), frozenset(hosts), selector)

    def once() -> int:
        return _once(options, deep=deep, report_file=report_file, output=output)

    return once() if watch is None else _again_and_again(once, watch.total_seconds())


def _once(options: Options, *, deep: bool, report_file: str | None, output: str) -> int:
    from sandboxer.wiring.drift import compare

    with opened(find_inputs=False) as (source, hosts), reporting(source, hosts) as reporter:
        report = compare(hosts, options, reporter, source.inputs() if deep else None)
        if report_file is not None:
            from sandboxer.render.drift_markdown import drift_markdown

            write_atomically("--report", report_file, drift_markdown(report).encode())
        _show(report, output)
        reporter.count(drifted=len(report.drifted), resolved=len(report.resolved), compared=report.compared)
        if not report.complete:
            return reporter.exits(EXIT_ERROR)
        return reporter.exits(EXIT_DIFFERENCES if report.drifted else EXIT_DONE)


def _again_and_again(once: Callable[[], int], seconds: float) -> int:
    """Call ``once`` repeatedly, at intervals varied by a tenth, until SIGTERM or Ctrl-C; return its last exit code.

    The current round then ends normally. An error of one round does not prevent the next. Each round is reported as a
    separate run.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    code = EXIT_DONE
    while not stopped.is_set():
        try:
            code = once()
        except SandboxerError as error:
            session().failed(error)
            code = EXIT_ERROR
        session().end(code)
        sys.stdout.flush()
        stopped.wait(seconds * random.uniform(0.9, 1.1))  # noqa: S311 - so that jobs do not coincide
    return code


def _show(report: DriftReport, output: str) -> None:
    if output == "json":
        from sandboxer.render.remedies import in_json

        write(json.dumps(report.to_json(in_json), indent=2, ensure_ascii=False))
    elif output == "markdown":
        from sandboxer.render.drift_markdown import drift_markdown

        write(drift_markdown(report))
    else:
        from sandboxer.render.drift_text import drift_text

        stdout().print(drift_text(report))
