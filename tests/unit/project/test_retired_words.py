"""Words that the project retired come back in no name and no text; what still stands is listed, and becomes less."""

from __future__ import annotations

import pytest

from tests.support.fleet import ROOT
from tests.support.retired.scan import found, names, still_open
from tests.support.retired.words import EXCEPTIONS, NAMES, TEXTS, in_name, in_text


def test_no_retired_word_stands_more_often_than_it_did() -> None:
    allowed = still_open()
    more = {
        f"{word}: use {(NAMES | TEXTS)[word.split(' ', 1)[1]]}": dict(files)
        for word, files in found().items()
        if files.total() > allowed[word]
    }
    assert more == {}


@pytest.mark.parametrize("name", ["told", "_told_hub", "AskedSandbox", "lookDone", "SAID", "_Bell", "HTTPFeed"])
def test_a_retired_word_is_found_in_a_name(name: str) -> None:
    assert len(in_name(name)) == 1


@pytest.mark.parametrize("name", ["lookup", "stopwatch", "masked", "boxed", "JOURNAL_GAP", "show", "threshold"])
def test_a_name_that_only_contains_one_is_let_pass(name: str) -> None:
    assert in_name(name) == []


@pytest.mark.parametrize("text", ["Make it anew.", "the sandbox\nis none of ours", "TOLD twice", "(by now)"])
def test_a_retired_word_is_found_in_a_text(text: str) -> None:
    assert len(in_text(text)) == 1


def test_what_others_read_keeps_its_spelling() -> None:
    assert [word for exception in EXCEPTIONS for word in in_text(f"see `{exception}` there")] == []


def test_the_names_of_a_file_are_all_that_it_defines() -> None:
    assert {"errors", "SandboxerError", "hint"} <= names(ROOT / "sandboxer/errors.py")
    assert {"root"} <= names(ROOT / "sandboxer/extensions/root.sh")
    assert {"dom"} <= names(ROOT / "sandboxer/hub/page/dom.js")
