"""The suite's command line: ``python -m sandboxer.extensions.conformance``."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.extensions.conformance.limit import SECONDS
from sandboxer.extensions.conformance.runner import RULES, run, select
from sandboxer.extensions.conformance.subject import read_subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandboxer.extensions.conformance.runner import Result

WIDTH = 100
MOST_SECONDS = 86400


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; return 0 if no rule failed, 1 if one did or the extension cannot be tested."""
    options = _parser().parse_args(arguments)
    rules = select(options.rules or ())
    if not rules:
        sys.stderr.write("Error: no rule matches\n  hint: see --list\n")
        return 1
    if options.list:
        for rule in rules:
            capability = f" [{rule.capability}]" if rule.capability else ""
            text = fill(rule.statement, WIDTH, initial_indent="  ", subsequent_indent="  ")
            sys.stdout.write(f"{rule.name}{capability}\n{text}\n")
        return 0
    if options.fleet is None:
        sys.stderr.write("Error: no fleet specified\n  hint: name the folder with the Extension and its Profile\n")
        return 1
    try:
        subject = read_subject(options.fleet, profile=options.profile, host=options.host)
        results = run(subject, rules, options.crash_points, options.timeout)
        return _print_json(results) if options.output == "json" else _print_text(results, len(rules))
    except SandboxerError as error:
        sys.stderr.write(f"Error: {error.message}\n" + (f"  hint: {error.hint}\n" if error.hint else ""))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandboxer.extensions.conformance",
        description="Test whether an extension keeps to the rules of a backend.",
    )
    parser.add_argument(
        "fleet",
        nargs="?",
        type=Path,
        help="folder of a fleet, or a file, with the Extension and a Profile that uses it",
    )
    parser.add_argument("--profile", default="", metavar="NAME", help="profile to test; needed if there are several")
    parser.add_argument(
        "--host",
        default="",
        metavar="NAME",
        help="host of the fleet to test on; default: this machine, a temporary root",
    )
    parser.add_argument(
        "-k", dest="rules", action="append", metavar="RULE", help="only rules whose name contains this; repeatable"
    )
    parser.add_argument("--list", action="store_true", help="list the rules, and what each demands")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text", help="output format")
    parser.add_argument(
        "--crash-points", type=int, default=0, metavar="N", help="kill a run at no more than N points; default: at all"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=SECONDS,
        metavar="SECONDS",
        help=f"end a rule that takes longer, or a point that it kills a run at; default: {SECONDS:g}",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, and at most {MOST_SECONDS}")
    return seconds


def _print_text(results: Iterable[Result], count: int) -> int:
    outcomes: Counter[str] = Counter()
    for result in results:
        outcomes[result.outcome] += 1
        sys.stdout.write(f"{result.outcome:8}{result.rule.name}  {result.seconds:.1f} s\n")
        if result.outcome == "failed":
            sys.stdout.write(
                fill(f"demands: {result.rule.statement}", WIDTH, initial_indent="  ", subsequent_indent="    ")
            )
            sys.stdout.write(f"\n  observed: {result.detail}\n")
        elif result.detail:
            sys.stdout.write(f"  {result.detail}\n")
        sys.stdout.flush()
    counts = ", ".join(f"{outcomes[one]} {one}" for one in ("passed", "failed", "skipped") if outcomes[one])
    sys.stdout.write(f"{count} of {len(RULES)} rules: {counts}\n")
    return 1 if outcomes["failed"] else 0


def _print_json(results: Iterable[Result]) -> int:
    found = [
        {
            "rule": result.rule.name,
            "demands": result.rule.statement,
            "outcome": result.outcome,
            "detail": result.detail,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    failed = any(one["outcome"] == "failed" for one in found)
    sys.stdout.write(json.dumps({"conforms": not failed, "rules": found}, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
