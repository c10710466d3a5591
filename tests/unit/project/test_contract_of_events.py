"""The page of events and the prose of the specification: their words, examples and numbers are those of the code."""

from __future__ import annotations

import json
import re

from sandboxer.adapters import hub
from sandboxer.extensions.compose_ssh import failure_patterns
from sandboxer.lifecycle import obstacles
from sandboxer.lifecycle.delivery import ATTEMPTS
from sandboxer.model.event import DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP, SANDBOX_EVENT
from sandboxer.model.failure import Failure
from sandboxer.model.handle import Handle
from sandboxer.model.hub import RUN_FINISHED, RUN_STARTED, CloudEvent, Progress, SandboxData
from sandboxer.model.lifecycle import Health, Phase, Sync
from sandboxer.model.metadata import API_VERSION
from scripts.specification import PAGE
from tests.support.fleet import ROOT
from tests.support.markdown import blocks, tables

EVENTS = ROOT / "docs/events.md"


def _rows(column: str) -> list[dict[str, str]]:
    return next(table.rows for table in tables(EVENTS) if column in table.rows[0])


def test_every_type_of_event_has_a_row() -> None:
    rows = {row["type"].strip("`"): row["when"] for row in _rows("type")}
    of_a_phase = SANDBOX_EVENT + "PHASE"
    assert rows.keys() == {of_a_phase, DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP, RUN_STARTED, RUN_FINISHED}
    assert set(re.findall(r"`(\w+)`", rows[of_a_phase])) == {phase.value for phase in Phase}


def test_the_example_is_an_event() -> None:
    (shown,) = (json.loads(block.text) for block in blocks(EVENTS) if block.language == "json")
    assert CloudEvent.model_validate(shown).to_json() == shown
    assert shown["data"].keys() == SandboxData.model_fields.keys() - {"drift", "error"}


def test_the_page_names_each_key_of_the_error_of_a_failed_event() -> None:
    (part,) = re.findall(r"^\*\*The error\.\*\*(.*?)\n\n", EVENTS.read_text(), re.DOTALL | re.MULTILINE)
    assert Failure.model_fields.keys() <= set(re.findall(r"`(\w+)`", part))


def test_the_reference_lists_each_code_of_a_cause() -> None:
    part = (ROOT / "docs/reference.md").read_text().split("### Causes of failures")[1].partition("\n## ")[0]
    listed = {
        code for row in re.findall(r"^\| (`[^|]*`) \|", part, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)
    }
    sources = {path: path.read_text() for path in (ROOT / "sandboxer").rglob("*.py")}
    used = {code for text in sources.values() for code in re.findall(r'\bCause\(\s*"([a-z-]+)"', text)}
    used |= {code for code, _hint in obstacles._CAUSES.values()}
    assert used <= listed
    assert {row.code for row in failure_patterns._ROWS} | failure_patterns._HINTS.keys() <= listed
    steps = {
        step for text in sources.values() for step in re.findall(r'(?:begin_step\(|step=|_step = )"([a-z]+)"', text)
    }
    assert steps == set(re.findall(r"`([a-z]+)`", part.partition("`error.step`")[2].partition("\n\n")[0]))


def test_the_answers_of_a_hub_mean_what_the_page_specifies() -> None:
    rows = [{int(number) for number in re.findall(r"\b\d{3}\b", row["answer"])} for row in _rows("answer")]
    sets = [set(hub._TAKEN), {200}, {200}, set(hub._AGAIN), set(hub._REFUSED), set()]
    assert rows == [sets[0] - {200}, *sets[1:]]


def test_the_numbers_and_keys_of_the_page_are_those_of_the_code() -> None:
    text = EVENTS.read_text()
    assert f"A request takes at most {hub.REQUEST_SECONDS:g} seconds." in text
    assert ATTEMPTS == 4
    assert "at most four times in one run" in text
    assert [row["key"].strip("`") for row in _rows("key")] == list(Progress.model_fields)


def test_the_prose_of_the_specification_has_the_words_of_the_code() -> None:
    text = PAGE.read_text()
    assert f"`apiVersion` is `{API_VERSION}`" in text
    for title, words in (("sync", Sync), ("health", Health)):
        (shown,) = re.findall(rf"`{title}` \(([^)]*)\)", text)
        assert re.findall(r"`(\w+)`", shown) == [word.value for word in words]
    (shown,) = re.findall(r"gets a \*\*handle\*\*: (.*?) and more", text, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", shown)) <= Handle.model_fields.keys()


def test_the_longest_project_is_that_of_the_api() -> None:
    described = json.loads((ROOT / "schemas/openapi.json").read_text())["components"]["schemas"]
    longest = described["ConsumerRequest"]["properties"]["project"]["maxLength"]
    assert f"over the HTTP API at most {longest} characters" in PAGE.read_text()


def test_the_reference_lists_the_keys_of_a_handle() -> None:
    part = (ROOT / "docs/reference.md").read_text().split("## A handle as JSON")[1]
    cells = re.findall(r"^\| ([^|]+) \|", part.partition("| key |")[2].partition("\n\n")[0], re.MULTILINE)
    shown = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(shown) == sorted(Handle.model_fields)
