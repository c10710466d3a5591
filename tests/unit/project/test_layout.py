"""The unit tests lie as the product does: a folder for a row of ``sandboxer/``, and one for the repository itself."""

from __future__ import annotations

import pytest

from tests.support.fleet import ROOT

UNIT = ROOT / "tests/unit"
TESTS = sorted(path.relative_to(UNIT) for path in UNIT.rglob("test_*.py"))


@pytest.mark.parametrize("folder", sorted({str(test.parent) for test in TESTS}))
def test_each_folder_of_unit_tests_is_one_of_the_product(folder: str) -> None:
    assert folder == "project" or (folder != "." and (ROOT / "sandboxer" / folder / "__init__.py").is_file())


def test_each_folder_of_unit_tests_is_a_package_so_that_names_may_repeat() -> None:
    assert [str(test) for test in TESTS if not (UNIT / test).with_name("__init__.py").is_file()] == []
