"""The handle: one description of a sandbox, in one form of JSON, that nobody reads by key."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from sandboxer.hub.incoming import Registration as SentRegistration
from sandboxer.hub.incoming import SentConsumer, SentHandle
from sandboxer.model.handle import AppliedInput, Consumer, Endpoint, Handle, ServiceStatus
from sandboxer.model.hub import Registration
from tests.support.fleet import ROOT
from tests.support.handles import READY, handle, registration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

FULL: dict[str, Any] = {
    **READY,
    "consumer": {"actor": "agt", "project": "harness"},
    "reachability": [
        {
            "name": "http",
            "service": "web",
            "port": 80,
            "address": "172.20.0.2",
            "host_port": None,
            "via": "tunnel",
            "url": "http://172.20.0.2:80",
        }
    ],
    "services": [
        {"name": "web", "state": "running", "health": "healthy", "image": "web:1", "restarts": 2, "exit_code": None}
    ],
    "inputs": {"repo": "../app", "ref": "main", "commit": "c" * 40},
    "commit": "f" * 40,
    "labels": {"b": "2", "a": "1"},
}
OF_A_RECORD = (
    *("phase", "profile", "extension", "created_at", "expires_at", "expiry_source", "ttl", "seconds_left", "consumer"),
    *("requested_by", "error", "inputs", "commit"),
)


# --- the form


@pytest.mark.parametrize("content", [FULL, {**FULL, **dict.fromkeys(OF_A_RECORD)}], ids=["full", "without a record"])
def test_its_json_is_what_it_was_read_from_byte_for_byte(content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    read = Handle.model_validate_json(text)
    assert json.dumps(read.to_json(), indent=2, ensure_ascii=False) == text
    schema = json.loads((ROOT / "schemas/handle.schema.json").read_text())
    Draft202012Validator(schema).validate(content)


def test_a_registration_is_a_handle_and_names_the_owner() -> None:
    sent = registration(**FULL).to_json()
    assert list(sent) == [*FULL, "uid", "fleet"]
    schema = json.loads((ROOT / "schemas/registration.schema.json").read_text())
    Draft202012Validator(schema).validate(sent)


def test_times_are_whole_seconds_in_utc() -> None:
    moment = datetime(2026, 11, 24, 12, 1, 0, 999_999, UTC)
    made = handle(created_at=moment)
    assert made.created_at == moment.replace(microsecond=0)
    assert made.to_json()["created_at"] == "2026-11-24T12:01:00Z"
    for wrong in (datetime(2026, 11, 24), moment.astimezone(timezone(timedelta(hours=1)))):  # noqa: DTZ001
        with pytest.raises(ValidationError):
            handle(created_at=wrong)


def test_what_a_newer_release_adds_is_kept() -> None:
    assert handle(cost=3).to_json() == {**READY, "cost": 3}


def test_the_words_of_labels_on_a_host_never_fail_a_list() -> None:
    assert handle(id="no id\n", origin="nobody").id == "no id\n"


@pytest.mark.parametrize("model", [Handle, AppliedInput, Endpoint, ServiceStatus, Consumer, Registration])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        handle().name = "other"  # type: ignore[misc]


# --- no other description, and nobody reads it by key


def test_the_hub_knows_no_field_that_a_handle_lacks() -> None:
    assert SentHandle.model_fields.keys() <= Handle.model_fields.keys()
    assert SentRegistration.model_fields.keys() <= Registration.model_fields.keys()
    assert SentConsumer.model_fields.keys() <= Consumer.model_fields.keys()


@pytest.mark.parametrize("model", [Handle, Endpoint, Consumer, Registration, SentHandle])
def test_it_has_no_keys(model: type) -> None:
    """Strict types and the interpreter then refuse a read by key; what is left to find is one of its JSON."""
    assert not {"__getitem__", "get", "keys", "items", "values", "__contains__"} & set(dir(model))


UNTYPED = ("Any", "Json", "dict", "Mapping")
NAMES = ("handle", "handles", "registration")
ONLY_OF_A_HANDLE = ("seconds_left", "expiry_source", "requested_by")


def reads_by_key(source: str) -> Iterator[str]:
    """Yield what a module reads by key from the JSON of a handle, keeps of one without its type, or names itself."""
    nodes = list(ast.walk(ast.parse(source)))
    converted = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.For | ast.comprehension)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and _converts(node.iter if hasattr(node, "iter") else node.value)
    }
    for node in nodes:
        read = node.value if isinstance(node, ast.Subscript) else None
        if isinstance(node, ast.Attribute) and node.attr in ("get", "pop", "items", "values", "keys"):
            read = node.value
        if read is not None and (_converts(read) or (isinstance(read, ast.Name) and read.id in converted)):
            yield f"{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target).rpartition(".")[2]
            if name in NAMES and any(word in ast.unparse(node.annotation) for word in UNTYPED):
                yield f"{node.lineno}: {name}: {ast.unparse(node.annotation)}"
        if isinstance(node, ast.Constant) and node.value in ONLY_OF_A_HANDLE:
            yield f"{node.lineno}: {node.value!r}"


def _converts(node: ast.AST | None) -> bool:
    """Return whether an expression is the JSON of a handle, or one for each of several."""
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return _converts(node.elt)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    whose = ast.unparse(node.func.value).rpartition(".")[2]
    return node.func.attr in ("to_json", "model_dump") and whose in (*NAMES, "shown")


MODULES = sorted((ROOT / "sandboxer").rglob("*.py"))


def test_no_module_reads_a_handle_by_key() -> None:
    assert len(MODULES) > 200
    found = [f"{path.relative_to(ROOT)}:{one}" for path in MODULES for one in reads_by_key(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'sandbox.handle.to_json()["host"]',
        'content = handle.to_json()\nprint(content.get("phase"))',
        'for one in [handle.to_json() for handle in handles]:\n    print(one["name"])',
        "def shown(handle: JsonObject) -> str: ...",
        "class Life:\n    handle: dict[str, Any] | None = None",
        'made = {"id": 1, "expiry_source": None}',
    ],
)
def test_a_read_by_key_is_found(planted: str) -> None:
    assert list(reads_by_key(planted))


def test_what_is_no_read_is_not_found() -> None:
    plain = 'write(json.dumps(handle.to_json()))\nprint(handle.host, given["host"], plan.to_json()["changes"])'
    assert list(reads_by_key(plain)) == []
