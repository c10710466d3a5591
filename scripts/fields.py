"""``python -m scripts.fields``: write the tables of docs/manifests.md from the models; a test holds them equal."""

from __future__ import annotations

import json
import re
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import ceilings, rules
from sandboxer.extensions.compose_ssh.limits import TABLE
from sandboxer.model.manifest import KINDS
from sandboxer.reconcile.fields import EFFECTS, Effect
from scripts.stage import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

PAGE = REPOSITORY / "docs/manifests.md"

_EFFECT_WORDS = {Effect.RECORD: "record", Effect.IN_PLACE: "in place", Effect.REPLACE: "replace"}
_MARKED = re.compile(r"<!-- (fields|compose): (\w+) -->\n.*?<!-- end -->", re.DOTALL)

# Fields of a manifest that have another name in the applied spec, or are not in it.
_SPEC_KEYS = {
    "Sandbox": {
        "secretRefs": "secrets",
        "metadata.labels": "labels",
        "placement": "(move)",
        "metadata.name": "(name)",
        "sensitive": "(none)",
    },
    "Profile": {
        "placement": "(move)",
        "ttl.max": "(limit)",
        "metadata.name": "profile",
        "metadata.labels": "(none)",
        "sensitive": "(none)",
    },
}
_OUTSIDE = {
    "(move)": "a move, if its host no longer fits",
    "(name)": "another sandbox",
    "(limit)": "none",
    "(none)": "none",
}


def page(text: str) -> str:
    """Return the page with everything between its marks regenerated."""

    def written(match: re.Match[str]) -> str:
        what, name = match.groups()
        return f"<!-- {what}: {name} -->\n{table(name) if what == 'fields' else compose_keys(name)}<!-- end -->"

    return _MARKED.sub(written, text)


def compose_keys(fate: str) -> str:
    """Return the service keys with this fate, as Markdown.

    ``fate`` is ``kept``, ``checked``, ``dropped`` or ``limited`` for a list; ``refused`` or ``ceilings`` for a table.
    """
    if fate == "refused":
        lines = [_line(["key", "reason, and what to do"]), _line(["---", "---"])]
        return "\n".join([*lines, *(_line([f"`{key}`", why]) for key, why in sorted(rules.REFUSED.items()))]) + "\n"
    if fate == "ceilings":
        lines = [_line(["what", "maximum", "why"]), _line(["---"] * 3)]
        most = [[limit.what, limit.shown + (", lowered to it" if limit.lowered else ""), limit.why] for limit in TABLE]
        return "\n".join([*lines, *map(_line, most)]) + "\n"
    keys = {"kept": rules.FORMS, "checked": rules.CHECKED, "dropped": rules.DROPPED, "limited": ceilings.KEYS}[fate]
    return fill(", ".join(f"`{key}`" for key in sorted(keys)), 116, break_on_hyphens=False) + "\n"


def table(kind: str) -> str:
    """Return one kind's fields as a Markdown table: name, type, default, meaning, and the effect of a change."""
    effects = kind in _SPEC_KEYS
    titles = ["field", "type", "default", "meaning", *(["effect of a change"] if effects else [])]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for path, holds, default, meaning in _rows(kind):
        cells = [f"`{path}`", holds, default, meaning]
        lines.append(_line([*cells, *([effect(kind, path)] if effects else [])]))
    return "\n".join(lines) + "\n"


def effect(kind: str, path: str) -> str:
    """Return the effect of a change of a field, in words. Raise KeyError for a field without a declared effect."""
    plain = path.removeprefix("spec.").replace("[]", "")
    renamed = _SPEC_KEYS[kind]
    known = next((renamed[key] for key in (plain, plain.split(".")[0]) if key in renamed), plain.split(".")[0])
    return _OUTSIDE[known] if known in _OUTSIDE else _EFFECT_WORDS[EFFECTS[known]]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rows(kind: str) -> Iterator[tuple[str, str, str, str]]:
    model = KINDS[kind]
    schema = model.model_json_schema(by_alias=True)
    for part in ("metadata", "spec"):
        yield from _fields(part, _inner_model(model, part), schema["$defs"])


def _inner_model(model: type[BaseModel], name: str) -> type[BaseModel]:
    inner: type[BaseModel] = model.model_fields[name].annotation  # type: ignore[assignment]
    return inner


def _fields(path: str, model: type[BaseModel], definitions: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    part = definitions[model.__name__]
    # Next to a reference pydantic leaves the description out of the schema, so it comes from the field itself.
    meanings = {field.alias or name: field.description for name, field in model.model_fields.items()}
    for name, given in part["properties"].items():
        yield from _field(
            f"{path}.{name}", given, name in part.get("required", ()), meanings.get(name) or "", definitions
        )


def _field(
    path: str, given: dict[str, Any], needed: bool, meaning: str, definitions: dict[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    shape = _shape(given)
    inner = shape.get("items", {}) if shape.get("type") == "array" else shape
    target = definitions.get(inner.get("$ref", "").rpartition("/")[2], {})
    # A field that also accepts plain text is shown with the fields of its long form.
    target = next((option for option in target.get("anyOf", ()) if "properties" in option), target)
    if "properties" not in target:
        yield path, _holds(shape), _default(given, needed), _escaped(meaning)
        return
    many = shape.get("type") == "array"
    if many or "anyOf" in given:
        yield path, "list" if many else "mapping", _default(given, needed), _escaped(meaning)
    for name, field in target["properties"].items():
        described = field.get("description", "")
        yield from _field(
            f"{path}{'[]' if many else ''}.{name}", field, name in target.get("required", ()), described, definitions
        )


def _shape(given: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field's value, without null."""
    options = [option for option in given.get("anyOf", ()) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else given


def _holds(shape: dict[str, Any]) -> str:
    if "enum" in shape or "const" in shape:
        return _escaped(" | ".join(f"`{value}`" for value in shape.get("enum", [shape.get("const")])))
    if "anyOf" in shape:
        return " or ".join(_holds(option) for option in shape["anyOf"])
    examples = shape.get("examples", ())
    if examples:
        kind = {"90s": "duration", "512MiB": "size"}.get(examples[0], "time")
        return f"{kind}, such as `{examples[-1]}`"
    if shape.get("type") == "array":
        inner = shape.get("items", {})
        return "list of mappings" if "patternProperties" in inner else f"list of {_holds(inner)}"
    if shape.get("type") == "string" and shape.get("pattern", "").endswith("%$"):
        return "percentage"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return words.get(str(shape.get("type")), "mapping")


def _default(given: dict[str, Any], needed: bool) -> str:
    if needed:
        return "required"
    value = given.get("default")
    return "" if value in (None, [], {}) else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
