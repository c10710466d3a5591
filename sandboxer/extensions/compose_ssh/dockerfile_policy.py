"""What a Dockerfile may contain, and the Dockerfile that the engine is given in its place.

The engine's builder fetches, reads and runs for the author of the file: ``ADD`` any address that the host reaches,
``FROM`` and ``--from`` any image on it, ``RUN --mount`` any cache. So every instruction is in a table here, every image
is a name by the grammar, and what remains is written out again. A function of values: nothing here calls a host.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.dockerfile import (
    DockerfileError,
    Instruction,
    decode,
    json_text,
    parse,
    parse_one,
    serialise,
)
from sandboxer.extensions.compose_ssh.references import problem_with_reference, tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FLAGS = {
    "ADD": frozenset({"chmod", "chown", "exclude", "link", "unpack"}),
    "COPY": frozenset({"chmod", "chown", "exclude", "from", "link", "parents"}),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "retries", "start-interval", "start-period", "timeout"}),
    "RUN": frozenset({"mount", "network", "security"}),
}
_REPEATED = frozenset({"exclude", "mount"})
_TARGET = ("target", "dst", "destination")
_MOUNTS = {
    "bind": frozenset({*_TARGET, "source", "src", "from", "rw", "readwrite", "ro", "readonly"}),
    "cache": frozenset({
        *_TARGET, "id", "sharing", "from", "source", "src", "mode", "uid", "gid", "rw", "readwrite", "ro", "readonly",
    }),
    "secret": frozenset({*_TARGET, "id", "required", "mode", "uid", "gid", "env"}),
    "tmpfs": frozenset({*_TARGET, "size"}),
}  # fmt: skip
_STAGE = re.compile(r"[a-z][a-z0-9._-]{0,127}", re.ASCII)
_PLATFORM = re.compile(r"[a-z0-9][a-z0-9._/-]*|\$\{?(?:BUILD|TARGET)PLATFORM\}?", re.ASCII)
_VARIABLE = re.compile(r"""\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-+])([^${}"'\\`]*))?\})""", re.ASCII)
_ARGUMENT = re.compile(r"""([A-Za-z_]\w*)(?:=("[^"\\`]*"|'[^'\\]*'|[^\s"'\\`]*))?(?:\s+|$)""", re.ASCII)
_REMOTE = re.compile(
    r"^[a-z][a-z0-9+.-]*:/|^github\.com/|^[^/]*@[^/]*:|^git:|^ssh:|^[a-z][a-z0-9+.-]*::", re.IGNORECASE
)
_OURS = re.compile(r"(?:dev\.sandboxer|com\.docker\.compose|io\.podman)\.|podman_systemd_unit", re.IGNORECASE)
_LABEL_TEXT = re.compile(r"""(?<==)(?:"[^"]*"|'[^']*')""")
_LABEL_KEY = re.compile(r"""(?<!\S)["']?([^\s="']*)["']?(?==|\s)""")


def _anything(path: str) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """The context in which a Dockerfile is read.

    ``project`` is the sandbox's compose project, ``args`` are the build's arguments, ``contexts`` the names of its
    other contexts. ``plain`` returns whether a path in the build context leads to something there, through no link.
    """

    project: str
    podman: bool = False
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: frozenset[str] = frozenset()
    plain: Callable[[str], bool] = _anything


@dataclass(frozen=True, slots=True)
class CheckedDockerfile:
    """The Dockerfile to build from, the names of its stages, and the images from outside that it uses.

    ``bases`` are those of ``images`` that a stage starts from; their ONBUILD triggers would run.
    """

    text: str = ""
    stages: tuple[str, ...] = ()
    images: frozenset[str] = frozenset()
    bases: frozenset[str] = frozenset()

    def has_stage(self, target: str) -> bool:
        """Return whether a build's target is a stage, by name or number."""
        return target.lower() in self.stages or (target.isdecimal() and int(target) < len(self.stages))


def check_dockerfile(data: bytes | str, inputs: BuildInputs, refuse: Callable[[str], None]) -> CheckedDockerfile:
    """Return the checked Dockerfile; ``refuse`` is called with each thing that is not allowed, and its line."""
    try:
        instructions = parse(data if isinstance(data, str) else decode(data))
    except DockerfileError as error:
        refuse(str(error))
        return CheckedDockerfile()
    return _Checker(inputs, refuse).check(instructions)


def problem_with_trigger(trigger: str, inputs: BuildInputs) -> str | None:
    """Return why a base image's ONBUILD trigger may not run in a build; None if it may."""
    problems: list[str] = []
    try:
        one = parse_one(f"ONBUILD {trigger}")
    except DockerfileError as error:
        return str(error).removeprefix("line 1: ")
    _Checker(inputs, lambda why: problems.append(why.removeprefix("line 1: "))).one(one)
    return problems[0] if problems else None


class _Checker:
    """Goes through the instructions once and writes them out again; the result has nothing of what it refuses."""

    def __init__(self, inputs: BuildInputs, refuse: Callable[[str], None]) -> None:
        self._build_inputs = inputs
        self._refuse = refuse
        self._names: list[str] = []  # of all stages, by their order; empty for one without a name
        self._stage = -1
        self._values: dict[str, str | None] = {}  # of the arguments before the first FROM; None for one without a value
        self._unclear: set[str] = set()  # those of them whose value is unknown
        self._images: set[str] = set()
        self._bases: set[str] = set()
        self._line = 1
        self._trigger = False

    def check(self, instructions: tuple[Instruction, ...]) -> CheckedDockerfile:
        self._names = [_stage_name(one) for one in instructions if one.keyword == "FROM"]
        result = []
        for one in instructions:
            self._line = one.line
            if self._stage < 0 and one.keyword not in ("ARG", "FROM"):
                self._no(f"{one.keyword} precedes the first FROM; only ARG is allowed there")
            result.append(self.one(one))
        if not self._names:
            self._no("a Dockerfile must have a FROM instruction")
        return CheckedDockerfile(serialise(result), tuple(self._names), frozenset(self._images), frozenset(self._bases))

    def one(self, one: Instruction) -> Instruction:
        """Return the instruction to use in place of one."""
        if one.inner is not None:
            self._trigger = True
            inner = self.one(one.inner)
            self._trigger = False
            return replace(one, inner=inner)
        self._flags(one)
        check = {
            "ADD": self._add, "ARG": self._arg, "COPY": self._copy, "FROM": self._from, "LABEL": self._label,
            "RUN": self._run,
        }.get(one.keyword)  # fmt: skip
        return one if check is None else check(one)

    def _no(self, why: str) -> None:
        self._refuse(f"line {self._line}: {why}")

    def _flags(self, one: Instruction) -> None:
        seen: set[str] = set()
        for name, _ in one.flags:
            if name not in _FLAGS.get(one.keyword, ()):
                self._no(f"`{one.keyword} --{name}` is not supported in a sandbox; remove it")
            elif name in seen and name not in _REPEATED:
                self._no(f"`{one.keyword} --{name}` occurs twice; keep one")
            seen.add(name)

    # --- images

    def _from(self, one: Instruction) -> Instruction:
        self._stage += 1
        words = one.text.split()
        if not (len(words) == 1 or (len(words) == 3 and words[1].lower() == "as")):
            self._no("FROM must be an image name, optionally followed by AS and a stage name")
            return one
        name = self._names[self._stage]
        if len(words) == 3 and (not _STAGE.fullmatch(name) or name in ("scratch", "context")):
            self._no(f"{words[2]!r} is not a name for a stage; use lower-case letters, digits, `.`, `_` and `-`")
        elif name and self._names.index(name) != self._stage:
            self._no(f"a second stage is called {name}; give each its own name")
        for _, platform in one.flags:
            if not _PLATFORM.fullmatch(platform or ""):
                self._no(f"`--platform={platform}` is not a plain platform; write for example linux/amd64")
        base = self._filled(words[0])
        if base is None:
            self._no(
                f"`FROM {words[0]}` contains a variable of unknown value; give it a value by ARG before the first FROM,"
                " or by the build's `args`, or write the image out"
            )
            return one
        if base.lower() in self._names[: self._stage]:
            base = base.lower()
        elif base in self._build_inputs.contexts:
            # Podman takes an image of that name, which nobody has checked.
            self._no(f"`FROM {base}` names a context; start from scratch, and copy from it (COPY --from={base} / /)")
        elif base != "scratch":
            base = self._image(base, before=self._stage + 1)
            if base in self._images:
                self._bases.add(base)
        # A builder would fetch the image for another platform, which nobody has checked.
        return replace(one, flags=(), text=f"{base} AS {name}" if name else base)

    def _source(self, value: str | None, what: str) -> str:
        """Return the stage or image that files are copied from."""
        text = value or ""
        if self._trigger:
            self._no(f"{what} is in ONBUILD, where its image is unknown; remove it")
        elif "$" in text:
            self._no(f"{what} holds a variable; give the image a stage (FROM IMAGE AS NAME), and name that")
        elif text.isdecimal() and text.isascii():
            if int(text) >= self._stage:
                self._no(f"{what} is the number of no stage before this one")
        elif text.lower() in self._names[: self._stage]:
            return text.lower()
        else:
            return self._image(text, before=self._stage)
        return text

    def _image(self, text: str, *, before: int) -> str:
        """Return the image that a text names, as it is to be written.

        ``before`` is the number of stages that may be named: those that are not later ones.
        """
        if text.lower() in self._names[before:] or text.isdecimal():
            self._no(
                f"{text!r} is the name of a later stage, or a number; name a stage that stands before, or an image"
            )
            return text
        problem = problem_with_reference(text, self._build_inputs.project)
        if problem is not None:
            self._no(problem)
            return text
        name = tagged(text)
        # Also if it is another context's name: a builder may know that by another spelling, and take the image.
        self._images.add(name)
        return text if text in self._build_inputs.contexts else name

    def _arg(self, one: Instruction) -> Instruction:
        at = 0
        while self._stage < 0 and at < len(one.text):
            match = _ARGUMENT.match(one.text, at)
            if match is None:
                self._unclear.update(re.findall(r"[A-Za-z_]\w*", one.text[at:]))
                break
            name, default, at = match[1], match[2], match.end()
            plain = default[1:-1] if default and default[0] in "\"'" else default
            self._values[name] = self._build_inputs.args.get(name, None if plain is None else self._filled(plain))
            if self._values[name] is None and plain is not None:
                self._unclear.add(name)
        return one

    def _filled(self, text: str) -> str | None:
        """Return the text with its variables filled in; None if their values are unknown."""
        unknown = "$" in _VARIABLE.sub("", text)

        def value(match: re.Match[str]) -> str:
            nonlocal unknown
            name, operator, other = match[1] or match[2], match[3] or "", match[4] or ""
            found = self._values.get(name)
            unknown |= name in self._unclear or (found is None and not operator)
            present = found is not None and (found != "" or not operator.startswith(":"))
            if operator.endswith("+"):
                return other if present else ""
            return found if found is not None and present else other

        filled = _VARIABLE.sub(value, text)
        return None if unknown or "$" in filled else filled

    # --- files

    def _copy(self, one: Instruction) -> Instruction:
        flags = tuple(
            (name, self._source(value, f"`COPY --from={value}`")) if name == "from" else (name, value)
            for name, value in one.flags
        )
        for source in self._sources(one):
            if "://" in source:
                self._no(f"`COPY {source}` would be fetched from elsewhere; commit it to the input repository")
        return replace(one, flags=flags)

    def _add(self, one: Instruction) -> Instruction:
        """Return an ADD whose sources every builder takes for files of the context, whatever a variable holds."""
        words = list(one.words) if one.words is not None else one.text.split()
        sources = self._sources(one)
        for source in sources:
            if re.search(r"[\"'\\`]", source):
                self._no(f"`ADD {source}` has quotes or backslashes, which builders read in several ways; use COPY")
            elif "://" in source or _REMOTE.search(source):
                self._no(f"`ADD {source}` would be fetched from elsewhere; commit it to the input repository")
            elif source.startswith("$"):
                self._no(f"`ADD {source}` begins with a variable, which could hold an address; begin it with `./`")
            elif self._trigger and "$" in source and not source.startswith(("./", "/")):
                self._no(f"`ADD {source}` holds a variable, which could make it an address; begin it with `./`")
        written = [_as_path(word) if word in sources else word for word in words[:-1]] + words[-1:]
        if one.words is not None:
            return replace(one, words=tuple(written), text=json_text(written))
        return replace(one, text=" ".join(written))

    def _sources(self, one: Instruction) -> list[str]:
        words = one.arguments()
        if len(words) < (1 if one.heredocs else 2):
            self._no(f"{one.keyword} needs what to copy and where to")
        return words[:-1]

    def _label(self, one: Instruction) -> Instruction:
        bare = re.sub(r"[\"'\\]", "", one.text)
        if _OURS.search(bare):
            self._no("a label that is set by Sandboxer or the engine; remove it")
            return one
        keys = _LABEL_KEY.findall(_LABEL_TEXT.sub("", one.text))
        if "$" in "".join(keys) or ("\\" in one.text and "$" in one.text):
            self._no("the name of a label could hold a variable; write it out")
        return one

    # --- steps

    def _run(self, one: Instruction) -> Instruction:
        flags: list[tuple[str, str | None]] = []
        for name, value in one.flags:
            if name == "mount":
                flags.append((name, self._mount(value or "")))
            elif name == "network" and value == "none":
                flags.append((name, value))
            elif (name, value) not in (("network", "default"), ("security", "sandbox")):
                self._no(f"`RUN --{name}={value}` gives the step more than a build may have; remove it")
        return replace(one, flags=tuple(flags))

    def _mount(self, text: str) -> str:
        pairs = [(key.lower(), value) for key, _, value in (item.partition("=") for item in text.split(","))]
        keys = [key for key, _ in pairs]
        given = dict(pairs)
        kind = given.get("type", "bind")
        if kind not in _MOUNTS or len(keys) != len(set(keys)):
            self._no(f"`RUN --mount={text}` is not a mount that a build may have: {', '.join(sorted(_MOUNTS))}")
            return text
        for key in keys:
            if key != "type" and key not in _MOUNTS[kind]:
                self._no(f"`{key}` of `RUN --mount=type={kind}` is not supported in a sandbox; remove it")
        if "from" in given:
            given["from"] = self._source(given["from"], f"`from={given['from']}` of `RUN --mount`")
        if self._build_inputs.podman:
            self._mount_on_podman(kind, given)
        if kind == "cache":
            # For one name there is one cache on a host: another sandbox's would be read, and written to.
            cache = given.get("id") or next((given[key] for key in _TARGET if key in given), "")
            ours = f"{self._build_inputs.project}-"
            if not re.fullmatch(f"{ours}[0-9a-f]{{16}}", cache):
                given["id"] = ours + hashlib.sha256(cache.encode()).hexdigest()[:16]
        written = [key if not value and key in ("rw", "readwrite", "ro", "readonly", "required") else f"{key}={value}"
                   for key, value in given.items()]  # fmt: skip
        return ",".join(written)

    def _mount_on_podman(self, kind: str, given: dict[str, str]) -> None:
        """Refuse what Podman before 4.9.4 allows: a link in a mount leads out to the host, and binds are written to."""
        source = given.get("source", given.get("src", ""))
        if "from" in given and kind in ("bind", "cache"):
            self._no(f"`RUN --mount=type={kind},from=` can reach the host by a link on Podman; use COPY --from")
        elif kind == "cache" and source:
            self._no("`source` of `RUN --mount=type=cache` can reach the host on Podman; remove it")
        elif kind == "bind" and (source and not self._build_inputs.plain(source)):
            self._no(
                f"`RUN --mount=type=bind,source={source}` leads to nothing in the build context, or through a link"
            )
        elif kind == "bind" and any(given.get(key, "false") in ("", "true", "1") for key in ("rw", "readwrite")):
            self._no("`rw` of `RUN --mount=type=bind` writes to the delivered files on Podman; copy them")


def _stage_name(one: Instruction) -> str:
    words = one.text.split()
    return words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""


def _as_path(source: str) -> str:
    return source if source.startswith(("./", "/", "../")) or source in (".", "..") else f"./{source}"
