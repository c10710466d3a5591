"""The words for what pydantic finds: the same for manifests, requests and events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandboxer.model.base import PROBLEM_HINT, PROBLEM_TEXT
from sandboxer.model.quantity import DURATION_PATTERN
from sandboxer.model.text import NAME_PATTERN, NAME_RULE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}
"""What a value must be, by the type of the error."""

BOUNDS = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}

_OF_TEXT = {
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of at most 64 bits",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "model_attributes_type": "a mapping",
}
_LENGTHS = {
    "string_too_short": ("min_length", "at least {} characters long"),
    "string_too_long": ("max_length", "at most {} characters long"),
    "too_short": ("min_length", "at least {} long"),
    "too_long": ("max_length", "at most {} long"),
}

_OF_KEYS = {"missing": "is required", "extra_forbidden": "is not a known key"}

EVENT_ID_PATTERN = "^[0-9a-f]{64}$"
SANDBOX_ID_PATTERN = "^[0-9a-f]{8}$"
LABEL_PATTERN = "^[^=]+=.*$"
CONSUMER_PATTERN = "^(adm|agt|atm)/.+$"
SERVICE_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
KEY_PATTERN = r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$"
PATTERNS: Mapping[str, str] = {
    NAME_PATTERN: f"is not a valid name: {NAME_RULE}",
    DURATION_PATTERN: "is not a duration: write a whole number with a unit, such as 90s, 15m, 8h or 2d",
    EVENT_ID_PATTERN: "is not the ID of an event: 64 hex digits",
    SANDBOX_ID_PATTERN: "is not the ID of a sandbox: 8 hex digits",
    LABEL_PATTERN: "is not a label: write KEY=VALUE",
    CONSUMER_PATTERN: "is not a consumer: write ACTOR/PROJECT, where ACTOR is adm, agt or atm",
    SERVICE_PATTERN: "is not a service name: letters, digits, `.`, `_` and `-`, with a letter or digit first",
    KEY_PATTERN: "is not an idempotency key: 1 to 255 printable ASCII characters, without a space at either end",
}
"""What a text must be that does not match, by the pattern: readers of a message do not get regular expressions."""


def fault_of(details: ErrorDetails) -> str:
    """Return what is wrong, to follow the name of the value: ``must be a string``. Never repeats the value."""
    kind, context = details["type"], details.get("ctx", {})
    if kind in EXPECTED or kind in _OF_TEXT:
        return f"must be {EXPECTED.get(kind) or _OF_TEXT[kind]}"
    if kind in BOUNDS:
        key, words = BOUNDS[kind]
        return f"must be {words} {context[key]}"
    if kind in _LENGTHS:
        key, words = _LENGTHS[kind]
        return f"must be {words.format(context[key])}"
    if kind in ("literal_error", "enum"):
        return f"must be {str(context['expected']).replace(chr(39), '`')}"
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(str(context["pattern"]), "has the wrong form")
    if PROBLEM_TEXT in context:
        return ": ".join(part for part in (context[PROBLEM_TEXT], context[PROBLEM_HINT]) if part)
    return _OF_KEYS.get(kind) or _plain(details["msg"])


def _plain(message: str) -> str:
    """Return one of pydantic's other messages as the end of a sentence."""
    message = re.sub(r"^Value error, ", "", message)
    return re.sub(r"^(Input|Value|String|List|Dictionary) should ", "must ", message)
