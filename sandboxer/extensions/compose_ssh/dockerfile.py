"""The language of Dockerfiles: parses a stranger's text, and writes instructions as text that has one meaning.

BuildKit, Docker's classic builder and Buildah each read one file in their own way: parser directives, two backslashes
at the end of a line, blanks that are not ASCII, here-documents. So no builder is given a stranger's bytes. ``parse``
refuses what can be read in two ways, and ``serialise`` writes the rest so that every builder reads the same: no
comment, no directive, one instruction a line, its keyword in capitals.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 256 * 1024
MAX_INSTRUCTIONS = 1000
MAX_LINE = 60_000  # BuildKit reads no line longer than 64 KiB

KEYWORDS = frozenset({
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip
_FLAGGED = frozenset({"ADD", "COPY", "FROM", "HEALTHCHECK", "RUN"})
_JSON = frozenset({"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"})
_HEREDOC = frozenset({"ADD", "COPY", "RUN"})

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK = re.compile(r"[\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]")
_DIRECTIVE = re.compile(r"\s*#\s*(syntax|escape|check)\s*=\s*(.*?)\s*", re.IGNORECASE)
_OFFICIAL = re.compile(r"(?:docker\.io/)?docker/dockerfile(?::1(?:\.[0-9]{1,3}){0,2})?", re.ASCII)
_SPLIT = re.compile(r"([^ \t]+)[ \t]*(.*)", re.DOTALL)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=([!#-&(-\[\]-_a-~]*))?(?:[ \t]+|$)", re.ASCII)
_HERE = re.compile(r"""(?<![^ \t])[0-9]*<<(-?)("[A-Za-z_]\w*"|'[A-Za-z_]\w*'|[A-Za-z_]\w*)(?![^ \t])""", re.ASCII)
_MAYBE_HERE = re.compile(r"(?<![^ \t])[0-9]*<<-?[^ \t<-]|\$\{[^}]*<<")
_QUOTED = re.compile(r"""(?<![^ \t=])(?:"[^"\\$`]*"|'[^'\\]*')(?![^ \t])""")
_UNCLEAR = re.compile(r"[\"'`\\]|\$\{(?!\w+\})", re.ASCII)
# An instruction to a builder that knows no here-documents, which could request more than a container's rights.
_HIDDEN = re.compile(
    r"\s*(?:(ADD|COPY|ONBUILD|LABEL)[ \t]+\S|(RUN)[ \t]+--|(FROM)[ \t]+(\S+)[ \t]*(\S*))", re.IGNORECASE
)
_JOINT = re.compile(r"\\[ \t]*\n(?:[^\S\n]*\n)*")
_JOINT_TRIMMED = re.compile(r"\\[ \t]*\n\s*")


class DockerfileError(ValueError):
    """A Dockerfile that cannot be read, or can be read in several ways; the message says where, and what to do."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: its word as written, the name that ends it, whether leading tabs are removed, and its lines."""

    name: str
    chomp: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. ``text`` is what follows keyword and flags, in one line; ``words`` are those of its JSON form.

    ``inner`` is the instruction that an ONBUILD holds. ``flags`` are pairs of a name and a value, None without a value.
    """

    keyword: str
    line: int
    flags: tuple[tuple[str, str | None], ...] = ()
    text: str = ""
    words: tuple[str, ...] | None = None
    heredocs: tuple[Heredoc, ...] = ()
    inner: Instruction | None = None

    def arguments(self) -> list[str]:
        """Return the words of ``text`` or of the JSON form, without those that open here-documents."""
        if self.words is not None:
            return list(self.words)
        return (_HERE.sub("", self.text) if self.heredocs else self.text).split()


def decode(data: bytes) -> str:
    """Return the text of a file. Raise DockerfileError if it is too long, or not UTF-8."""
    if len(data) > MAX_BYTES:
        raise DockerfileError(1, f"the file has {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DockerfileError(data[: error.start].count(b"\n") + 1, "is not UTF-8; save the file as UTF-8") from None


def parse(text: str) -> tuple[Instruction, ...]:
    """Return the instructions of a Dockerfile, in order. Raise DockerfileError if it cannot be read in one way only."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise DockerfileError(1, f"the file is longer than the {MAX_BYTES} bytes that are read")
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    for number, line in enumerate(lines, 1):
        if found := _CONTROL.search(line):
            raise DockerfileError(number, f"holds the control character {found[0]!r}; remove it")
        if any("\ud800" <= char <= "\udfff" for char in line):
            raise DockerfileError(number, "contains half of a character; remove it")
    _directives(lines)
    result: list[Instruction] = []
    reader = _Lines(lines)
    for number, line in reader.logical():
        instruction = _instruction(line, number)
        bodies = tuple(_body(reader, found, number) for found in _openers(instruction, number))
        result.append(_with_bodies(instruction, bodies))
        if len(result) > MAX_INSTRUCTIONS:
            raise DockerfileError(number, f"exceeds the limit of {MAX_INSTRUCTIONS} instructions")
    return tuple(result)


def parse_one(text: str) -> Instruction:
    """Return the only instruction of a text such as an image's ONBUILD trigger. Raise DockerfileError as ``parse``."""
    found = parse(text)
    if len(found) != 1:
        raise DockerfileError(1, "is not one instruction")
    return found[0]


def serialise(instructions: Iterable[Instruction]) -> str:
    """Return a Dockerfile with these instructions, which every builder reads as ``parse`` does."""
    return "".join(f"{line}\n" for one in instructions for line in _written(one))


def json_text(words: Iterable[str]) -> str:
    """Return words in JSON form, as an instruction's text."""
    return json.dumps(list(words), ensure_ascii=False)


def _written(one: Instruction) -> Iterator[str]:
    flags = [f"--{name}" if value is None else f"--{name}={value}" for name, value in one.flags]
    inner = " ".join(_written(one.inner)) if one.inner else one.text
    yield " ".join(part for part in (one.keyword, *flags, inner) if part)
    for heredoc in one.heredocs:
        yield from heredoc.lines
        yield heredoc.name


def _directives(lines: list[str]) -> None:
    """Refuse a directive that would change who reads the file, or how, among the lines before the first instruction.

    Readers differ in where directives end, so every comment there counts. Docker's own frontend is built into builders:
    its line is left out with the other comments, and nothing is fetched for it.
    """
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            return
        match = _DIRECTIVE.fullmatch(line)
        if match is None or match[1].lower() == "check":
            continue
        if match[1].lower() == "escape" and match[2] != "\\":
            raise DockerfileError(
                number, f"`escape={match[2]}` is for Windows containers; use `\\` and remove the line"
            )
        if match[1].lower() == "syntax" and not _OFFICIAL.fullmatch(match[2]):
            raise DockerfileError(number, f"`syntax={match[2]}` selects an external frontend; remove the line")


class _Lines:
    """Physical lines, joined to logical ones where a backslash ends them."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._next = 0

    def logical(self) -> Iterator[tuple[int, str]]:
        """Yield the first line's number and the text of each instruction, without comments and empty lines."""
        while self._next < len(self._lines):
            number = self._next + 1
            line, goes_on = self._physical()
            if line.lstrip().startswith("#") or (not line.strip() and not goes_on):
                continue
            parts = [line]
            while goes_on and self._next < len(self._lines):
                line, more = self._physical()
                if line.lstrip().startswith("#") or (not line.strip() and not more):
                    continue
                parts.append(line)
                goes_on = more
            whole = "".join(parts).strip(" \t")
            if whole:
                yield number, whole

    def raw(self) -> str | None:
        """Return the next physical line unchanged; None at the end."""
        if self._next >= len(self._lines):
            return None
        self._next += 1
        return self._lines[self._next - 1]

    def _physical(self) -> tuple[str, bool]:
        number, line = self._next + 1, self.raw() or ""
        if line.lstrip(" \t").startswith("#"):
            return line.lstrip(" \t"), False
        if found := _BLANK.search(line):
            raise DockerfileError(
                number, f"holds the blank {found[0]!r}, which is not a space; replace it with a space"
            )
        ended = line.rstrip(" \t")
        if ended.endswith("\\\\"):
            raise DockerfileError(
                number, "ends in two backslashes, which some builders read as one; change the end of the line"
            )
        return (ended[:-1], True) if ended.endswith("\\") else (line, False)


def _instruction(line: str, number: int, *, inner: bool = False) -> Instruction:
    if len(line.encode()) > MAX_LINE:
        raise DockerfileError(number, f"the instruction is longer than {MAX_LINE} bytes; move its text into a file")
    word, rest = _SPLIT.fullmatch(line).groups()  # type: ignore[union-attr] # it matches any line that is not empty
    keyword = word.upper()
    if keyword not in KEYWORDS or not word.isascii():
        raise DockerfileError(number, f"`{word[:40]}` is not a Dockerfile instruction")
    if rest.endswith("\\"):
        raise DockerfileError(number, "the instruction ends in a backslash; remove the backslash")
    flags: list[tuple[str, str | None]] = []
    while rest.startswith("--"):
        match = _FLAG.match(rest)
        if match is None or keyword not in _FLAGGED:
            raise DockerfileError(
                number, f"`{rest.split()[0][:80]}` is not a plain option of {keyword}; remove the quotes, or the option"
            )
        flags.append((match[1], match[2]))
        rest = rest[match.end() :]
    if not rest:
        raise DockerfileError(number, f"{keyword} has no arguments; add some, or remove the instruction")
    if keyword == "ONBUILD":
        return _onbuild(rest, number, inner=inner)
    words = _json(keyword, rest, number)
    return Instruction(keyword, number, tuple(flags), rest if words is None else json_text(words), words)


def _onbuild(rest: str, number: int, *, inner: bool) -> Instruction:
    if inner:
        raise DockerfileError(number, "ONBUILD must not contain ONBUILD")
    held = _instruction(rest, number, inner=True)
    if held.keyword in ("FROM", "MAINTAINER"):
        raise DockerfileError(number, f"ONBUILD must not contain {held.keyword}")
    if held.keyword in _HEREDOC and _MAYBE_HERE.search(held.text):
        raise DockerfileError(number, "ONBUILD must not contain a here-document; put the text into a file")
    return Instruction("ONBUILD", number, inner=held)


def _json(keyword: str, rest: str, number: int) -> tuple[str, ...] | None:
    """Return the words of the JSON form; None if it is not in that form."""
    if keyword not in _JSON or not rest.startswith("["):
        return None
    try:
        words = json.loads(rest)
        if not words or not all(isinstance(word, str) for word in words):
            raise ValueError("not a list of texts")
        "".join(words).encode()
    except (ValueError, RecursionError):
        if keyword in ("ADD", "COPY", "VOLUME", "SHELL"):
            raise DockerfileError(number, f"{keyword} has an invalid JSON list of strings; correct the list") from None
        return None  # a command of the shell, such as `[ -e file ] || ...`
    return tuple(words)


def _openers(one: Instruction, number: int) -> list[tuple[str, bool]]:
    """Return the names of the here-documents that an instruction opens, and whether each has its tabs removed."""
    if one.keyword not in _HEREDOC or one.words is not None or not _MAYBE_HERE.search(one.text):
        return []
    plain = _QUOTED.sub("", one.text)
    rest = _HERE.sub("", plain)
    if _MAYBE_HERE.search(rest) or _UNCLEAR.search(rest) or one.text.startswith("["):
        why = "`<<` stands beside quotes, or in a form, that builders read in several ways; put the text into a file"
        raise DockerfileError(number, why)
    return [(found[2].strip("\"'"), found[1] == "-") for found in _HERE.finditer(plain)]


def _body(reader: _Lines, opener: tuple[str, bool], number: int) -> Heredoc:
    name, chomp = opener
    lines: list[str] = []
    while (line := reader.raw()) is not None:
        if (line.lstrip("\t") if chomp else line) == name:
            if hidden := next(filter(_is_hidden, _read_without_heredocs([*lines, line])), None):
                raise DockerfileError(
                    number + 1 + (lines.index(hidden) if hidden in lines else 0),
                    f"`{hidden.strip()[:40]}` is an instruction to builders that know no here-documents;"
                    " put the text into a file",
                )
            return Heredoc(name, chomp, tuple(lines))
        lines.append(line)
    raise DockerfileError(number, f"the here-document {name} has no end")


def _read_without_heredocs(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a here-document with its end, and those that result from joining lines at a backslash."""
    yield from lines
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    for joint in (_JOINT, _JOINT_TRIMMED):
        yield from joint.sub("", text).split("\n")


def _is_hidden(line: str) -> bool:
    match = _HIDDEN.match(line)
    return match is not None and (match[3] is None or match[5].lower() in ("", "as", "\\") or match[4].startswith("--"))


def _with_bodies(one: Instruction, bodies: tuple[Heredoc, ...]) -> Instruction:
    return one if not bodies else Instruction(one.keyword, one.line, one.flags, one.text, one.words, bodies)
