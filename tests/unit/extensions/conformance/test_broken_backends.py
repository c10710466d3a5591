"""Each rule finds the backend that breaks it, and no other rule does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.conformance.runner import RULES, run
from sandboxer.extensions.conformance.subject import read_subject
from tests.unit.extensions.conformance import broken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandboxer.extensions.conformance.rule import Rule
    from sandboxer.extensions.conformance.subject import Subject

BROKEN = {
    broken.ObservesTwice: "observe-is-one-command",
    broken.ObservesAndWrites: "observe-writes-nothing",
    broken.TakesALostHostForEmpty: "failed-observation-is-an-error",
    broken.TakesHalfAnAnswerForAll: "cut-observation-is-an-error",
    broken.MakesFilesBeforeTheRecord: "record-comes-first",
    broken.WritesTheJournalLast: "journal-comes-before-the-record",
    broken.TellsOnlyTheEnd: "events-are-numbered-and-reported",
    broken.LeavesPlacingBeforeItWrites: "life-begins-within-placing",
    broken.BeginsWhereItIsRefused: "refused-place-leaves-nothing",
    broken.MakesAnUpdateYounger: "update-keeps-the-life",
    broken.RepairsNothing: "damage-is-repaired",
    broken.KeepsTheFormerLife: "fresh-life-keeps-nothing",
    broken.RemovesWhatFailed: "failure-is-on-record",
    broken.MissesWhatIsNotThere: "teardown-of-nothing-succeeds",
    broken.LeavesAFile: "teardown-leaves-no-trace",
    broken.RemovesTheRecordFirst: "record-goes-last",
    broken.LeavesNoTombstone: "tombstone-is-left",
    broken.ProvisionsWhatNobodyPlanned: "stale-provision-is-refused",
    broken.RemovesWhatNobodyPlanned: "stale-teardown-is-refused",
    broken.RemovesStrangers: "neighbours-are-left-alone",
    broken.TakesAForeignRecordForNone: "foreign-record-is-refused",
    broken.BeginsAgainAfterAKill: "killed-provision-is-finished",
    broken.TakesALostHostForSuccess: "lost-host-is-an-error",
    broken.BuildsShellText: "values-are-no-shell-text",
    broken.EvaluatesAValue: "hostile-values-are-inert",
    broken.TellsASecret: "secrets-are-not-on-record",
    broken.KeepsState: "threads-do-not-disturb-each-other",
    broken.FindsNothingChanged: "contents-names-changed-files",
    broken.HasWhatItDoesNotDeclare: "undeclared-operations-are-absent",
}
# A whole run takes a while: these stand for the others.
IN_FULL = (broken.RemovesStrangers, broken.BuildsShellText)


def failed(subject: Subject, rules: Sequence[Rule] = RULES) -> dict[str, str]:
    """Return the rules that failed, and what they observed; of the many crash points, two stand for all."""
    return {one.rule.name: one.detail for one in run(subject, rules, 2) if one.outcome == "failed"}


def test_the_sound_backend_breaks_no_rule(fleet: Path) -> None:
    assert failed(read_subject(fleet, backend=broken.FolderBackend())) == {}


@pytest.mark.parametrize("backend", BROKEN, ids=lambda backend: backend.__name__)
def test_a_rule_finds_the_backend_that_breaks_it(backend: type[broken.FolderBackend], fleet: Path) -> None:
    (rule,) = [rule for rule in RULES if rule.name == BROKEN[backend]]
    found = failed(read_subject(fleet, backend=backend()), [rule])
    assert list(found) == [rule.name]
    assert "no error of sandboxer.errors" not in found[rule.name]  # such as a mistake of the suite, or of this test


@pytest.mark.parametrize("backend", IN_FULL, ids=lambda backend: backend.__name__)
def test_no_other_rule_fails(backend: type[broken.FolderBackend], fleet: Path) -> None:
    rules = [rule for rule in RULES if rule.name != BROKEN[backend]]
    assert failed(read_subject(fleet, backend=backend()), rules) == {}
