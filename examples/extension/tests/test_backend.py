"""Tests of the backend on this machine: the real shell, lock and commit; no host and no engine is needed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import StaleChange
from sandboxer.extensions.base import ObserveRequest, Operation, Provenance, Target
from sandboxer.extensions.registry import build_registry
from sandboxer.model.lifecycle import Phase
from sandboxer.model.observed import ObservedDirectory, Reachable
from sandboxer.wiring.source import FleetSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.extensions.base import Extension
    from sandboxer.model.desired import DesiredSandbox

FLEET = Path(__file__).parents[1] / "fleet"
MANIFESTS = {
    "sandboxer.yaml": "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\nspec: {}\n",
    "manifests/one.yaml": """\
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: one}
spec: {profile: profile.folder}
""",
    "data/a.txt": "a\n",
    "data/b.txt": "b\n",
}


@pytest.fixture
def source(tmp_path: Path) -> FleetSource:
    """Return a fleet in a repository, with this package's Extension and Profile."""
    folder = tmp_path / "fleet"
    shutil.copytree(FLEET, folder)
    for path, text in MANIFESTS.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=folder, check=True)
    return FleetSource(folder)


@pytest.fixture
def operation(source: FleetSource, tmp_path: Path) -> Iterator[Operation]:
    """Yield an operation on a sandbox that does not exist yet; its host is this machine."""
    transport = LocalTransport("here")
    yield Operation(
        target=Target("here", str(tmp_path / "root"), transport, "", None, 1.0, 1, "an author"),
        fleet="acme",
        id=source.fleet().sandboxes["one"].id,
        name="one",
        reason="create_because_absent",
        expected_generation=0,
        expected_uid="",
        inputs=source.inputs(),
        provenance=Provenance(),
        progress=lambda _step: None,
        clock=lambda: datetime.now(UTC).replace(microsecond=0),
    )
    transport.close()


@pytest.fixture
def backend(source: FleetSource) -> Extension:
    """Return the backend as Sandboxer finds it: by entry point, and checked against its description's claims."""
    return build_registry(source.sound().extensions).get("ext.folder")


@pytest.fixture
def desired(source: FleetSource) -> DesiredSandbox:
    """Return the sandbox as git declares it."""
    return source.fleet().sandboxes["one"]


def observed(backend: Extension, operation: Operation) -> ObservedDirectory | None:
    """Return what a plan would be given of the sandbox."""
    observation = backend.observe(
        operation.target.transport, ObserveRequest("here", operation.target.root, operation.fleet)
    )
    assert isinstance(observation, Reachable)
    assert observation.error is None
    return observation.found.get(operation.id)


def test_a_sandbox_is_made_observed_and_removed(
    backend: Extension, operation: Operation, desired: DesiredSandbox
) -> None:
    record = backend.provision(operation, desired, fresh=True)
    workspace = Path(operation.target.root) / "acme" / operation.id / "workspace"
    (tree,) = (workspace / "tree").iterdir()
    assert sorted(path.name for path in tree.iterdir()) == ["a.txt", "b.txt"]
    assert (workspace / "note.txt").read_text() == "For whoever opens this folder.\n"

    found = observed(backend, operation)
    assert found is not None
    assert (found.record, record.phase) == (record, Phase.READY)
    assert found.files is not None
    assert record.workspace_files is not None
    assert (found.files.files, found.files.bytes) == (record.workspace_files.files, record.workspace_files.bytes)

    (tree / "a.txt").unlink()
    damaged = observed(backend, operation)
    assert damaged is not None
    assert damaged.files is not None
    assert damaged.files.files == found.files.files - 1

    later = replace(operation, expected_generation=record.generation, expected_uid=record.uid)
    backend.provision(later, desired, fresh=False)
    assert (tree / "a.txt").read_text() == "a\n"

    record = (observed(backend, operation) or found).record or record
    backend.teardown(replace(operation, expected_generation=record.generation, expected_uid=record.uid))
    assert not Path(operation.target.root).exists()


def test_what_is_not_as_the_plan_saw_it_is_left_alone(
    backend: Extension, operation: Operation, desired: DesiredSandbox
) -> None:
    record = backend.provision(operation, desired, fresh=True)
    with pytest.raises(StaleChange):
        backend.provision(operation, desired, fresh=True)
    with pytest.raises(StaleChange):
        backend.teardown(operation)
    found = observed(backend, operation)
    assert found is not None
    assert found.record == record
