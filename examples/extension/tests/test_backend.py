"""Tests of the backend on this machine: the real shell, lock and commit; no host and no engine is needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.conformance.runner import RULES, run
from sandboxer.extensions.conformance.subject import read_subject

if TYPE_CHECKING:
    from sandboxer.extensions.conformance.rule import Rule
    from sandboxer.extensions.conformance.subject import Subject

FLEET = Path(__file__).parents[1] / "fleet"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Return the backend as Sandboxer finds it: by entry point, described by this package's Extension and Profile."""
    folder = tmp_path_factory.mktemp("fleet")
    shutil.copytree(FLEET, folder, dirs_exist_ok=True)
    (folder / "data").mkdir()
    (folder / "data/a.txt").write_text("a\n")
    return read_subject(folder)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_backend_keeps_to_the_rule(subject: Subject, rule: Rule) -> None:
    """State each rule of the conformance suite; of the points where a run may be killed, two stand for all."""
    (result,) = run(subject, [rule], crash_points=2)
    assert result.outcome != "failed", f"{rule.statement} {result.detail}"
