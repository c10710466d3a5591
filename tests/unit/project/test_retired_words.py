"""The words that the project retired stand in no name and no text."""

from __future__ import annotations

import pytest

from tests.support.fleet import ROOT
from tests.support.retired.scan import found, names
from tests.support.retired.words import EXCEPTIONS, in_name, in_path, in_text, replacement


def test_no_retired_word_stands_anywhere() -> None:
    standing = {
        f"{word}: use {replacement(word.split(' ', 1)[1])}": sorted(counted) for word, counted in found().items()
    }
    assert standing == {}


@pytest.mark.parametrize("name", ["told", "_told_hub", "AskedSandbox", "lookDone", "SAID", "_Bell", "HTTPFeed"])
def test_a_retired_word_is_found_in_a_name(name: str) -> None:
    assert len(in_name(name)) == 1


@pytest.mark.parametrize("name", ["lookup", "stopwatch", "masked", "boxed", "JOURNAL_GAP", "show", "threshold"])
def test_a_name_that_only_contains_one_is_let_pass(name: str) -> None:
    assert in_name(name) == []


@pytest.mark.parametrize(
    ("name", "path"), [("Seen", "sandboxer/client/query.py"), ("_Line", "sandboxer/hub/stream.py"), ("Work", "x.py")]
)
def test_a_form_of_a_plain_word_is_found_where_it_was_the_term(name: str, path: str) -> None:
    assert in_name(name, path) == [name]


@pytest.mark.parametrize(
    ("name", "path"), [("seen", "sandboxer/client/query.py"), ("Line", "sandboxer/render/live.py"), ("work", "x.py")]
)
def test_its_plain_use_is_let_pass(name: str, path: str) -> None:
    assert in_name(name, path) == []


@pytest.mark.parametrize("path", ["sandboxer/client/seen.py", "sandboxer/client/values.py", "sandboxer/cli/until.py"])
def test_the_path_of_a_retired_module_is_found(path: str) -> None:
    assert in_path(path) == [path]
    assert in_path("sandboxer/extensions/compose_ssh/access.py") == []


@pytest.mark.parametrize("text", ["Make it anew.", "the sandbox\nis none of ours", "TOLD twice", "(by now)"])
def test_a_retired_word_is_found_in_a_text(text: str) -> None:
    assert len(in_text(text)) == 1


def test_what_others_read_keeps_its_spelling() -> None:
    assert [word for exception in EXCEPTIONS for word in in_text(f"see `{exception}` there")] == []


def test_the_names_of_a_file_are_all_that_it_defines() -> None:
    assert {"errors", "SandboxerError", "hint"} <= names(ROOT / "sandboxer/errors/__init__.py")
    assert {"prelude", "way_to_root", "login_locale"} <= names(ROOT / "sandboxer/hosts/prelude.sh")
    assert {"dom"} <= names(ROOT / "sandboxer/hub/page/dom.js")
