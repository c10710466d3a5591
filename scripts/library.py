"""``python -m scripts.library``: write docs/library-reference.md from the docstrings of the public names.

With ``--check`` it writes nothing and fails where the page differs.
"""

from __future__ import annotations

import argparse
import enum
import inspect
import re
import sys
from dataclasses import dataclass, field, fields, is_dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

import sandboxer
from sandboxer import errors
from sandboxer.model.handle import ExpirySource
from sandboxer.model.hub import CloudEvent, SandboxData
from scripts.stage import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PAGE = REPOSITORY / "docs/library-reference.md"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "The client": ("Client", "Sandbox", "SandboxFilter"),
    "What a sandbox is": (
        "Handle",
        "AppliedInput",
        "ServiceStatus",
        "Endpoint",
        "Consumer",
        "Phase",
        "Sync",
        "Health",
        "Event",
        "Drifted",
        "Failure",
    ),
    "Inside a sandbox": ("Logs", "LogLine", "Forward", "PortRequest", "Shell", "Stream", "Terminal"),
    "What was done": ("Change", "FieldChange", "Action", "Reason", "Outcome", "Abandoned", "Unrecorded"),
}
"""The public names, in the order of the page; ``errors`` follows, a table of its own."""

_INTRO = """\
# Library reference

<!-- Written by `python -m scripts.library` from the docstrings. -->

Every name below can be imported from `sandboxer`. [Sandboxes without a commit](imperative.md#from-python) shows their
use, and [the reference](reference.md#a-handle-as-json) has the JSON of a handle.
"""
_WIDTH = 126
# Methods of an event for those who write one.
_OF_A_JOURNAL = ("to_line", "halves")
_SECTION = re.compile(r"(Args|Raises):|Example::")
# Names in annotations that are no public ones, and what they stand for.
_ALIASES = {
    "_Second": "datetime",
    "Utc": "datetime",
    **dict.fromkeys(("_Code", "_Message", "_Hint", "_Step", "_Service"), "str"),
    "ExpirySource": " | ".join(f'"{word}"' for word in get_args(ExpirySource)),
    "query.SandboxFilter": "SandboxFilter",
    "JsonObject": "Mapping[str, JsonValue]",
}


@dataclass
class Docstring:
    """A docstring in its parts: the text, each parameter, each error, and the example's code."""

    text: list[str] = field(default_factory=list)
    args: dict[str, str] = field(default_factory=dict)
    raises: dict[str, str] = field(default_factory=dict)
    example: str = ""

    @classmethod
    def of(cls, documented: object) -> Docstring:
        """Return the docstring of a class, a method or a property. Raise ValueError where there is none."""
        text = inspect.getdoc(documented)
        if not text:
            raise ValueError(f"{documented} has no docstring")
        parts: dict[str, list[str]] = {"": []}
        section = ""
        for line in text.splitlines():
            if match := _SECTION.fullmatch(line):
                section = match[0].rstrip(":")
            parts.setdefault(section, []).extend([] if match else [line])
        found = {name: inspect.cleandoc("\n".join(["", *lines])) for name, lines in parts.items()}
        paragraphs = [" ".join(one.split()) for one in found[""].split("\n\n")]
        return cls(paragraphs, _items(found, "Args"), _items(found, "Raises"), found.get("Example", ""))

    @property
    def line(self) -> str:
        """The text in one line, for a table."""
        return " ".join(self.text)


def _items(found: Mapping[str, str], section: str) -> dict[str, str]:
    pairs = re.findall(r"^(\w+): (.*(?:\n +.*)*)", found.get(section, ""), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in pairs}


def page() -> str:
    """Return the page."""
    contents = [_filled(f"- {title}: {', '.join(map(_linked, names))}", "  ") for title, names in GROUPS.items()]
    parts = [_INTRO, *contents, "- [Errors](#errors)", ""]
    for names in GROUPS.values():
        for name in names:
            parts += _class(name, getattr(sandboxer, name))
    return "\n".join([*parts, *_errors()]) + "\n"


def _linked(name: str) -> str:
    return f"[`{name}`](#{name.lower()})"


def _class(name: str, own: type) -> Iterator[str]:
    doc = Docstring.of(own)
    yield from [f"## {name}", ""]
    yield from _texts(doc)
    if issubclass(own, enum.Enum):
        yield from [_filled(", ".join(f"`{name}.{one.name}` (`{one.value}`)" for one in own) + "."), ""]
        return
    if doc.args:
        yield from _parameters(inspect.signature(own), doc)
    elif is_dataclass(own):
        yield from _table(("field", "type"), ([f"`{one.name}`", _type(one.type)] for one in fields(own)))
    yield from _rest(doc)
    methods = {key: one for key, one in vars(own).items() if key[0] != "_" and inspect.isfunction(one)}
    methods = {key: one for key, one in methods.items() if key not in _OF_A_JOURNAL}
    headings = ("field", "type", "meaning") if issubclass(own, BaseModel) else ("property", "type", "meaning")
    yield from _table(headings, _attributes(own))
    if name in GROUPS["The client"][:2]:
        for key, method in methods.items():
            yield from _method(name, key, method)
    else:
        rows = ([f"`{key}{_signature(one)}`", Docstring.of(one).line] for key, one in methods.items())
        yield from _table(("method", "meaning"), rows)


def _method(owner: str, name: str, method: Any) -> Iterator[str]:
    doc = Docstring.of(method)
    yield from [f"### {owner}.{name}", "", "```text", _signature(method, name), "```", ""]
    yield from _texts(doc)
    if doc.args:
        yield from _parameters(inspect.signature(method), doc)
    yield from _rest(doc)


def _texts(doc: Docstring) -> Iterator[str]:
    for paragraph in doc.text:
        yield from [_filled(_marked(paragraph)), ""]


def _rest(doc: Docstring) -> Iterator[str]:
    rows = ([f"[`{error}`](#errors)", why] for error, why in doc.raises.items())
    yield from _table(("raises", "if"), rows)
    if doc.example:
        yield from ["```python", doc.example, "```", ""]


def _parameters(signature: inspect.Signature, doc: Docstring) -> Iterator[str]:
    """Yield the table of the documented parameters. Raise ValueError for one that does not exist."""
    if unknown := doc.args.keys() - signature.parameters.keys():
        raise ValueError(f"no such parameter: {', '.join(sorted(unknown))}")
    rows = (
        [f"`{name}`", _type(signature.parameters[name].annotation), _default(signature.parameters[name]), meaning]
        for name, meaning in doc.args.items()
    )
    yield from _table(("parameter", "type", "default", "meaning"), rows)


def _attributes(own: type) -> Iterator[list[str]]:
    """Yield the fields of a model or a dataclass, and the properties of any class, each with its type."""
    if issubclass(own, BaseModel):
        # The fields of an event are those of its CloudEvent, which describes them.
        others = {**CloudEvent.model_fields, **SandboxData.model_fields}
        for name, one in own.model_fields.items():
            described = one.description or others[name].description or ""
            yield [f"`{name}`", _type(own.__annotations__[name]), re.sub(r"\bnull\b", "None", described)]
    yield from _properties(own)


def _properties(own: type) -> Iterator[list[str]]:
    for name, one in vars(own).items():
        if isinstance(one, property) and not name.startswith("_"):
            yield [f"`{name}`", _type(inspect.signature(one.fget).return_annotation), Docstring.of(one).line]  # type: ignore[arg-type]


def _signature(method: Any, name: str = "") -> str:
    """Return the parameters and the result of a method, without ``self``; in lines of their own if they are long."""
    signature = inspect.signature(method)
    words: list[str] = []
    for key, one in signature.parameters.items():
        star = "*" if one.kind is one.VAR_POSITIONAL else ""
        if one.kind is one.KEYWORD_ONLY and not any(word.startswith("*") for word in words):
            words.append("*")
        default = "" if one.default is one.empty else f" = {'...' if callable(one.default) else repr(one.default)}"
        words += [] if key == "self" else [f"{star}{key}: {_plain(one.annotation)}{default}"]
    result = f" -> {_plain(signature.return_annotation)}"
    text = f"{name}({', '.join(words)}){result}"
    return text if len(text) <= 110 else "\n    ".join([f"{name}(", *(f"{word}," for word in words)]) + f"\n){result}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "" if parameter.kind is parameter.VAR_POSITIONAL else "required"
    value = parameter.default
    return (
        "" if value is None or callable(value) or not isinstance(value, str | int | float | tuple) else f"`{value!r}`"
    )


def _type(annotation: Any) -> str:
    return f"`{_plain(annotation)}`"


def _plain(annotation: Any) -> str:
    annotation = str(annotation).replace("'", '"')
    for name, meaning in _ALIASES.items():
        annotation = re.sub(rf"(?<![\w.]){re.escape(name)}\b", meaning, annotation)
    return annotation


def _errors() -> Iterator[str]:
    first, tree = (errors.__doc__ or "").split("::\n\n", 1)
    lines = tree.split("\n\n")[0].splitlines()
    yield from ["## Errors", "", "`sandboxer.errors` has one tree:", "", "```text"]
    yield from (line.removeprefix("    ") for line in lines)
    yield from ["```", "", _filled(" ".join(first.split(".", 1)[1].split()) + "."), ""]
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    yield from _table(("error", "meaning"), ([f"`{one.__name__}`", Docstring.of(one).line] for one in classes), end="")


def _table(headings: Iterable[str], rows: Iterable[list[str]], end: str | None = None) -> Iterator[str]:
    """Yield a table and an empty line; nothing without rows."""
    headings, lines = list(headings), [[_cell(text) for text in row] for row in rows]
    if lines:
        yield from (f"| {' | '.join(line)} |" for line in [headings, ["---"] * len(headings), *lines])
        if end is None:
            yield ""


def _cell(text: str) -> str:
    plain = text if text.startswith("`") else text.replace("<", "&lt;")
    return _marked(plain).replace("|", "\\|")


def _marked(text: str) -> str:
    return text.replace("``", "`")


def _filled(text: str, indent: str = "") -> str:
    return fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page; return 1 where a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m scripts.library", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page differs")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{PAGE} is not what the docstrings say: run `python -m scripts.library`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
