"""The words that the project retired stand in no name and no text."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import ROOT
from tests.support.retired.scan import found, names, python_names, texts, tracked_files
from tests.support.retired.words import EXCEPTIONS, KEYS, in_name, in_path, in_text, replacement

if TYPE_CHECKING:
    from pathlib import Path


def test_no_retired_word_stands_anywhere() -> None:
    standing = {
        f"{word}: use {replacement(word.split(' ', 1)[1])}": sorted(counted) for word, counted in found().items()
    }
    assert standing == {}


@pytest.mark.parametrize(
    "path",
    [
        "tests/lab/lab.py",
        "tests/cases/plan/unknown.yaml",
        "benchmarks/hub.py",
        "scripts/demo.py",
        "examples/extension/pyproject.toml",
        "registry/schemas/capability.schema.json",
        "sandboxer/hub/page/style.css",
        ".ci/run",
        "CHANGELOG.md",
        "pyproject.toml",
        "Makefile",
    ],
)
def test_files_of_every_kind_are_read(path: str) -> None:
    assert ROOT / path in tracked_files()
    assert list(texts(ROOT / path))


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


@pytest.mark.parametrize(
    "text",
    [
        "Make it anew.",
        "the sandbox\nis none of ours",
        "TOLD twice",
        "(by now)",
        "as a host is asked",
        "a silent host",
        "the gap.",
        "`probe`",
        "a box",
        "before: `told`",
        "migration: gaps",
    ],
)
def test_a_retired_word_is_found_in_a_text(text: str) -> None:
    assert len(in_text(text)) == 1


@pytest.mark.parametrize("text", ["the telltale", "masked", "silently", "the boxed ones", "a gapless row"])
def test_a_text_that_only_contains_one_is_let_pass(text: str) -> None:
    assert in_text(text) == []


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        (".css", "p { gap: 1rem; } /* one\ngap */", ["gap"]),
        (".svg", "<text>is&#160;nowhere</text>", ["is nowhere"]),
        (".py", "x = 1  # anew\n", ["anew"]),
        (".toml", "# anew\nx = 1\n", ["anew"]),
    ],
)
def test_the_texts_of_a_file_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, content: str, words: list[str]
) -> None:
    monkeypatch.setattr("tests.support.mentions.texts.ROOT", tmp_path)
    path = tmp_path / f"file{suffix}"
    path.write_text(content)
    assert [word for text in texts(path) for word in in_text(text)] == words


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_what_others_read_keeps_its_spelling_and_still_stands_somewhere(exception: str) -> None:
    assert in_text(f"see `{exception}` there") == []
    assert any(exception in " ".join(path.read_text(encoding="utf-8").split()) for path in tracked_files())


@pytest.mark.parametrize("key", KEYS)
def test_an_excepted_name_is_still_in_its_file(key: str) -> None:
    path, name = key.split(": ")
    assert name in names(ROOT / path)
    assert in_name(name, "elsewhere.py") != []


@pytest.mark.parametrize(
    "code",
    [
        "said = 1",
        "x.said = 1",
        "def said(): ...",
        "def f(*, said): ...",
        "f(said=1)",
        "{'said': 1}",
        "x['said']",
        "import x as said",
        "for said in x: ...",
        "match x:\n    case [*said]: ...",
    ],
)
def test_a_name_is_found_wherever_it_is_given(code: str) -> None:
    assert "said" in set(python_names(ast.parse(code)))


@pytest.mark.parametrize("code", ["x.said", "said", "x['it said']", "f('said')", "{'it said': 1}"])
def test_what_others_named_and_what_is_a_value_are_let_pass(code: str) -> None:
    assert "said" not in set(python_names(ast.parse(code)))


def test_the_names_of_a_file_are_all_that_it_defines() -> None:
    assert {"errors", "SandboxerError", "hint"} <= names(ROOT / "sandboxer/errors/__init__.py")
    assert {"prelude", "way_to_root", "login_locale"} <= names(ROOT / "sandboxer/hosts/prelude.sh")
    assert {"dom"} <= names(ROOT / "sandboxer/hub/page/dom.js")
