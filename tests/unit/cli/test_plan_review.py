"""What a reviewer gets from the command line: a fleet's repository, and hosts as a release left them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.gitrepo import isolate
from tests.support.release import TOKEN, Restored, Workshop, recorded, restored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.prepare(recorded("fc41863"), tmp_path_factory.mktemp("release"))


@pytest.fixture
def present(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Restored]:
    isolate(monkeypatch, tmp_path)
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)
    with restored(workshop, tmp_path) as found:
        yield found


def test_a_plan_shows_files_values_and_that_secrets_are_not_compared(present: Restored) -> None:
    code, text = present.run("plan", "--target", "pending-docker", "--target", "web-docker")
    assert code == 0
    for expected in (
        "spec.env.LEVEL: a -> b",
        "M compose.yaml  +1 -1",
        "Secrets are not compared: a plan reads none. An apply compares those of 1 sandbox.",
    ):
        assert text.count(expected) == 1, text
    assert "diff --git" not in text
    assert "hmac" not in text
    assert "sha256" not in text


def test_the_text_of_the_files_on_request_in_each_format(present: Restored) -> None:
    words = ("plan", "--diff", "--target", "pending-docker", "-o")
    text, markdown, content = (present.run(*words, output)[1] for output in ("text", "markdown", "json"))
    (change,) = json.loads(content)["changes"]
    lines = change["input"]["diff"].splitlines()
    assert lines[0] == "diff --git a/compose.yaml b/compose.yaml"
    for line in lines:
        assert line in text
        assert line in markdown


def test_a_saved_plan_has_what_its_reviewer_saw(present: Restored, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    _, text = present.run("plan", "--diff", "--target", "pending-docker", "--out", str(file))
    assert present.run("show", str(file)) == (0, text)
    decided = present.approved(file.read_bytes())
    assert [change.reason.value for change in decided.changes] == ["update_because_changed"]
