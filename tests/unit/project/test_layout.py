"""The unit tests lie as the product does: a folder for each row of ``sandboxer/``, and one for the repository."""

from __future__ import annotations

import pytest

from tests.support.fleet import ROOT

UNIT = ROOT / "tests/unit"
TESTS = sorted(path.relative_to(UNIT) for path in UNIT.rglob("test_*.py"))
ROWS = sorted(path.parent.name for path in (ROOT / "sandboxer").glob("*/__init__.py"))


@pytest.mark.parametrize("folder", sorted({str(test.parent) for test in TESTS}))
def test_each_folder_of_unit_tests_is_one_of_the_product(folder: str) -> None:
    assert folder == "project" or (folder != "." and (ROOT / "sandboxer" / folder / "__init__.py").is_file())


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_product_has_its_folder_of_unit_tests(row: str) -> None:
    assert any(test.parts[0] == row for test in TESTS)


def test_each_folder_of_unit_tests_is_a_package_so_that_names_may_repeat() -> None:
    assert [str(test) for test in TESTS if not (UNIT / test).with_name("__init__.py").is_file()] == []
