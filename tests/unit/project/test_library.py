"""The Python library: its public names, their reference page, and the page's examples."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_args

import pytest

import sandboxer
from sandboxer.model.handle import ExpirySource
from scripts import library
from tests.support.fleet import ROOT
from tests.support.markdown import blocks, tables

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = [name for name in sandboxer.__all__ if name not in ("__version__", "errors")]
CLASSES = [getattr(sandboxer, name) for name in PUBLIC]
EXAMPLES = [
    pytest.param(block.text, id=f"{page.stem}-{number}")
    for page in (library.PAGE, ROOT / "docs/imperative.md")
    for number, block in enumerate(blocks(page))
    if block.language == "python"
]
#: What a signature names besides the public names: those of Python, and what a caller needs not name.
OTHERS = {
    *("None", "Path", "Literal", "Any", "Self", "True", "False"),
    *("Callable", "Collection", "Generator", "Iterator", "Mapping", "Sequence", "AbstractContextManager"),
    *("JsonObject", "FormatMessage"),
}
METHODS = [
    pytest.param(method, id=f"{own.__name__}.{name}")
    for own in CLASSES
    for name, method in vars(own).items()
    if not name.startswith("_") and inspect.isfunction(method)
]


def python(code: str) -> str:
    """Run code in a new interpreter; return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


# --- names


def test_an_import_of_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, sandboxer; print([name for name in sys.modules if name.startswith('sandboxer')])"
    assert python(code) == "['sandboxer.version', 'sandboxer']\n"


def test_every_public_name_is_there_at_the_top() -> None:
    code = "import sandboxer\nfrom sandboxer import *\nprint(set(sandboxer.__all__) - globals().keys())"
    assert python(code) == "set()\n"
    assert set(sandboxer.__all__) <= set(dir(sandboxer))
    assert sandboxer.errors.UsageError is sys.modules["sandboxer.errors"].UsageError
    assert sorted(name for names in sandboxer._NAMES.values() for name in names) == sorted(PUBLIC)


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="module 'sandboxer' has no attribute 'Nothing'"):
        _ = sandboxer.Nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", METHODS)
def test_a_public_signature_names_public_types(method: Any) -> None:
    signature = inspect.signature(method)
    annotations = [*(one.annotation for one in signature.parameters.values()), signature.return_annotation]
    named = {
        name
        for annotation in annotations
        if annotation is not inspect.Parameter.empty
        for name in re.findall(r"\b[A-Z]\w+", str(annotation))
    }
    assert named <= {*PUBLIC, *OTHERS}


# --- the page


def test_the_page_is_what_the_docstrings_contain(capsys: pytest.CaptureFixture[str]) -> None:
    assert library.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_is_stale_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(library, "PAGE", page)
    assert library.main(["--check"]) == 1, "there is none"
    assert library.main([]) == 0
    assert library.main(["--check"]) == 0
    page.write_text(page.read_text().replace("Client", "Clients", 1))
    assert library.main(["--check"]) == 1
    assert "run `python -m scripts.library`" in capsys.readouterr().err


def test_every_public_name_has_its_part() -> None:
    assert sorted(name for names in library.GROUPS.values() for name in names) == sorted(PUBLIC)
    headings = re.findall(r"^## (\w+)$", library.PAGE.read_text(), re.MULTILINE)
    assert headings == [*(name for names in library.GROUPS.values() for name in names), "Errors"]


@pytest.mark.parametrize("method", [one for one in METHODS if one.id and one.id.startswith(("Client.", "Sandbox."))])
def test_every_parameter_is_described(method: Any) -> None:
    doc = library.Docstring.of(method)
    given = inspect.signature(method).parameters.keys() - {"self", "name", "identifier"}
    assert {one for one in given if one not in doc.args and f"``{one}``" not in doc.line} == set()
    assert all(text.endswith(".") for text in (*doc.text, *doc.args.values(), *doc.raises.values()))
    assert all(issubclass(getattr(sandboxer.errors, name), Exception) for name in doc.raises)


def test_a_docstring_comes_apart() -> None:
    def own(one: int, two: int) -> None:
        """Do it.

        With
        care.

        Args:
            one: The first
                of all.
            two: The second: last.

        Raises:
            UsageError: It cannot.

        Example::

            own(1, 2)
        """

    assert library.Docstring.of(own) == library.Docstring(
        ["Do it.", "With care."],
        {"one": "The first of all.", "two": "The second: last."},
        {"UsageError": "It cannot."},
        "own(1, 2)",
    )


def test_the_reference_lists_what_sets_an_expiry() -> None:
    found = [table.rows for table in tables(ROOT / "docs/reference.md") if table.rows]
    rows = next(rows for rows in found if "`expiry_source`" in rows[0])
    assert [row["`expiry_source`"].strip("`") for row in rows] == list(get_args(ExpirySource))


# --- the examples


def test_the_examples_have_right_types(tmp_path: Path) -> None:
    """As a caller's type checker sees them: the names at the top have their types too."""
    for number, example in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(str(example.values[0]))
    wrong = 'from sandboxer import Client\n\nClient("fleet").get("web").handle.expires_at.nothing\n'
    (tmp_path / "wrong.py").write_text(wrong)
    words = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--output", "json"]
    files = sorted(map(str, tmp_path.glob("*.py")))
    done = subprocess.run([*words, *files], capture_output=True, text=True, check=False, cwd=ROOT)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(EXAMPLES) >= 3
    assert {error["code"] for error in found} == {"union-attr"}, done.stdout + done.stderr
    assert {error["file"].rpartition("/")[2] for error in found} == {"wrong.py"}
