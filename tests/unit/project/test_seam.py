"""The seam: nobody outside a backend's folder names it, its scripts, or the labels of what it drives."""

from __future__ import annotations

import re
import tomllib

from tests.support.fleet import ROOT

BACKEND = ROOT / "sandboxer/extensions/compose_ssh"
OTHERS = ROOT / "sandboxer/extensions"
NAMED = re.compile(r"compose[-_.]ssh|com\.docker\.compose|io\.podman\.compose", re.IGNORECASE)
REGISTRATION = '"compose-ssh": "sandboxer.extensions.compose_ssh.extension:ComposeSsh"'


def test_nobody_outside_the_backend_names_it() -> None:
    found = []
    for file in sorted((ROOT / "sandboxer").rglob("*")):
        if file.suffix in (".py", ".sh") and not file.is_relative_to(BACKEND):
            lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
            found += [(file.relative_to(ROOT).as_posix(), line) for _, line in lines if NAMED.search(line)]
    ((file_name, registration),) = found
    assert (file_name, REGISTRATION in registration) == ("sandboxer/extensions/registry.py", True)
    assert NAMED.search(" ".join(file.read_text(encoding="utf-8") for file in BACKEND.glob("*.py")))


def test_the_import_contract_covers_every_module_beside_the_backend() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = [one for one in contracts if one.get("forbidden_modules") == ["sandboxer.extensions.compose_ssh"]]
    rows = {path.stem for path in (ROOT / "sandboxer").iterdir() if path.suffix in (".py", "") and path.stem[0] != "_"}
    parts = [path for path in OTHERS.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    beside = {f"extensions.{path.stem}" for path in parts} - {"extensions.__init__", "extensions.compose_ssh"}
    assert {name.removeprefix("sandboxer.") for name in contract["source_modules"]} == rows - {"extensions"} | beside
