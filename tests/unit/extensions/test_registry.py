"""The registry refuses an extension that is missing, doubled, or not what it claims to be."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import yaml

from sandboxer.errors import CapabilityMissing, ExtensionError
from sandboxer.extensions import registry
from sandboxer.extensions.compose_ssh.extension import ComposeSsh
from sandboxer.extensions.registry import build_registry
from sandboxer.model.manifest import Extension as Description
from sandboxer.profiles.loader import built_in_extensions, load
from tests.support.fleet import ROOT, shipped_files

OPERATIONS = ["observe", "provision", "teardown"]
CAPABILITIES = {
    "isolation": ["container"],
    "scopes": ["ephemeral"],
    "connections": ["ssh"],
    "runtimes": ["docker"],
    "operations": OPERATIONS,
}


class Good(ComposeSsh):
    """A third party's extension, with all that it must have."""


class NoTeardown:
    """One that cannot remove what it makes."""

    def observe(self, transport: Any, request: Any) -> None: ...
    def provision(self, operation: Any, desired: Any, *, fresh: bool) -> None: ...


class OtherLogs(Good):
    """One whose optional method is called otherwise than the protocol says."""

    def logs(self, name: Any) -> Any: ...  # type: ignore[override]


class OtherParameters(NoTeardown):
    """One whose method is called otherwise than the protocol says."""

    def teardown(self, operation: Any) -> None: ...


NO_CLASS = "a string"


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.GROUP)


def here(name: str) -> EntryPoint:
    return entry("other", f"{__name__}:{name}")


def described(name: str = "ext.other", implementation: str = "other", **capabilities: Any) -> dict[str, Description]:
    spec = {"implementation": implementation, "capabilities": CAPABILITIES | capabilities}
    document = {"apiVersion": "sandboxer.dev/v1", "kind": "Extension", "metadata": {"name": name}, "spec": spec}
    return {name: Description.model_validate(document)}


def refusal(descriptions: dict[str, Description], *entries: EntryPoint, name: str = "ext.other") -> ExtensionError:
    with pytest.raises(ExtensionError) as caught:
        build_registry(descriptions, entries).get(name)
    assert caught.value.hint
    return caught.value


def test_the_built_in_extension_does_what_it_is_described_to_do() -> None:
    shipped = load(shipped_files()).extensions["ext.compose-ssh"]
    assert isinstance(build_registry({"ext.compose-ssh": shipped}, ()).get("ext.compose-ssh"), ComposeSsh)
    for description in built_in_extensions().values():
        module, name = registry.BUILT_IN[description.spec.implementation].split(":")
        kind = getattr(import_module(module), name)
        registry.check_class(description.metadata.name, kind, description.spec.capabilities.operations)


def test_what_a_package_registers_is_found_and_made_once() -> None:
    found = build_registry(described(), [here("Good")])
    assert isinstance(found.get("ext.other"), Good)
    assert found.get("ext.other") is found.get("ext.other")


def test_an_extension_that_nobody_described_is_refused_with_those_that_are() -> None:
    error = refusal(described(), here("Good"), name="ext.unknown")
    assert "ext.unknown" in error.message
    assert "ext.other" in error.hint


def test_an_implementation_that_is_not_installed_is_refused() -> None:
    error = refusal(described())
    assert "`other`, which is not installed" in error.message
    assert "compose-ssh" in error.hint


@pytest.mark.parametrize("name", ["other", "compose-ssh"], ids=["by-two-packages", "of-sandboxer-itself"])
def test_an_implementation_that_is_registered_twice_is_refused(name: str) -> None:
    with pytest.raises(ExtensionError, match=f"`{name}` is registered twice"):
        build_registry({}, [entry(name, "one:A"), entry(name, "two:B")])


@pytest.mark.parametrize("field", sorted(CAPABILITIES))
def test_a_description_that_lacks_a_capability_field_is_refused_with_its_position(field: str) -> None:
    given = {key: value for key, value in CAPABILITIES.items() if key != field}
    spec = {"implementation": "other", "capabilities": given}
    document = {"apiVersion": "sandboxer.dev/v1", "kind": "Extension", "metadata": {"name": "ext.other"}, "spec": spec}
    files = shipped_files() | {"extensions/other.yaml": yaml.safe_dump(document).encode()}
    (finding,) = load(files).diagnostics
    assert finding.severity == "error"
    assert field in finding.message
    assert finding.location.file == "extensions/other.yaml"


def test_two_descriptions_of_one_name_are_refused() -> None:
    again = (ROOT / "extensions/ext.compose-ssh.yaml").read_bytes()
    assert any("ext.compose-ssh" in d.message for d in load(shipped_files() | {"extensions/b.yaml": again}).diagnostics)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_that_every_extension_needs_must_be_claimed(operation: str) -> None:
    claimed = [name for name in OPERATIONS if name != operation]
    assert f"does not declare {operation}" in refusal(described(operations=claimed), here("Good")).message


def test_a_class_without_what_is_claimed_is_refused() -> None:
    error = refusal(described(), here("NoTeardown"))
    assert "declares `teardown`" in error.message
    assert "NoTeardown" in error.message
    assert (
        "declares `estimate_cost`"
        in refusal(described(operations=[*OPERATIONS, "estimate_cost"]), here("Good")).message
    )


def test_a_class_that_takes_other_parameters_is_refused_with_those_that_it_is_called_with() -> None:
    error = refusal(described(), here("OtherParameters"))
    assert "OtherParameters.teardown takes (self, operation)" in error.message
    assert "tombstone" in error.hint


def test_a_capability_that_is_declared_is_held_to_its_protocol() -> None:
    error = refusal(described(operations=[*OPERATIONS, "logs"]), here("OtherLogs"))
    assert "OtherLogs.logs takes (self, name)" in error.message
    assert error.hint == "accept the parameters (self, sandbox, request)"
    assert isinstance(build_registry(described(), [here("OtherLogs")]).get("ext.other"), OtherLogs)


def test_what_is_not_declared_is_not_supported_whatever_the_class_has() -> None:
    found = build_registry(described(operations=[*OPERATIONS, "exec"]), [here("Good")])
    assert isinstance(found.capable("web", "ext.other", "exec"), Good)
    with pytest.raises(CapabilityMissing) as caught:
        found.capable("web", "ext.other", "logs")
    assert caught.value.message == 'sandbox "web": extension ext.other does not support logs'
    assert caught.value.hint


def test_a_description_of_before_is_still_read() -> None:
    (old,) = described(operations=["probe", "provision", "wait_ready", "teardown"]).values()
    assert old.spec.capabilities.operations == ("observe", "provision", "teardown")
    assert isinstance(build_registry({"ext.other": old}, [here("Good")]).get("ext.other"), Good)


def test_a_fleets_own_description_of_a_built_in_from_before_keeps_what_it_could() -> None:
    text = (ROOT / "extensions/ext.compose-ssh.yaml").read_text()
    before = re.sub(
        r"operations: (?:.*\n)*?.*defaultFiles.*", "operations: [probe, provision, wait_ready, teardown]", text
    )
    assert before != text
    files = shipped_files() | {"extensions/ext.compose-ssh.yaml": before.encode()}
    assert load(files).extensions == load(shipped_files()).extensions


def test_what_is_no_class_is_refused() -> None:
    assert "is not a class" in refusal(described(), here("NO_CLASS")).message


@pytest.mark.parametrize("value", ["no.such.module:A", f"{__name__}:Missing", "this is no reference"])
def test_code_that_cannot_be_imported_is_refused_with_its_error(value: str) -> None:
    error = refusal(described(), entry("other", value))
    assert "cannot be imported" in error.message


@pytest.fixture
def broken_module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "breaks_at_import.py").write_text("raise SystemError('half installed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "breaks_at_import:A"


def test_a_module_that_fails_at_import_is_refused_and_harms_nobody_else(broken_module: str) -> None:
    descriptions = described() | {"ext.compose-ssh": load(shipped_files()).extensions["ext.compose-ssh"]}
    found = build_registry(descriptions, [entry("other", broken_module)])
    with pytest.raises(ExtensionError, match="half installed"):
        found.get("ext.other")
    assert isinstance(found.get("ext.compose-ssh"), ComposeSsh)
