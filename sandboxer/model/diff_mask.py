"""The text of changed files for reviewers: values of keys with sensitive names are masked, line by line.

Git has these values, and whoever may read the repository may read them. But a plan also goes to the logs of CI and to
pull requests, which more people read. It is a help and no guarantee: a secret without such a name is not found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandboxer.model.plan import SENSITIVE
from sandboxer.model.redaction import is_sensitive_name
from sandboxer.model.text import redact_urls

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

_NAME = r"(?P<name>[A-Za-z][\w.-]{0,100})"  # bounded: each letter of a long line may begin one
# A name with a value behind it: `A=1`, `a: 1`, `"a": 1`, `a => 1`, `<a>1`, `ENV A 1`, `--a 1`.
_KEYED = re.compile(
    rf"""{_NAME}["'\]]*\s*(?:=>|:=|\?=|\+=|==?|:(?![/:]))\s*(?=\S)"""
    rf"|<{_NAME.replace('name', 'tag')}(?:\s[^<>]*)?>(?=[^<\s])"
    rf"|\b(?:ENV|ARG)\s+{_NAME.replace('name', 'argument')}\s+(?=\S)"
    rf"|--?{_NAME.replace('name', 'option')}\s+(?=[^\s-])"
)
# Sections of files that list names and no values.
_SECTIONS = ("secrets", "secretrefs", "secret_refs")
# Values that only refer to one.
_REFERENCE = re.compile(r"""["']?(?:\$\{\w+\}|\$\w+|\$\{\{[^{}]*\}\}|env:\w+|/run/secrets/[\w.-]+)["']?[,;]?""")
_NOTHING = re.compile(r"""(?:["']{2}|null|~|None|true|false|\{|\[|\(|[{\[]\s*[}\]])?[,;]?""", re.IGNORECASE)
_BLOCK = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?")
# A list that begins behind its key, in YAML or JSON, and an item of one that is a value by itself.
_LIST = re.compile(rf"""\s*(?:-\s+)?["']?{_NAME}["']?\s*:\s*\[?\s*""")
_ITEM = re.compile(
    r"""(?P<before>\s*(?P<dash>-\s+(?!["']?[\w.-]+["']?\s*:(?:\s|$)))?)(?P<value>(?(dash)\S.*|(?:"[^"]*"|'[^']*'),?))\s*"""
)
_TOKEN = re.compile(
    r"(?<=Bearer )[\w.~+/=-]{8,}|(?<=Basic )[A-Za-z0-9+/=]{8,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}|\bAKIA[0-9A-Z]{16}\b|\bxox[abprs]-[\w-]{10,}|\bsk-[\w-]{20,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"
)
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----")
_END = re.compile(r"-----END ")
_BASE64 = re.compile(r"\s*[A-Za-z0-9+/]{60,}={0,2}\s*")


def masked(lines: Iterable[str], sensitive: Container[str] = ()) -> Iterator[str]:
    """Yield the lines of a file's hunks, each with its sign, with ``(sensitive)`` in place of what they may not show.

    ``sensitive`` are names whose values are hidden, beside those that say so themselves.
    """
    within_key = within_list = False
    block: int | None = None  # the indentation of a key whose value is on the lines below it
    for line in lines:
        if line.startswith(("@@", "diff ")):
            within_key = within_list = False
            shown, opens = _line(line, sensitive)
            # Git writes the last line at the left margin behind a hunk's place: the hunk may begin within its value.
            block = 0 if opens else None
            yield shown
            continue
        sign, text = line[:1], line[1:]
        indent = len(text) - len(text.lstrip())
        if block is not None and text.strip():
            block = block if indent > block else None
        item = _ITEM.fullmatch(text) if within_list else None
        if within_key or _PRIVATE.search(text):
            shown, within_key = _of_private_key(text)
            yield sign + shown
        elif (block is not None and text.strip()) or _BASE64.fullmatch(text):
            yield f"{sign}{text[:indent]}{SENSITIVE}"
        elif item is not None:
            yield sign + (text if _REFERENCE.fullmatch(item["value"]) else f"{item['before']}{SENSITIVE}")
        else:
            shown, opens = _line(text, sensitive)
            named = _LIST.fullmatch(text)
            within_list = _hides(named["name"], sensitive) if named else within_list and not text.strip()
            block = indent if opens else block
            yield sign + shown


def _of_private_key(text: str) -> tuple[str, bool]:
    """Return a line of a private key as its markers alone, and whether the key goes on."""
    begin, end = _PRIVATE.search(text), _END.search(text)
    before = text[: begin.end()] if begin else ""
    return f"{before}{SENSITIVE}{text[end.start() :] if end else ''}", end is None


def _line(text: str, sensitive: Container[str]) -> tuple[str, bool]:
    """Return a line as it may be shown, and whether the value of a sensitive key follows on the next lines."""
    for found in _KEYED.finditer(text):
        name = next(filter(None, found.groupdict().values()))
        if not _hides(name, sensitive):
            continue
        value = text[found.end() :].strip()
        if _REFERENCE.fullmatch(value) or _NOTHING.fullmatch(value):
            continue
        if _BLOCK.fullmatch(value):
            return text, True
        return text[: found.end()] + SENSITIVE, False
    return redact_urls(_TOKEN.sub(SENSITIVE, text)), False


def _hides(name: str, sensitive: Container[str]) -> bool:
    """Return whether a key in any spelling (``dbPassword``, ``db-password``, ``db.password``) hides its value."""
    if name.lower() in _SECTIONS:
        return False
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-.]", "_", name)
    return is_sensitive_name(name, sensitive) or is_sensitive_name(plain, sensitive)
