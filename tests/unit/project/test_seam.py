"""The seam: nobody outside a backend's folder names it, its scripts, or the labels of what it drives."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.fleet import ROOT

BACKENDS = {
    "compose_ssh": r"compose[-_.]ssh|com\.docker\.compose|io\.podman\.compose",
    "dir_ssh": r"dir[-_.]ssh",
}
OTHERS = ROOT / "sandboxer/extensions"


@pytest.mark.parametrize("backend", BACKENDS)
def test_nobody_outside_the_backend_names_it(backend: str) -> None:
    named, folder = re.compile(BACKENDS[backend], re.IGNORECASE), OTHERS / backend
    found = []
    for file in sorted((ROOT / "sandboxer").rglob("*")):
        if file.suffix in (".py", ".sh") and not file.is_relative_to(folder):
            lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
            found += [(file.relative_to(ROOT).as_posix(), line) for _, line in lines if named.search(line)]
    ((file_name, registration),) = found
    assert file_name == "sandboxer/extensions/registry.py"
    assert f'"{backend.replace("_", "-")}": "sandboxer.extensions.{backend}.extension:' in registration
    assert named.search(" ".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py")))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_import_contract_covers_every_module_beside_the_backend(backend: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = [one for one in contracts if one.get("forbidden_modules") == [f"sandboxer.extensions.{backend}"]]
    rows = {path.stem for path in (ROOT / "sandboxer").iterdir() if path.suffix in (".py", "") and path.stem[0] != "_"}
    parts = [path for path in OTHERS.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    beside = {f"extensions.{path.stem}" for path in parts} - {"extensions.__init__", f"extensions.{backend}"}
    assert {name.removeprefix("sandboxer.") for name in contract["source_modules"]} == rows - {"extensions"} | beside
