"""Nobody outside a backend's folder names it, its scripts, the labels of what it drives, or its engines."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACKENDS = {
    "compose_ssh": r"compose[-_.]ssh|com\.docker\.compose|io\.podman\.compose",
    "dir_ssh": r"dir[-_.]ssh",
}
OTHERS = ROOT / "sandboxer/extensions"
ENGINES = re.compile("compose|podman|docker", re.IGNORECASE)
_EXAMPLES = (r"profile\.compose-e2e", "the profile of the examples")
_REFUSED = ("ComposeRefused", "a public error of the library")
_BLOCK = (r"\bcompose\b", "the key `compose` of a Profile")
#: Where the core names an engine or Compose: file, the pattern of what it may say there, and why.
EXCEPTIONS = (
    ("api/errors.py", *_REFUSED),
    ("api/errors.py", r"ProblemKind\.COMPOSE_REFUSED", "the kind of problem for that error"),
    ("api/models.py", *_EXAMPLES),
    ("api/tokens.py", r"yaml\.compose\b", "a function of PyYAML"),
    ("cli/imperative.py", *_EXAMPLES),
    ("client/__init__.py", *_EXAMPLES),
    ("client/context.py", *_REFUSED),
    ("errors/__init__.py", *_REFUSED),
    ("errors/__init__.py", "compose file", "what that error is about"),
    ("errors/diagnostic.py", r'"compose-[a-z-]+"', "codes of findings in compose files"),
    ("errors/diagnostic.py", "[Cc]ompose files?|readable by Compose", "the rules of those codes"),
    ("extensions/registry.py", r'"compose-ssh": "sandboxer\.extensions\.compose_ssh.*ComposeSsh"', "the registration"),
    ("hosts/session.sh", r"\bDOCKER_HOST\b", "a variable of the login that a backend's programs keep"),
    ("model/fleet_manifests.py", r"\bcompose_command\b.*|The Compose command", "the key `composeCommand` of a Host"),
    ("model/fleet_manifests.py", "docker or podman\\. `auto` prefers Docker", "the description of the key `runtime`"),
    ("model/fleet_manifests.py", r"compose\.files", "the description of the key `defaultFiles`"),
    ("model/manifest.py", r"\bCompose\b", "the model of the key `compose`"),
    ("model/plan.py", '"compose_project"', "a kind of unmanaged things in a plan's JSON"),
    ("model/sandbox_manifests.py", r"(?i:\bcompose\b)", "the key `compose` of a Profile, and descriptions of keys"),
    ("model/sandbox_manifests.py", "the minimum of Docker", "a hint for the key `resources.memory`"),
    ("model/service_operation.py", "no longer in the compose file", "a cause, in words for people"),
    ("model/text.py", '"COMPOSE_", "DOCKER_"', "the prefixes of variables that a manifest must not set"),
    ("model/text.py", "the engine or Compose uses this one|in the compose file", "hints for keys of manifests"),
    ("profiles/applied.py", *_BLOCK),
    ("profiles/resolve.py", *_BLOCK),
    ("reconcile/fields.py", *_BLOCK),
    ("reconcile/unmanaged.py", '"compose_project"', "a kind of unmanaged things in a plan's JSON"),
    (
        "web/problems.py",
        "COMPOSE_REFUSED|compose-refused|compose file is refused",
        "the kind of problem for that error",
    ),
    ("wiring/hosts.py", '"SANDBOXER_COMPOSE_CMD"', "the variable of the runner for the key `composeCommand`"),
)


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of Python and shell beside a backend, with its file's path below the package."""
    package = ROOT / "sandboxer"
    for file in sorted(package.rglob("*")):
        if file.suffix in (".py", ".sh") and not file.is_relative_to(folder):
            for line in file.read_text(encoding="utf-8").splitlines():
                yield file.relative_to(package).as_posix(), line


@pytest.mark.parametrize("backend", BACKENDS)
def test_nobody_outside_the_backend_names_it(backend: str) -> None:
    named, folder = re.compile(BACKENDS[backend], re.IGNORECASE), OTHERS / backend
    found = [(file, line) for file, line in _lines(folder) if named.search(line)]
    ((file_name, registration),) = found
    assert file_name == "extensions/registry.py"
    assert f'"{backend.replace("_", "-")}": "sandboxer.extensions.{backend}.extension:' in registration
    assert named.search(" ".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py")))


def test_nobody_outside_compose_ssh_names_compose_or_an_engine() -> None:
    named = [(file, line) for file, line in _lines(OTHERS / "compose_ssh") if ENGINES.search(line)]
    used, found = set(), []
    for file, line in named:
        rest = line
        for exception in EXCEPTIONS:
            pattern = exception[1]
            if exception[0] == file and re.search(pattern, rest):
                used.add(exception)
                rest = re.sub(pattern, "", rest)
        if ENGINES.search(rest):
            found.append(f"{file}: {line.strip()}")
    assert found == []
    assert [exception for exception in EXCEPTIONS if exception not in used] == []


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
