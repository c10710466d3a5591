"""Runs the rules against an extension, each in a fleet of its own, and says how each went."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sandboxer.errors import SandboxerError
from sandboxer.extensions.conformance import capable, interrupting, observing, provisioning, removing
from sandboxer.extensions.conformance.case import Case
from sandboxer.extensions.conformance.rule import RuleBroken, RuleSkipped, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.extensions.conformance.rule import Rule
    from sandboxer.extensions.conformance.subject import Subject

RULES = rules_of(observing, provisioning, removing, interrupting, capable)


@dataclass(frozen=True, slots=True)
class Result:
    """How a rule went; ``detail`` says what was observed, or why it was skipped. ``seconds`` is how long it took."""

    rule: Rule
    outcome: Literal["passed", "failed", "skipped"]
    detail: str
    seconds: float


def select(words: Sequence[str]) -> list[Rule]:
    """Return the rules whose name contains one of the words; all without any."""
    return [rule for rule in RULES if not words or any(word in rule.name for word in words)]


def run(subject: Subject, rules: Sequence[Rule], crash_points: int = 0) -> Iterator[Result]:
    """Yield the result of each rule. ``crash_points`` is how many places a run is killed at, at most; 0 for all."""
    for rule in rules:
        began = time.monotonic()
        outcome, detail = _outcome(subject, rule, crash_points)
        yield Result(rule, outcome, detail, time.monotonic() - began)


def _outcome(subject: Subject, rule: Rule, crash_points: int) -> tuple[Literal["passed", "failed", "skipped"], str]:
    if rule.capability and rule.capability not in subject.description.spec.capabilities.operations:
        return "skipped", f"{subject.extension} does not declare {rule.capability}"
    if rule.capability and not hasattr(subject.backend, rule.capability):
        return "skipped", f"its class has no {rule.capability}: see declared-operations-are-methods"
    with subject.root() as root, closing(subject.connect()) as transport:
        case = Case(subject, transport, root, crash_points)
        try:
            rule.check(case)
        except RuleSkipped as skipped:
            return "skipped", str(skipped)
        except RuleBroken as broken:
            return "failed", str(broken)
        except SandboxerError as error:
            return "failed", f"{type(error).__name__}: {error.message}"
        except Exception as error:  # noqa: BLE001 - a backend that raises anything else is broken, and the others go on
            return "failed", f"{error!r}, which is no error of sandboxer.errors"
        else:
            return "passed", ""
        finally:
            case.clean_up()
