"""The keys that a host may present: the one pinned in its manifest, else those of known_hosts; no other."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import HostKeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sandboxer.adapters.ssh_config import Endpoint

# A key of this type may be presented under any of these algorithms, best first.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key; ``source`` says where it is from, for messages."""

    type: str
    blob: bytes
    source: str = ""

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        """The key as it is written in a manifest and in known_hosts."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


class HostKeyCheck:
    """The keys that one endpoint may present. Raise HostKeyRefused if the pinned one cannot be read."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._trusted: list[HostKey] = []
        self._also: list[HostKey] = []  # known for the name without the port: accepted if presented, not expected
        self._revoked: list[HostKey] = []
        if endpoint.pinned is not None:
            self._trusted.append(_pinned(endpoint, endpoint.pinned))
            return
        for path in endpoint.known_hosts:
            for names, revoked, key in _read(path):
                matched = [name for name in endpoint.known_as if _names_match(names, name)]
                if matched and revoked:
                    self._revoked.append(key)
                elif matched:
                    (self._trusted if matched[0] == endpoint.known_as[0] else self._also).append(key)

    def preferred(self, algorithms: Sequence[str]) -> list[str]:
        """Return the algorithms with those of known keys first, so that the host presents such a key."""
        known = [name for key in (*self._trusted, *self._also) for name in _ALGORITHMS.get(key.type, (key.type,))]
        first = [name for name in dict.fromkeys(known) if name in algorithms]
        return first + [name for name in algorithms if name not in first]

    def verify(self, key_type: str, blob: bytes) -> None:
        """Raise HostKeyRefused unless the host may present this key."""
        shown = HostKey(key_type, blob)
        if any(key.blob == blob for key in self._revoked):
            raise self._refused(f"known_hosts marks {shown} as revoked", "give the host a new key")
        if any(key.blob == blob for key in (*self._trusted, *self._also)):
            return
        verify_it = (
            f"compare {shown.fingerprint} with `ssh-keygen -lf /etc/ssh/ssh_host_{_file_name(key_type)}_key.pub` "
            f"on the host itself"
        )
        pin = f'set `hostKey: "{shown.line}"` in its Host manifest'
        if not self._trusted:
            raise self._refused(
                f"{shown} is neither pinned nor in known_hosts",
                f"{verify_it}; if they match, {pin}, or add the line `{self._known_hosts_line(shown)}` to "
                f"~/.ssh/known_hosts",
            )
        expected = ", ".join(f"{key} ({key.source})" for key in self._same_type_first(key_type))
        forget = "" if self._endpoint.pinned else f", after `ssh-keygen -R '{self._endpoint.known_as[0]}'`"
        raise self._refused(
            f"got {shown}, expected {expected}",
            f"suspect an attack on the connection; if the host was reinstalled, {verify_it}, then {pin}{forget}",
        )

    def _same_type_first(self, key_type: str) -> Iterable[HostKey]:
        return [key for key in self._trusted if key.type == key_type] or self._trusted

    def _known_hosts_line(self, key: HostKey) -> str:
        return f"{self._endpoint.known_as[0]} {key.line}"

    def _refused(self, what: str, hint: str) -> HostKeyRefused:
        return HostKeyRefused(self._endpoint.host, f"the host key of {self._endpoint} is rejected: {what}", hint=hint)


def _pinned(endpoint: Endpoint, text: str) -> HostKey:
    words = text.split()
    key = _key(words[0], words[1], "hostKey of its manifest") if len(words) > 1 else None
    if key is None:
        raise HostKeyRefused(
            endpoint.host,
            f"hostKey of {endpoint.host} is not a public key: {text[:60]!r}",
            hint=f"use the form `ssh-ed25519 AAAA...`, as `ssh-keyscan -p {endpoint.port} {endpoint.address}` prints",
        )
    return key


def _key(key_type: str, text: str, source: str) -> HostKey | None:
    try:
        blob = base64.b64decode(text, validate=True)
        (length,) = struct.unpack(">I", blob[:4])
    except (binascii.Error, struct.error, ValueError):
        return None
    return HostKey(key_type, blob, source) if blob[4 : 4 + length] == key_type.encode() else None


def _read(path: Path) -> Iterator[tuple[list[str], bool, HostKey]]:
    """Yield the lines of a known_hosts file: host patterns, whether revoked, and the key.

    An invalid line is skipped.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # an unreadable file makes no key known
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        key = _key(words[1], words[2], f"{path} line {number}")
        if key is not None:
            yield words[0].split(","), bool(marker), key


def _names_match(patterns: list[str], name: str) -> bool:
    matched = False
    for pattern in patterns:
        if pattern.startswith("|1|"):
            matched |= _hash_matches(pattern, name)
        elif pattern.startswith("!"):
            if _glob_matches(pattern[1:], name):
                return False
        else:
            matched |= _glob_matches(pattern, name)
    return matched


def _glob_matches(pattern: str, name: str) -> bool:
    # Only * and ? are special here; the brackets are part of `[host]:port`.
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def _hash_matches(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in pattern[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)


def _file_name(key_type: str) -> str:
    return {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key_type, "ecdsa")
