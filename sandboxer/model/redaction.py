"""Redaction of secrets from texts: as they are, line by line, in pieces, or in a common encoding.

What is replaced by ``(hidden)``:

* a secret, and each of its lines that has 6 characters or more (a ``}`` alone would blank out half of a text);
* a piece of a secret of 8 characters or more, such as in a truncated message. A piece of up to 15 that reads as
  words or numbers, such as ``postgres``, stays where the secret has more than that;
* the value of a variable whose name is sensitive, and its lines, but no pieces of it.

Any other value of a variable is plain, and is never replaced; nor is a value of fewer than 4 characters, nor any part
of a service's name where a message names the service: ``service "postgres"``.

Each is found as plain text, in base64 (standard and for URLs, at any offset in the encoded bytes), in hexadecimal, and
behind percent encoding, backslash escapes (JSON, Go, Python, shell), HTML entities and quotes that a shell or YAML
doubles, up to three of them on top of each other. Values over 128 KiB are found as plain text alone.
"""

from __future__ import annotations

import base64
import html
import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from sandboxer.model.hidden import SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence

PIECE = 8
_WORDS = 16  # a piece of this length or more is always replaced
_LINE = 6
_SHORTEST = 4
_ENCODED = 6  # shorter encodings would match everywhere
_LONG = 16 * 1024
_TOO_LONG = 128 * 1024
_SAMPLE = 4
_STEP = PIECE - _SAMPLE + 1  # with this distance between two samples, one lies within every piece
_LAYERS = 3
_MAX_VIEWS = 12

_SENSITIVE = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|API_?KEY|CREDENTIAL|PRIVATE|_KEYS?$|(?:^|_)PASS$|_PWD$", re.IGNORECASE
)

_SERVICE = re.compile(r'\bservice "([A-Za-z0-9][A-Za-z0-9._-]*)"')
_BREAK = re.compile(r"[\r\n]+")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(
    r"\\(?:u[0-9A-Fa-f]{4}|U000[0-9A-Fa-f]{5}|U0010[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|\n\s*|.)", re.DOTALL
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_QUOTE = re.compile(r"""'\\''|'"'"'|''|\"\"""")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}


def is_sensitive_name(name: str, sensitive: Container[str] = ()) -> bool:
    """Return whether the value of a variable with this name is hidden: its name says so, or ``sensitive`` lists it."""
    return name in sensitive or _SENSITIVE.search(name) is not None


class Redactor:
    """A redactor of certain secrets and sensitive environment values; built once, for many texts.

    With ``services`` only the names of these services stay whole, and else every name that stands in its place.
    """

    def __init__(
        self, secrets: Iterable[str], environment: Iterable[str] = (), services: Collection[str] | None = None
    ) -> None:
        self._services = services
        self._short: set[str] = set()
        self._begins: dict[str, tuple[str, ...]] = {}
        self._pieces: set[str] = set()
        for value in dict.fromkeys(secrets):
            if len(value) < _SHORTEST:
                continue
            self._register(value)
            for form in _forms(value):
                step = 1 if len(form) <= _LONG else PIECE
                self._pieces.update(form[at : at + PIECE] for at in range(0, len(form) - PIECE + 1, step))
        for value in dict.fromkeys(environment):
            if len(value) >= _SHORTEST:
                self._register(value)
        self._known = self._pieces | self._begins.keys()
        self._samples = {part[at : at + _SAMPLE] for part in self._known for at in range(_STEP)}

    def redact(self, text: str) -> str:
        """Return the text with ``(hidden)`` in place of each secret and sensitive environment value."""
        if not text or not (self._known or self._short):
            return text
        names = list(self._names(text))
        spans = sorted(
            (start, end)
            for view in _views(text)
            for start, end in self._spans(view)
            if not any(first <= start and end <= last for first, last in names)
        )
        out: list[str] = []
        done = 0
        for start, end in spans:
            if end <= done:
                continue
            if start > done or not out:
                out += [text[done:start], SHOWN]
            done = end
        return "".join([*out, text[done:]])

    def _names(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where the text names a service."""
        for match in _SERVICE.finditer(text):
            if self._services is None or match[1] in self._services:
                yield match.span(1)

    def _register(self, value: str) -> None:
        """Register a value and its lines, to be found in full."""
        lines = [line.strip() for line in _BREAK.split(value)]
        long_enough = [line for line in lines if len(line) >= _LINE] if len(lines) > 1 else []
        stripped = [value.strip()] if len(value.strip()) >= _LINE else []
        for form in {form for whole in dict.fromkeys((value, *stripped, *long_enough)) for form in _forms(whole)}:
            if len(form) < PIECE:
                self._short.add(form)
            else:
                self._begins[form[:PIECE]] = (*self._begins.get(form[:PIECE], ()), form)

    def _spans(self, view: _View) -> Iterator[tuple[int, int]]:
        """Yield the ranges of the original text to replace, as found in this view of it."""
        text, pieces = view.text, self._pieces
        begin = end = -1  # of the current piece
        for at in self._positions(text):
            part = text[at : at + PIECE]
            for whole in self._begins.get(part, ()):
                if text.startswith(whole, at):
                    yield view.span(at, at + len(whole))
            if part not in pieces:
                continue
            if at > end:
                yield from _piece(view, begin, end)
                begin = at
            end = at + PIECE
        yield from _piece(view, begin, end)
        for short in self._short:
            at = text.find(short)
            while at >= 0:
                yield view.span(at, at + len(short))
                at = text.find(short, at + len(short))

    def _positions(self, text: str) -> Iterator[int]:
        """Yield each position of a known part (8 characters) in a text."""
        samples, known = self._samples, self._known
        for sample in [at for at in range(0, len(text) - _SAMPLE + 1, _STEP) if text[at : at + _SAMPLE] in samples]:
            for at in range(max(sample - _STEP + 1, 0), sample + 1):
                if text[at : at + PIECE] in known:
                    yield at


def _piece(view: _View, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the range of a piece of a secret, without surrounding blanks; nothing if it reveals nothing."""
    piece = view.text[start:end]
    if _is_specific(piece):
        yield view.span(start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))


def _is_specific(piece: str) -> bool:
    """Return whether a piece of a secret reveals more than that the secret contains a word or a number."""
    if len(piece) >= _WORDS:
        return True
    words = re.findall(r"\w+", piece)
    return not all(
        _WORD.fullmatch(word) and (word.isdigit() or word.islower() or word.isupper() or word.istitle())
        for word in words
    )


def _forms(value: str) -> set[str]:
    """Return the forms of a value without escapes: itself, and encodings with an alphabet of their own."""
    forms = {value}
    data = value.encode("utf-8", "surrogateescape" if _is_bytes(value) else "surrogatepass")
    if not value.isascii():
        # As escapes of bytes or of UTF-16 decode to, and with replacement characters for what is not text.
        forms |= {data.decode("latin-1"), _in_halves(value), data.decode("utf-8", "replace")}
    forms |= {form.replace(" ", "+") for form in forms}  # spaces as in an HTML form or a query
    if len(data) > _TOO_LONG:
        return forms
    encoded = {data.hex(), data.hex().upper(), base64.b64encode(data).rstrip(b"=").decode()}
    encoded |= {_inner_base64(data, before) for before in range(3)}
    encoded |= {form.replace("+", "-").replace("/", "_") for form in encoded}
    return forms | {form for form in encoded if len(form) >= _ENCODED}


def _inner_base64(data: bytes, before: int) -> str:
    """Return the base64 characters that depend on ``data`` alone, with ``before`` bytes (modulo 3) in front of it."""
    whole = base64.b64encode(bytes(before) + data).rstrip(b"=").decode()
    return whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]


def _is_bytes(value: str) -> bool:
    return any("\udc80" <= c <= "\udcff" for c in value)


def _in_halves(value: str) -> str:
    """Return the value with two surrogates for each character that needs them in UTF-16."""
    data = value.encode("utf-16-be", "surrogatepass")
    return "".join(chr(int.from_bytes(data[at : at + 2], "big")) for at in range(0, len(data), 2))


class _View:
    """A text behind a layer of encoding: its enclosing text, and where in that text its parts begin."""

    __slots__ = ("_above", "_begins", "_there", "text")

    def __init__(self, text: str, above: _View | None = None, begins: Sequence[int] = (), there: Sequence[int] = ()):
        self.text, self._above, self._begins, self._there = text, above, begins, there

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the range in the outermost text of a part of this one."""
        return self._position(start), self._position(end)

    def _position(self, at: int) -> int:
        if self._above is None:
            return at
        part = bisect_right(self._begins, at) - 1
        return self._above._position(self._there[part] + at - self._begins[part])  # noqa: SLF001  # of the same class

    def decoded(self, pattern: re.Pattern[str], meaning: Callable[[str], str]) -> _View | None:
        """Return this text with each match of the pattern decoded; None without a match."""
        parts: list[str] = []
        begins, there = [0], [0]
        done = length = 0
        for match in pattern.finditer(self.text):
            start, end, decoded = match.start(), match.end(), meaning(match[0])
            parts += [self.text[done:start], decoded]
            length += start - done
            width = (end - start) // len(decoded) if pattern is _PERCENT else end - start
            for at in range(len(decoded)):
                begins.append(length + at)
                there.append(min(start + width * at, end))
            length += len(decoded)
            begins.append(length)
            there.append(end)
            done = end
        return _View("".join([*parts, self.text[done:]]), self, begins, there) if done else None


def _of_percent(encoded: str) -> str:
    return bytes.fromhex(encoded.replace("%", "")).decode("latin-1")


def _of_escape(encoded: str) -> str:
    letter, rest = encoded[1], encoded[2:]
    if letter in "uUx" and rest:
        return chr(int(rest, 16))
    if letter in "01234567":
        return chr(int(encoded[1:], 8))
    return "" if letter == "\n" else _LETTERS.get(letter, letter)


def _of_quote(encoded: str) -> str:
    return encoded[0]


_DECODERS = (
    ("\\", _ESCAPE, _of_escape),
    ("%", _PERCENT, _of_percent),
    ("&", _ENTITY, html.unescape),
    ("", _QUOTE, _of_quote),
)


def _views(text: str) -> Iterator[_View]:
    """Yield the text, and its decoded forms: behind one, two and three encodings on top of each other."""
    seen = {text}
    layer = [_View(text)]
    yield layer[0]
    for _depth in range(_LAYERS):
        below, layer = layer, []
        for view in below:
            for trigger, pattern, meaning in _DECODERS:
                if trigger not in view.text or len(seen) >= _MAX_VIEWS:
                    continue
                found = view.decoded(pattern, meaning)
                if found is not None and found.text not in seen:
                    seen.add(found.text)
                    layer.append(found)
                    yield found
