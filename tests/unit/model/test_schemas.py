"""The JSON Schemas match the models, and both accept every manifest that is shipped or shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from sandboxer.model.manifest import KINDS
from sandboxer.model.schemas import main, schemas
from sandboxer.profiles import yaml_nodes
from sandboxer.profiles.loader import built_in_extensions, load
from sandboxer.render.diagnostics import to_text
from tests.support.fleet import ROOT, example_files, shipped_files

PACKAGE = Path(yaml_nodes.__file__).parent.parent


def documents(text: str) -> list[dict[str, Any]]:
    source = yaml_nodes.read("x.yaml", text.encode())
    assert not source.findings
    return [node.value for node in source.documents]


def validators() -> dict[str, Draft202012Validator]:
    read = {path.name: json.loads(path.read_text()) for path in (ROOT / "schemas").glob("*.schema.json")}
    return {name: Draft202012Validator(schema, format_checker=FormatChecker()) for name, schema in read.items()}


def assert_valid_for_both(document: dict[str, Any]) -> None:
    kind = document["kind"]
    KINDS[kind].model_validate(document, by_alias=True, by_name=False)
    known = validators()
    known[f"{kind.lower()}.schema.json"].validate(document)
    known["manifest.schema.json"].validate(document)


def test_the_committed_schemas_are_what_the_models_specify() -> None:
    assert main(["--check", str(ROOT / "schemas")]) == 0


def test_a_check_names_what_differs_and_a_write_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gone.schema.json").write_text("{}")
    assert main(["--check", str(tmp_path)]) == 1
    output = capsys.readouterr().err
    assert "sandbox.schema.json" in output
    assert "gone.schema.json" in output
    (tmp_path / "gone.schema.json").unlink()
    assert main([str(tmp_path / "new")]) == 0
    assert main(["--check", str(tmp_path / "new")]) == 0


@pytest.mark.parametrize("name", sorted(schemas()))
def test_each_schema_is_valid_2020_12_and_describes_its_fields(name: str) -> None:
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    for title, part in schema["$defs"].items():
        for key, field in part.get("properties", {}).items():
            assert "description" in field or "$ref" in field or key == "kind", f"{title}.{key}"


@pytest.mark.parametrize("path", example_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_shipped_manifest_is_valid_for_both(path: Path) -> None:
    found = documents(path.read_text(encoding="utf-8"))
    assert found
    for document in found:
        assert_valid_for_both(document)


def test_every_manifest_in_the_documentation_is_valid_for_both() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    blocks = [
        block for page in pages for block in re.findall(r"```ya?ml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    for block in blocks:
        if "apiVersion: sandboxer.dev/" in block:
            for document in documents(block):
                assert_valid_for_both(document)


def test_the_shipped_fleet_has_no_finding() -> None:
    manifests = load(shipped_files())
    assert not manifests.diagnostics, to_text(manifests.diagnostics)
    assert len(manifests.sandboxes) >= 3
    assert set(manifests.extensions) == {"ext.compose-ssh", "ext.dir-ssh"}


def test_the_shipped_stacks_are_there_and_one_has_two_services_that_talk() -> None:
    manifests = load(shipped_files())
    services = {}
    for name, sandbox in manifests.sandboxes.items():
        profile = manifests.profiles[sandbox.spec.profile]
        for file in profile.spec.compose.files:
            stack = yaml.safe_load((ROOT / sandbox.spec.inputs.repo / profile.spec.workspace.path / file).read_text())
            services[name] = set(stack["services"])
        for port in profile.spec.reachability.ports:
            assert port.service in services[name]
    assert services["shop-e2e"] == {"web", "stock"}


@pytest.mark.parametrize("name", ["compose-ssh", "dir-ssh"])
def test_the_packaged_description_is_the_one_in_extensions(name: str) -> None:
    packaged = PACKAGE / "extensions" / name.replace("-", "_") / "description.yaml"
    assert packaged.read_bytes() == (ROOT / "extensions" / f"ext.{name}.yaml").read_bytes()
    assert built_in_extensions()[f"ext.{name}"].spec.implementation == name


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Sandbox", {"profile": "p", "ttl": "8 hours"}),
        ("Sandbox", {"profile": "p", "env": {"1A": "x"}}),
        ("Sandbox", {"profile": "p", "env": {"A": True}}),
        ("Sandbox", {"profile": "p", "secretRefs": [{"name": "A", "from": "hunter2"}]}),
        ("Sandbox", {"profile": "p", "inputs": {"ref": "-x"}}),
        ("Sandbox", {"profile": "p", "sync_policy": {}}),
        ("Sandbox", {"profile": "P"}),
        ("Sandbox", {}),
        ("Profile", {"extension": "e", "compose": {"files": []}}),
        ("Profile", {"extension": "e", "resources": {"memory": 5}}),
        ("Host", {"address": "a", "port": 0}),
        ("Host", {"address": "a", "composeCommand": "rm"}),
        ("Fleet", {"guards": {"maxDeletes": -1}}),
        ("Fleet", {"guards": {"maxDeletes": "101%"}}),
    ],
)
def test_both_refuse_what_is_wrong(kind: str, spec: dict[str, Any]) -> None:
    document = {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    assert not validators()[f"{kind.lower()}.schema.json"].is_valid(document)
    with pytest.raises(ValueError, match="validation error"):
        KINDS[kind].model_validate(document, by_alias=True, by_name=False)
