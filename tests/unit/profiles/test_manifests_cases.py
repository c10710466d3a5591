"""The loader's findings, word for word: one folder per case under ``tests/cases/manifests``, with the expected text.

A case's files lie over those of ``_base``. A file ``NAME.times`` stands for ``NAME``: its first line is how often the
rest is repeated. ``SANDBOXER_UPDATE_CASES=1`` writes the texts again; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxer.errors.diagnostic import CODES
from sandboxer.profiles.loader import load
from sandboxer.render.diagnostics import to_text

CASES = Path(__file__).parents[2] / "cases" / "manifests"
EXPECTED = "expected.txt"


def files_of(case: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for folder in (CASES / "_base", CASES / case):
        for path in folder.rglob("*"):
            if path.is_dir() or path.name == EXPECTED:
                continue
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            if name.endswith(".times"):
                count, _, text = data.partition(b"\n")
                name, data = name.removesuffix(".times"), text * int(count)
            files[name] = data
    return files


NAMES = sorted(path.name for path in CASES.iterdir() if path.name != "_base")


@pytest.mark.parametrize("case", NAMES)
def test_a_case_prints_exactly_its_text(case: str) -> None:
    text = to_text(load(files_of(case)).diagnostics)
    expected = CASES / case / EXPECTED
    if os.environ.get("SANDBOXER_UPDATE_CASES"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


OF_INPUTS = {code for code in CODES if code.startswith("compose-")} | {
    "missing-file", "no-service", "unknown-service", "unset-variable"
}  # fmt: skip
"""Codes of findings in the inputs of sandboxes: no manifest has them."""


def test_every_code_has_a_case_and_no_other_is_used() -> None:
    seen = {found.code for case in NAMES for found in load(files_of(case)).diagnostics}
    assert seen == set(CODES) - OF_INPUTS


@pytest.mark.parametrize("case", NAMES)
def test_only_good_documents_become_manifests(case: str) -> None:
    manifests = load(files_of(case))
    assert manifests.ok == (not any(found.severity == "error" for found in manifests.diagnostics))
    for document in manifests.documents:
        if document.model is not None:
            assert document.model.kind == document.kind
            assert document.model.metadata.name == document.name
