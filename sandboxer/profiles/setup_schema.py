"""The check of a profile's ``setup`` against its extension's ``setupSchema``: JSON Schema with bounded cost.

References could be fetched from elsewhere and patterns can take forever, so neither is allowed, and both sides are
small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.model.manifest import Extension

    Problem = tuple[tuple[str | int, ...], str, str]

MAX_VALUES = 500

_FORBIDDEN = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id", "pattern", "patternProperties"})


def check_schema(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the errors of a setup schema, as (path, message, hint)."""
    from jsonschema import Draft202012Validator  # slow, and few fleets need it
    from jsonschema.exceptions import best_match

    if (refused := _refusal(schema)) is not None:
        yield refused
        return
    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    error = best_match(meta.iter_errors(schema))
    if error is not None:
        yield tuple(error.absolute_path), "`spec.setupSchema` is not a valid JSON Schema", printable(error.message, 200)


def check_setup(setup: Mapping[str, Any], extension: Extension) -> Iterator[Problem]:
    """Yield the errors of a setup, as (path, message, hint). A schema that is itself invalid checks nothing."""
    schema, name = extension.spec.setup_schema, extension.metadata.name
    if schema is None:
        if setup:
            yield (), f"`spec.setup` must be empty: {name} accepts no setup", "remove it"
        return
    if next(check_schema(schema), None) is not None:
        return
    if _size(setup) > MAX_VALUES:
        yield (), f"`spec.setup` holds more than {MAX_VALUES} values", "reduce the number of values"
        return
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(setup):
        path = tuple(error.absolute_path)
        yield path, f"`spec.setup` does not match the schema of {name}", printable(error.message, 200)


def _refusal(schema: Mapping[str, Any]) -> Problem | None:
    if _size(schema) > MAX_VALUES:
        return (), f"`spec.setupSchema` holds more than {MAX_VALUES} values", "reduce the number of values"
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), schema)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            # Includes property names: to distinguish them from keywords, the schema has to be interpreted, which could
            # be tricked.
            keyword = next((key for key in value if key in _FORBIDDEN), None)
            if keyword is not None:
                hint = "use other keywords: references and patterns are not supported"
                return (*path, keyword), f"`{keyword}` is not allowed in a setup schema", hint
            pending += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            pending += [((*path, index), inner) for index, inner in enumerate(value)]
    return None


def _size(value: Any) -> int:
    """Return how many values ``value`` holds; counting stops beyond the limit."""
    count, pending = 0, [value]
    while pending and count <= MAX_VALUES:
        inner = pending.pop()
        count += 1
        if isinstance(inner, dict | list):
            pending += inner.values() if isinstance(inner, dict) else inner
    return count
