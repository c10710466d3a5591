"""Runs the rules against an extension, each in a separate fleet and process, and returns the result of each."""

from __future__ import annotations

import inspect
import time
import traceback
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from sandboxer.errors import SandboxerError
from sandboxer.extensions.conformance import capable, interrupting, observing, provisioning, removing, requesting
from sandboxer.extensions.conformance.case import Case
from sandboxer.extensions.conformance.limit import SECONDS, ProcessEnded, TimeIsOver, in_process
from sandboxer.extensions.conformance.rule import RuleBroken, RuleSkipped, rules_of
from sandboxer.extensions.conformance.subject import fleet_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.extensions.conformance.limit import TimeLimit
    from sandboxer.extensions.conformance.rule import Rule
    from sandboxer.extensions.conformance.subject import Subject

    Outcome = Literal["passed", "failed", "skipped"]

RULES = rules_of(observing, provisioning, removing, requesting, interrupting, capable)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a rule; ``detail`` is what was observed, or why it was skipped. ``seconds`` is how long it took."""

    rule: Rule
    outcome: Outcome
    detail: str
    seconds: float


def select(words: Sequence[str]) -> list[Rule]:
    """Return the rules whose name contains one of the words; all without any."""
    return [rule for rule in RULES if not words or any(word in rule.name for word in words)]


def run(subject: Subject, rules: Sequence[Rule], crash_points: int = 0, seconds: float = SECONDS) -> Iterator[Result]:
    """Yield the result of each rule. Kill runs at ``crash_points`` points at most; 0 for all of them.

    ``seconds`` is the time limit of a rule, and of each point that it kills a run at.
    """
    for rule in rules:
        began = time.monotonic()
        outcome, detail = _outcome(subject, rule, crash_points, seconds)
        yield Result(rule, outcome, detail, time.monotonic() - began)


def _outcome(subject: Subject, rule: Rule, crash_points: int, seconds: float) -> tuple[Outcome, str]:
    if rule.capability and rule.capability not in subject.description.spec.capabilities.operations:
        return "skipped", f"{subject.extension} does not declare {rule.capability}"
    if rule.capability and not hasattr(subject.backend, rule.capability):
        return "skipped", f"its class has no {rule.capability}: see declared-operations-are-methods"
    name = fleet_name()
    with subject.root() as root:
        try:
            outcome, detail = in_process(partial(_checked, subject, rule, root, name, crash_points), seconds)
        except ProcessEnded as ended:
            with suppress(ProcessEnded):
                in_process(partial(_cleaned, subject, root, name), seconds)
            return "failed", f"{rule.name} could not be checked: {ended}"
    return cast("Outcome", outcome), detail


def _checked(
    subject: Subject, rule: Rule, root: str, name: str, crash_points: int, limit: TimeLimit
) -> tuple[str, str]:
    """Return how a rule went, in a process of its own."""
    with closing(subject.connect()) as transport:
        case = Case(subject, transport, root, name, crash_points, limit.renew)
        try:
            with limit:
                rule.check(case)
        except RuleSkipped as skipped:
            return "skipped", str(skipped)
        except RuleBroken as broken:
            return "failed", str(broken)
        except TimeIsOver as over:
            return "failed", f"{rule.name} did not end within {limit.seconds:g} s{_place(subject, over)}"
        except SandboxerError as error:
            return "failed", f"{type(error).__name__}: {error.message}"
        except Exception as error:  # noqa: BLE001 - a backend that raises anything else is broken, and the others continue
            return "failed", f"{error!r}, which is no error of sandboxer.errors"
        else:
            return "passed", ""
        finally:
            with suppress(TimeIsOver), limit:
                case.clean_up()


def _cleaned(subject: Subject, root: str, name: str, limit: TimeLimit) -> tuple[str, str]:
    """Remove what a rule left whose process was killed."""
    with closing(subject.connect()) as transport, suppress(TimeIsOver), limit:
        Case(subject, transport, root, name).clean_up()
    return "passed", ""


def _place(subject: Subject, over: TimeIsOver) -> str:
    """Return where the backend's package was at the end of the time; nothing where it was not in it."""
    package = Path(inspect.getfile(type(subject.backend))).parent
    frames = [one for one in traceback.extract_tb(over.__traceback__) if Path(one.filename).is_relative_to(package)]
    return f": it was in `{frames[-1].name}`, {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
