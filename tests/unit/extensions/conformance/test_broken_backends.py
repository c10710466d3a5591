"""Each rule finds the backends that break it, and no other rule does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.extensions.capabilities import CAPABILITIES
from sandboxer.extensions.conformance.runner import RULES, run
from sandboxer.extensions.conformance.subject import read_subject
from sandboxer.extensions.registry import check_class
from tests.support.e2e import API
from tests.unit.extensions.conformance import broken, broken_capabilities, broken_observing, broken_requesting

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.extensions.conformance.rule import Rule
    from sandboxer.extensions.conformance.runner import Result
    from sandboxer.extensions.conformance.subject import Subject

BROKEN = {
    broken_observing.ObservesTwice: "observe-is-one-command",
    broken_observing.ObservesAndWrites: "observe-writes-nothing",
    broken_observing.TakesALostHostForEmpty: "failed-observation-is-an-error",
    broken_observing.TakesHalfAnAnswerForAll: "cut-observation-is-an-error",
    broken_observing.ForgetsItsFiles: "observe-sees-the-sandbox",
    broken_observing.LeavesItsPartToOthers: "observe-needs-no-command-beside-another-extension",
    broken.ReturnsTooEarly: "provision-returns-once-ready",
    broken.ChangesWhatIsReady: "second-provision-changes-nothing",
    broken.DeliversAFileMore: "files-are-delivered",
    broken.MakesFilesBeforeTheRecord: "record-comes-first",
    broken.WritesTheJournalLast: "journal-comes-before-the-record",
    broken.ReportsOnlyTheEnd: "events-are-numbered-and-reported",
    broken.LeavesPlacingBeforeItWrites: "life-begins-within-placing",
    broken.BeginsWhereItIsRefused: "refused-placing-leaves-nothing",
    broken.MakesAnUpdateYounger: "update-keeps-the-life",
    broken.RepairsNothing: "damage-is-repaired",
    broken.KeepsTheFormerLife: "fresh-life-keeps-nothing",
    broken.RemovesWhatFailed: "failure-is-on-record",
    broken.MissesWhatIsNotThere: "teardown-of-nothing-succeeds",
    broken.LeavesAFile: "teardown-leaves-no-trace",
    broken.RemovesTheRecordFirst: "record-goes-last",
    broken.EndsWithoutAWord: "end-is-reported",
    broken.LeavesNoTombstone: "tombstone-is-left",
    broken.ProvisionsWhatNobodyPlanned: "stale-provision-is-refused",
    broken.RemovesWhatNobodyPlanned: "stale-teardown-is-refused",
    broken.RemovesStrangers: "neighbours-are-left-alone",
    broken.TakesAForeignRecordForNone: "foreign-record-is-refused",
    broken_requesting.SaysNothingOfAReplacement: "replacement-is-on-record",
    broken_requesting.TakesEachEndForAReplacement: "replacement-is-on-record",
    broken_requesting.StopsHalfway: "requested-life-is-resumed",
    broken_requesting.ForgetsTheRequest: "requested-life-is-resumed",
    broken_requesting.KeepsNoJournal: "unacknowledged-events-outlive-the-sandbox",
    broken_requesting.KeepsTheJournalAlways: "teardown-leaves-no-trace",
    broken.BeginsAgainAfterAKill: "killed-provision-is-finished",
    broken.TakesAnInterruptedEndForOne: "killed-teardown-is-finished",
    broken.TakesALostHostForSuccess: "lost-host-is-an-error",
    broken.TakesASlowHostForSuccess: "slow-host-is-an-error",
    broken.BuildsShellText: "values-are-no-shell-text",
    broken.EvaluatesAValue: "hostile-values-are-inert",
    broken.RecordsASecret: "secrets-are-not-on-record",
    broken.KeepsState: "threads-do-not-disturb-each-other",
    broken_capabilities.FindsNothingChanged: "contents-names-changed-files",
    broken_capabilities.TakesOtherParameters: "declared-operations-are-methods",
    broken_capabilities.HasWhatItDoesNotDeclare: "undeclared-operations-are-absent",
    broken_capabilities.JoinsTheWords: "exec-runs-a-command",
    broken_capabilities.LeavesWhatRuns: "exec-ends-with-the-sandbox",
    broken_capabilities.FindsWhatIsNotThere: "copy-brings-back-what-it-took",
    broken_capabilities.ClosesItsLogsOnce: "logs-end",
    broken_capabilities.GuessesAnAddress: "addresses-of-nothing-are-none",
    broken_capabilities.LacksItsScript: "host-checks-print-sections",
    broken_capabilities.AppendsNoRemover: "removal-scripts-name-functions",
    broken_capabilities.ExpectsWhatDoesNotHappen: "services-are-expected-as-provisioned",
    broken_capabilities.RefusesWhatRuns: "judging-refuses-nothing-that-runs",
    broken_capabilities.CostsLessThanNothing: "cost-is-a-number",
}
# A whole run takes a while: this one stands for the others.
IN_FULL = broken.BuildsShellText


@pytest.fixture
def capable_fleet(tmp_path: Path) -> Path:
    """A fleet's folder with an Extension that declares every capability, its Profile, and a file to deliver."""
    can = {
        "isolation": ["directory"],
        "scopes": ["ephemeral"],
        "connections": ["ssh", "local"],
        "runtimes": [],
        "operations": ["observe", "provision", "teardown", *CAPABILITIES],
    }
    documents = [
        _document("Extension", "ext.capable", {"implementation": "capable", "capabilities": can}),
        _document("Profile", "capable", {"extension": "ext.capable", "workspace": {"mode": "copy", "path": "data"}}),
    ]
    folder = tmp_path / "capable"
    (folder / "data").mkdir(parents=True)
    (folder / "data/a.txt").write_text("a\n")
    (folder / "fleet.yaml").write_text(yaml.safe_dump_all(documents))
    return folder


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def result(subject: Subject, name: str) -> Result:
    """Return how one rule went; of the many crash points, two stand for all."""
    (found,) = run(subject, [rule for rule in RULES if rule.name == name], 2)
    return found


def test_every_rule_has_a_backend_that_breaks_it() -> None:
    assert {rule.name for rule in RULES} == set(BROKEN.values())


def test_the_sound_backend_has_every_capability() -> None:
    check_class("ext.capable", broken_capabilities.Capable, ["observe", "provision", "teardown", *CAPABILITIES])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_sound_backend_keeps_to_the_rule(rule: Rule, capable_fleet: Path) -> None:
    found = result(read_subject(capable_fleet, backend=broken_capabilities.Capable()), rule.name)
    assert (found.outcome, found.detail) == ("passed", "")


@pytest.mark.parametrize("backend", BROKEN, ids=lambda backend: backend.__name__)
def test_a_rule_finds_the_backend_that_breaks_it(backend: type[Any], fleet: Path, capable_fleet: Path) -> None:
    capable = issubclass(backend, broken_capabilities.Capable)
    found = result(read_subject(capable_fleet if capable else fleet, backend=backend()), BROKEN[backend])
    assert found.outcome == "failed"
    # No mistake of the suite, or of this test.
    assert "no error of sandboxer.errors" not in found.detail
    assert "could not be checked" not in found.detail


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name != BROKEN[IN_FULL]], ids=lambda rule: rule.name)
def test_no_other_rule_finds_it(rule: Rule, fleet: Path) -> None:
    found = result(read_subject(fleet, backend=IN_FULL()), rule.name)
    assert found.outcome == ("passed" if rule.capability in ("", "contents") else "skipped"), found.detail
