"""The types of text in manifests: names, labels, paths, users, keys. What goes to a host as a line is one line."""

from __future__ import annotations

import binascii
import posixpath
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, WithJsonSchema

from sandboxer.model.base import problem

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_PATTERN = r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$"
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
SOURCE_PATTERN = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f\x7f-\x9f\u2028\u2029]+)$"
RESERVED_LABELS = "dev.sandboxer."

# Everything up to the last `@` before a path, in a URL or in `user@host:path`.
_USERINFO = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):[/\\]{2,})?(?P<user>[^/\\?#]*)@")
_SECRET_QUERY = re.compile(
    r"[?&;#][^=&;#]*(?:token|passw|pwd|secret|api[_-]?key|private[_-]?key|access[_-]?key|auth|credential|jwt|bearer"
    r"|sig(?:nature)?)[^=&;#]*=|[?&;#](?:key|pat)=",
    re.IGNORECASE,
)
# Control characters, line separators, and characters that change the direction of text.
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
# What precedes the host in a URL that stands anywhere in a text.
_URL_CREDENTIALS = (
    (re.compile(r"(?i)\b(https?://)[^/\s]*@"), r"\1"),
    (re.compile(r"(\w://[^:/@\s]*):[^/\s]*@"), r"\1@"),
)
_KEYED = re.compile(r"(\s*(?:- )*[A-Za-z_][A-Za-z0-9_.-]{0,60}:)(?:\s|$)")
NAME_RULE = "1 to 40 of a-z, 0-9, `.` and `-`, with a letter or digit at both ends"


def _matching(
    pattern: str, text: str, hint: str, code: str = "bad-value", check: Callable[[str], object] | None = None
) -> tuple[AfterValidator, WithJsonSchema]:
    """Return a validator for strings that ``pattern`` matches as a whole, and the corresponding schema."""
    compiled = re.compile(pattern.removeprefix("^").removesuffix("$"))

    def validate(value: str) -> str:
        if not compiled.fullmatch(value):
            shown = "" if code == "literal-secret" else f": `{printable(value)}`"
            raise problem(code, text + shown, hint)
        if check is not None:
            check(value)
        return value

    return AfterValidator(validate), WithJsonSchema({"type": "string", "pattern": pattern})


def printable(value: str, limit: int = 80) -> str:
    """Return the text with control characters escaped, cut at ``limit``: safe to show in a one-line message."""
    shown = _UNSHOWN.sub(lambda match: match[0].encode("unicode_escape").decode(), value[:limit])
    return shown if len(value) <= limit and len(shown) <= limit else shown[: limit - 1] + "…"


def redact_urls(text: str) -> str:
    """Return the text without the credentials in its URLs: user and password over https, the password over ssh."""
    for pattern, kept in _URL_CREDENTIALS:
        text = pattern.sub(kept, text)
    return text


def named(kind: str, name: str) -> str:
    """Return how a message names a sandbox, host, profile, port or service: the kind, then the name in quotes."""
    return f'{kind} "{printable(name)}"'


def plain_line(value: str) -> str:
    """Return the line at the same length, with a blank for each tab and a mark for what a terminal must not get."""
    return _UNSHOWN.sub("\ufffd", value.replace("\t", " "))


def masked_line(line: str) -> str:
    """Return a line of YAML up to its first key; the rest could be secret."""
    keyed = _KEYED.match(line)
    return (keyed[1] + " ***") if keyed else "***"


def is_name(value: object) -> bool:
    """Return whether ``value`` could be the name of a manifest."""
    return isinstance(value, str) and re.fullmatch(NAME_PATTERN[1:-1], value) is not None


def is_env_name(value: object) -> bool:
    """Return whether ``value`` could be the name of a variable."""
    return isinstance(value, str) and re.fullmatch(ENV_NAME_PATTERN[1:-1], value) is not None


def _no_id(value: str) -> None:
    if re.fullmatch(r"[0-9a-f]{8}", value):
        raise problem("bad-name", f"must not be 8 hex digits: `{value}`", "choose a name that does not look like an ID")


def _inside(value: str) -> None:
    if ".." in value.split("/"):
        raise problem("bad-path", f"must not contain `..`: `{value}`", "use a path below the workspace")
    if posixpath.normpath(value) != value:
        raise problem("bad-path", f"is not normalized: `{value}`", f"write `{posixpath.normpath(value)}`")


def _root(value: str) -> None:
    plain = posixpath.normpath("/" + value.lstrip("/"))
    if plain != value:
        raise problem("bad-path", f"is not normalized: `{value}`", f"write `{plain}`")
    if value.count("/") < 2:
        raise problem("bad-path", f"must be at least two folders deep: `{value}`", "write for example /tmp/sandboxer")


def _label_key(value: str) -> None:
    if value.startswith(RESERVED_LABELS):
        raise problem("reserved-name", f"is a label reserved by Sandboxer: `{value}`", "choose another prefix")


def _env_name(value: str) -> None:
    if value in _RESERVED_ENV or value.startswith(_RESERVED_ENV_PREFIXES):
        hint = "choose another name: the engine or Compose uses this one"
        raise problem("reserved-name", f"is a reserved variable: `{value}`", hint)


def _without_credentials(hint: str) -> AfterValidator:
    """Return a validator that rejects a password or token in a location. Its message never repeats the value."""

    def validate(value: str) -> str:
        found = _USERINFO.match(value) if "${" not in value else None
        # Over HTTP, a name alone is often a token; SSH needs a name to log in with.
        if found and found["scheme"] and found["scheme"].lower() != "ssh":
            raise problem("literal-secret", "contains a user name, password or token before the `@`", hint)
        if found and ":" in found["user"]:
            raise problem("literal-secret", "contains a password before the `@`", hint)
        if _SECRET_QUERY.search(value):
            raise problem("literal-secret", "contains a token or password after the `?`", hint)
        return value

    return AfterValidator(validate)


def _repo(value: str) -> None:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(//|:)", value)
    if scheme and (scheme[1] not in {"https", "ssh"} or scheme[2] == ":"):
        hint = "use a path, an https:// or ssh:// URL, or user@host:path"
        raise problem("bad-value", f"has an unsupported scheme: `{scheme[0]}`", hint)


def _ref(value: str) -> None:
    if ".." in value or value.startswith("-"):
        raise problem(
            "bad-value", f"is not a branch, tag or commit: `{value}`", "write for example main, v1.2.0 or HEAD"
        )


_RESERVED_ENV = frozenset({"PATH", "HOME", "XDG_RUNTIME_DIR"})
_RESERVED_ENV_PREFIXES = ("COMPOSE_", "DOCKER_", "SANDBOXER_")

Name = Annotated[str, *_matching(NAME_PATTERN, "is not a valid name", NAME_RULE, "bad-name")]
SandboxName = Annotated[str, *_matching(NAME_PATTERN, "is not a valid name", NAME_RULE, "bad-name", _no_id)]
Line = Annotated[str, *_matching(LINE_PATTERN, "must be one line of text", "remove line breaks and control characters")]
LabelKey = Annotated[
    str,
    *_matching(
        r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?$",
        "is not a valid label key",
        "letters, digits, `.`, `_`, `/` and `-`, with a letter or digit at both ends",
        "bad-name",
        _label_key,
    ),
]
LabelValue = Annotated[
    str,
    *_matching(
        r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,256}$",
        "must be one line of text",
        "at most 256 characters, no line breaks or control characters",
    ),
]
EnvName = Annotated[
    str,
    *_matching(
        ENV_NAME_PATTERN,
        "is not a variable name",
        "letters, digits and `_`, no digit first",
        "bad-name",
        _env_name,
    ),
]
ServiceName = Annotated[
    str,
    *_matching(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "is not a service name",
        "use the name of a service in the compose file",
        "bad-name",
    ),
]
SecretSource = Annotated[
    str,
    *_matching(
        SOURCE_PATTERN,
        "must be a reference to the secret, not its value",
        "write env:NAME or file:PATH",
        "literal-secret",
    ),
]
RelativePath = Annotated[
    str,
    *_matching(
        r"^[^/\x00-\x1f\x7f-\x9f\u2028\u2029][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        "must be a relative path",
        "use a path below the workspace, without a leading `/`",
        "bad-path",
        _inside,
    ),
]
RootPath = Annotated[
    str,
    *_matching(
        r"^/[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        "must be an absolute path",
        "for example /tmp/sandboxer",
        "bad-path",
        _root,
    ),
]
Address = Annotated[
    str,
    *_matching(
        r"^[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}$",
        "is not an address",
        "a host name, an IP address, or an alias of ~/.ssh/config",
    ),
]
User = Annotated[
    str, *_matching(r"^[A-Za-z0-9_][A-Za-z0-9_.\\+$-]{0,63}$", "is not a user name", "the name to log in with")
]
HostKey = Annotated[
    str,
    *_matching(
        r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [^\s\x00-\x1f\x7f-\x9f]+( [^\x00-\x1f\x7f-\x9f]*)?$",
        "is not a host key",
        "a type and a key, as `ssh-keyscan` prints them: ssh-ed25519 AAAA...",
    ),
]
RepoLocation = Annotated[
    str,
    _without_credentials(
        "remove the credentials, which every reader of the manifest could see; git asks a credential helper"
    ),
    *_matching(
        r"^[^-\x00-\x1f\x7f-\x9f\u2028\u2029][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        "is not a repository",
        "use a path, an https:// or ssh:// URL, or user@host:path",
        check=_repo,
    ),
]
ConsumerName = Annotated[
    str,
    *_matching(
        r"^(adm|agt|atm)/[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$",
        "is not a consumer",
        "ACTOR/PROJECT, such as atm/wise-validator; the actor is adm, agt or atm",
    ),
]
GitRef = Annotated[
    str,
    *_matching(
        r"^[^-\s\x00-\x20\x7f-\x9f~^:?*\[\\][^\s\x00-\x20\x7f-\x9f:?*\[\\]*$",
        "is not a branch, tag or commit",
        "for example main, v1.2.0 or HEAD",
        check=_ref,
    ),
]
HubUrl = Annotated[
    str,
    _without_credentials("remove the token, and set `token` to env:NAME or file:PATH"),
    *_matching(
        r"^(https?://[^\s@]+|\$\{[A-Za-z_][A-Za-z0-9_]*\})$",
        "is not a URL",
        'https://..., or the variable that holds it: "${STATE_HUB_URL}"',
    ),
]


def is_host_key(value: str) -> bool:
    """Return whether the key decodes and names the type in front of it; no host can ever present one that does not."""
    kind, blob, *_ = value.split(" ")
    try:
        data = b64decode(blob, validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(data[:4], "big")
    return data[4 : 4 + length] == kind.encode() and len(data) > 4 + length
