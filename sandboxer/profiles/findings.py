"""The conversion of pydantic's errors to diagnostics: in YAML's terms, with the position and a hint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from sandboxer.model.base import PROBLEM_HINT, PROBLEM_PATH, PROBLEM_TEXT, Strict
from sandboxer.model.faults import BOUNDS, EXPECTED
from sandboxer.model.suggestion import did_you_mean, nearest
from sandboxer.model.text import printable
from sandboxer.profiles.report import is_sensitive
from sandboxer.profiles.yaml_nodes import describe

if TYPE_CHECKING:
    from types import UnionType

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from sandboxer.model.documents import Document
    from sandboxer.profiles.report import Report
    from sandboxer.profiles.yaml_nodes import Path


def report_errors(report: Report, document: Document, model: type[Strict], error: ValidationError) -> None:
    """Report each of a document's errors, unless its YAML already has a finding at the same position."""
    known = report.positions(document.file)
    errors = error.errors(include_url=False)
    unknown = {details["loc"] for details in errors if details["type"] == "extra_forbidden"}
    for details in errors:
        if not report.room(document.file):
            report.skip(document.file)
            continue
        path = details["loc"][:-1] if _is_about_key(details) else details["loc"]
        if document.positions.span(path)[0] in known or (details["type"] == "missing" and _misspelt(path, unknown)):
            continue
        _report(report, document, model, path, details)


def _is_about_key(details: ErrorDetails) -> bool:
    """Return whether a mapping's key is wrong, and not its value.

    Pydantic then appends ``[key]`` to the location.
    """
    return details["loc"][-1:] == ("[key]",) and len(details["loc"]) > 1 and details["type"] != "extra_forbidden"


def subject(path: Path) -> str:
    """Return the name of a part of a document in messages: ``spec.reachability.ports[0].name``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{printable(step, 60)}" for step in path)
    return f"`{text.removeprefix('.')}`" if text else "the document"


def _report(report: Report, document: Document, model: type[Strict], path: Path, details: ErrorDetails) -> None:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    of_key = _is_about_key(details)
    name = f"a key of {subject(path[:-1])}" if of_key else subject(path)
    if kind == "extra_forbidden":
        _unknown_key(report, document, model, path)
    elif kind == "missing":
        hint = f"add `{path[-1]}`: {_description(model, path)}"
        message = f"missing key `{path[-1]}` in {_section(document, path[:-1])}"
        report.add(document, path[:-1], "missing-key", message, hint, of_key=True)
    elif kind in EXPECTED:
        message = f"{name} must be {EXPECTED[kind]}, found {describe(value)}"
        report.add(document, path, "wrong-type", message, _type_hint(document, path, kind, value), of_key=of_key)
    elif kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        found = f"`{printable(value)}`" if isinstance(value, str) else describe(value)
        hint = did_you_mean(value, allowed) if isinstance(value, str) and len(allowed) > 1 else f"write `{allowed[0]}`"
        expected = " or ".join(f"`{word}`" for word in allowed)
        report.add(document, path, "bad-value", f"{name} must be {expected}, found {found}", hint)
    elif kind in BOUNDS:
        key, words = BOUNDS[kind]
        report.add(document, path, "out-of-range", f"{name} must be {words} {context[key]}, found {value}")
    elif kind == "too_short":
        hint = "add at least one" if path[-1] != "hosts" else "add at least one, or remove the key"
        report.add(document, path, "bad-value", f"{name} must not be empty", hint)
    elif PROBLEM_TEXT in context:
        found = f", found {describe(value)}" if kind == "wrong-type" else ""
        inner = path + tuple(context[PROBLEM_PATH])
        name = name if inner == path else subject(inner)
        report.add(
            document, inner, kind, f"{name} {context[PROBLEM_TEXT]}{found}", context[PROBLEM_HINT], of_key=of_key
        )
    else:
        report.add(document, path, "bad-value", f"{name}: {printable(details['msg'], 200)}")


def _misspelt(path: Path, unknown: set[Path]) -> bool:
    """Return whether the key missing at ``path`` is there under a misspelt name: one finding is enough."""
    beside = [str(other[-1]) for other in unknown if other[:-1] == path[:-1]]
    return any(nearest(word, [str(path[-1])]) is not None for word in beside[:20])


def _section(document: Document, path: Path) -> str:
    return f"{document.kind} {subject(path).strip('`')}" if path else document.kind


def _unknown_key(report: Report, document: Document, model: type[Strict], path: Path) -> None:
    key = str(path[-1])
    here = _keys(_type_at(model, path[:-1]))
    message = f"unknown key `{printable(key)}` in {_section(document, path[:-1])}"
    hint = did_you_mean(key, here)
    if nearest(key, here) is None:
        for section in ("spec", "metadata"):
            if path[:-1] != (section,) and key in _keys(_type_at(model, (section,))):
                hint = f"move the key to `{section}`"
    report.add(document, path, "unknown-key", message, hint, of_key=True)


def _type_hint(document: Document, path: Path, kind: str, value: object) -> str:
    if kind == "string_type":
        text = None if is_sensitive(path) else document.positions.text(path)
        return f'quote it: "{printable(text)}"' if text else 'write a string; an empty one is ""'
    if kind == "bool_type":
        return "write true or false, without quotes"
    if kind in {"int_type", "float_type"} and isinstance(value, str):
        return "write a plain decimal number, without quotes"
    if kind == "int_from_float":
        return "write a whole number"
    if kind == "tuple_type":
        return "write a list: [a, b], or a line with `- ` for each"
    if kind in {"model_type", "dict_type"}:
        return "indent the keys below" if value is None else "write a mapping: {key: value}"
    return ""


def _description(model: type[Strict], path: Path) -> str:
    parent = _type_at(model, path[:-1])
    if isinstance(parent, type) and issubclass(parent, Strict):
        for field in parent.model_fields.values():
            if field.alias == path[-1]:
                return field.description or "required in every manifest"
    return ""


def _keys(kind: Any) -> list[str]:
    """Return the YAML keys of a model."""
    if isinstance(kind, type) and issubclass(kind, Strict):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _type_at(kind: Any, path: Path) -> Any:
    """Return the type of the value at ``path``, without None, lists and annotations."""
    for step in path:
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, Strict):
            fields = [field for name, field in kind.model_fields.items() if (field.alias or name) == step]
            kind = fields[0].annotation if fields else None
        else:
            arguments = get_args(kind)
            kind = arguments[0] if isinstance(step, int) and arguments else (arguments or (None,))[-1]
    return _bare(kind)


def _bare(kind: Any) -> Any:
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            kind = get_args(kind)[0]
        elif origin in _UNIONS:
            kind = next(part for part in get_args(kind) if part is not type(None))
        else:
            return kind


_UNIONS: tuple[type[UnionType] | Any, ...] = (Union, type(int | None))
