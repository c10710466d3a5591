"""Tokens: the server knows only their digests, what each may do, and for which consumer."""

from __future__ import annotations

import hmac
import re
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from sandboxer.errors import UsageError
from sandboxer.model.hidden import Hidden
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sandboxer.model.handle import Handle

SCOPES = ("read", "write")
MAX_FILE = 1 << 20

_KEYS = frozenset({"name", "sha256", "scopes", "consumer"})
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@-]{0,98}[A-Za-z0-9])?")
_CONSUMER = re.compile(r"(adm|agt|atm)/([^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,200})")


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions of one token. ``consumer`` is the one whose sandboxes it is bound to; None is no restriction."""

    name: str
    write: bool
    consumer: tuple[str, str] | None = None

    def sees(self, handle: Handle) -> bool:
        """Return whether the token may see a sandbox."""
        own = handle.consumer
        return self.consumer is None or (own is not None and self.consumer == (own.actor, own.project))


@dataclass(frozen=True, slots=True)
class Tokens:
    """The SHA-256 and the grant of every token."""

    known: Sequence[tuple[bytes, Grant]]

    def grant_of(self, digest: bytes) -> Grant | None:
        """Return the grant of the token with this digest. All digests are compared, in constant time."""
        found = None
        for known, grant in self.known:
            if hmac.compare_digest(known, digest):
                found = grant
        return found


def token_of_this_run() -> tuple[Tokens, Hidden]:
    """Return a token with all permissions that is valid for this process, and the token itself to show once."""
    from sandboxer.web.gate import digest

    token = secrets.token_urlsafe(32)
    return Tokens([(digest(token.encode()), Grant("this-run", write=True))]), Hidden(token)


def read_tokens(path: Path, warn: Callable[[str], None]) -> Tokens:
    """Return the tokens of a file. Raise UsageError, with the line, if it is invalid.

    ``warn`` is called if other users may read the file.
    """
    where = f"--tokens {printable(str(path))}"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"{where}: not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"{where}: cannot be read: {error.strerror}") from None
    if mode & 0o022:
        raise UsageError(f"{where}: writable by other users", hint=f"run chmod 600 {path}")
    if mode & 0o044:
        warn(f"{where}: readable by other users: run chmod 600")
    if len(data) > MAX_FILE:
        raise UsageError(f"{where}: larger than 1 MiB")
    return Tokens(_entries(where, data))


def _entries(where: str, data: bytes) -> list[tuple[bytes, Grant]]:
    try:
        root = yaml.compose(data.decode(), yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise UsageError(f"{where}{f':{mark.line + 1}' if mark else ''}: not valid YAML or JSON") from None
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise UsageError(f"{where}: must be a list of tokens", hint="write entries with name, sha256 and scopes")
    found: list[tuple[bytes, Grant]] = []
    for node in root.value:
        digest, grant = _entry(where, node)
        for other, former in found:
            if digest == other or grant.name == former.name:
                what = f"the name {grant.name}" if grant.name == former.name else f"the token of {former.name}"
                raise UsageError(f"{where}:{node.start_mark.line + 1}: {what} occurs twice")
        found.append((digest, grant))
    return found


def _entry(where: str, node: yaml.Node) -> tuple[bytes, Grant]:
    def wrong(at: yaml.Node, words: str, hint: str = "") -> UsageError:
        return UsageError(f"{where}:{at.start_mark.line + 1}: {words}", hint=hint)

    if not isinstance(node, yaml.MappingNode):
        raise wrong(node, "a token must be a mapping", "write an entry with name, sha256 and scopes")
    given: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in _KEYS or name in given:
            twice = "occurs twice" if name in given else "is unknown"
            raise wrong(key, f"the key `{printable(name)}` {twice}", f"use only: {', '.join(sorted(_KEYS))}")
        given[name] = value
    for name in ("name", "sha256", "scopes"):
        if name not in given:
            raise wrong(node, f"`{name}` is missing")
    name, digest = _text(given["name"]), _text(given["sha256"]).lower()
    if not _NAME.fullmatch(name):
        raise wrong(given["name"], "`name` must be letters, digits, `.`, `_`, `@` and `-`")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        # This value may be the token itself, so it is not shown.
        raise wrong(given["sha256"], "`sha256` must be 64 hex digits", 'run printf %s "$TOKEN" | sha256sum')
    scopes = [_text(one) for one in given["scopes"].value] if isinstance(given["scopes"], yaml.SequenceNode) else []
    if not scopes or not set(scopes) <= set(SCOPES):
        raise wrong(given["scopes"], "`scopes` must be a list of read and write")
    consumer = _CONSUMER.fullmatch(_text(given["consumer"])) if "consumer" in given else None
    if "consumer" in given and consumer is None:
        raise wrong(given["consumer"], "`consumer` must be ACTOR/PROJECT", "write for example atm/wise-validator")
    bound = (consumer[1], consumer[2]) if consumer else None
    return bytes.fromhex(digest), Grant(name, "write" in scopes, bound)


def _text(node: yaml.Node) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""
