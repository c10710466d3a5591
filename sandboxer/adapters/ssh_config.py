"""Resolution of a host's manifest and the user's ssh_config to the endpoint to connect to.

The manifest overrides ssh_config. No program is ever run for it: ``Match exec`` blocks are left out, and a
``ProxyCommand`` is an error.
"""

from __future__ import annotations

import getpass
import glob
import itertools
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.adapters.light_paramiko import paramiko
from sandboxer.errors import HostUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_JUMPS = 8
_MAX_INCLUDES = 16
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_BARE_CRITERIA = frozenset({"all", "canonical", "final"})
_KNOWN_CRITERIA = _BARE_CRITERIA | {"host", "originalhost", "user", "localuser"}
_NEVER = "Host !*"  # a block that applies to no host
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.+)")
_JUMP = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^]]+)]|(?P<host>[^:@]+))(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class SshTarget:
    """The connection settings of a Host manifest; None leaves a value to ssh_config.

    ``host`` is the name in the fleet, ``address`` a name, an address or an alias of ssh_config, ``identity_file`` a
    path to a private key, ``host_key`` the pinned public key ("ssh-ed25519 AAAA...").
    """

    host: str
    address: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    host_key: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One SSH server and everything needed to log in to it; ``jump`` is the server to go through first.

    ``only_identity`` is the manifest's key, and then the only one to try. ``known_as`` are the names to look up in the
    ``known_hosts`` files. Times are in seconds.
    """

    host: str
    address: str
    port: int
    user: str
    known_as: tuple[str, ...]
    known_hosts: tuple[Path, ...]
    only_identity: Path | None = None
    identities: tuple[Path, ...] = ()
    use_agent: bool = True
    pinned: str | None = None
    jump: Endpoint | None = None
    connect_timeout: float | None = None
    keepalive: int = 15
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """Return the name for messages: ``lab-1 (198.18.0.11:22)``."""
        where = host_and_port(self.address, self.port)
        return where if self.host == self.address else f"{self.host} ({where})"


def host_and_port(address: str, port: int) -> str:
    """Return ``address:port``, with the brackets that an IPv6 address needs."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def resolve(target: SshTarget) -> Endpoint:
    """Return the endpoint that a manifest and ssh_config describe together.

    Raise HostUnreachable for an invalid ssh_config.
    """
    home = Path(os.environ.get("HOME") or Path.home())
    return _Resolver(target.host, home).endpoint(target, via=None, depth=0)


class _Resolver:
    def __init__(self, host: str, home: Path) -> None:
        self._host, self._home = host, home
        self._notes: list[str] = []
        lines = [*self._lines(home / ".ssh/config"), "Host *", *self._lines(_SYSTEM_CONFIG)]
        self._config = paramiko.SSHConfig()
        try:
            self._config.parse(lines)
        except (paramiko.SSHException, ValueError) as error:
            raise self._bad(str(error)) from None

    def endpoint(self, target: SshTarget, via: Endpoint | None, depth: int) -> Endpoint:
        if depth > _MAX_JUMPS:
            raise self._bad(f"ProxyJump of {self._host} has more than {_MAX_JUMPS} hops, or a loop")
        try:
            options: Mapping[str, str] = self._config.lookup(target.address)
        except (paramiko.SSHException, KeyError, ValueError, OSError) as error:
            raise self._bad(f"{target.address}: {error}") from None
        address = options["hostname"]
        port = target.port or self._number(options, "port", 22)
        identities = self._identities(options)
        return Endpoint(
            host=target.host,
            address=address,
            port=port,
            user=target.user or options.get("user") or self._login_name(),
            known_as=_known_names(options.get("hostkeyalias"), address, port),
            known_hosts=self._known_hosts(options),
            only_identity=self._path(target.identity_file) if target.identity_file else None,
            identities=identities,
            use_agent=options.get("identitiesonly", "no").lower() != "yes",
            pinned=target.host_key,
            jump=via or self._jump(target, options, depth),
            connect_timeout=self._number(options, "connecttimeout", 0) or None,
            keepalive=self._number(options, "serveraliveinterval", 0) or 15,
            notes=tuple(self._notes),
        )

    def _jump(self, target: SshTarget, options: Mapping[str, str], depth: int) -> Endpoint | None:
        """Return the last hop before the target; each hop of a chain goes through the one before it."""
        chain = options.get("proxyjump", "none")
        if chain.lower() == "none":
            if options.get("proxycommand"):
                raise HostUnreachable(
                    self._host,
                    f"ssh_config sets a ProxyCommand for {target.address}, which is not supported",
                    hint=f"use ProxyJump for {target.address}, or `ProxyCommand none`",
                )
            return None
        via: Endpoint | None = None
        for hop in chain.split(","):
            match = _JUMP.fullmatch(hop.strip().removeprefix("ssh://").rstrip("/"))
            if match is None:
                raise self._bad(f"ProxyJump {chain!r} is not a list of [user@]host[:port]")
            name = match["v6"] or match["host"]
            jump = SshTarget(name, name, int(match["port"]) if match["port"] else None, match["user"])
            via = self.endpoint(jump, via, depth + 1)
        return via

    # --- values ---

    def _number(self, options: Mapping[str, str], key: str, default: int) -> int:
        text = options.get(key, str(default))
        if not text.isdecimal() or int(text) > 65535:
            raise self._bad(f"{key} {text!r} is not a valid number")
        return int(text)

    def _path(self, text: str) -> Path:
        text = text.replace("%d", str(self._home))
        return self._home / text[2:] if text.startswith("~/") else Path(text)

    def _identities(self, options: Mapping[str, object]) -> tuple[Path, ...]:
        found = options.get("identityfile")
        listed = [str(text) for text in found] if isinstance(found, list) else []
        if not listed:
            listed = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"]
        return tuple(self._path(text) for text in listed if text.lower() != "none")

    def _known_hosts(self, options: Mapping[str, str]) -> tuple[Path, ...]:
        user = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        everyone = options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
        return tuple(self._path(text) for text in (*_words(user), *_words(everyone)) if text.lower() != "none")

    def _login_name(self) -> str:
        try:
            return getpass.getuser()
        except (OSError, KeyError, ImportError):
            raise HostUnreachable(
                self._host, f"no user name to log in to {self._host}", hint="set spec.user on the Host"
            ) from None

    # --- reading ---

    def _lines(self, path: Path, depth: int = 0) -> Iterator[str]:
        """Yield the lines of a file with its includes in place, without blocks that would need a program."""
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._bad(f"{path} cannot be read: {error.strerror}") from None
        block = "Host *"
        for line in text.splitlines():
            match = _LINE.match(line)
            key = match[1].lower() if match else ""
            if match and key == "include" and depth < _MAX_INCLUDES:
                for name in _words(match[2]):
                    yield from self._included(path, name, depth)
                yield block  # an included file's blocks end with it
            elif match and key in ("host", "match"):
                block = self._match(line, match[2]) if key == "match" else line
                yield block
            else:
                yield line

    def _included(self, path: Path, name: str, depth: int) -> Iterator[str]:
        folder = _SYSTEM_CONFIG.parent if path.is_relative_to(_SYSTEM_CONFIG.parent) else self._home / ".ssh"
        for found in sorted(glob.glob(str(folder / self._path(name)))):  # noqa: PTH207 - the pattern may be absolute
            yield from self._lines(Path(found), depth + 1)

    def _match(self, line: str, criteria: str) -> str:
        """Return a Match line with lower-case keywords, or one that never matches if it cannot be evaluated here."""
        words, plain = iter(_words(criteria)), ["Match"]
        for word in words:
            keyword = word.lower()
            if keyword.lstrip("!") not in _KNOWN_CRITERIA:
                self._notes.append(f"ssh_config's block `{line.strip()}` was ignored: {keyword} is not supported")
                return _NEVER
            plain.append(keyword)
            if keyword.lstrip("!") not in _BARE_CRITERIA:
                plain.extend(shlex.quote(value) for value in itertools.islice(words, 1))
        return " ".join(plain)

    def _bad(self, what: str) -> HostUnreachable:
        return HostUnreachable(
            self._host,
            f"ssh_config cannot be used for {self._host}: {what}",
            hint="correct ssh_config, see ssh_config(5)",
        )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _known_names(alias: str | None, address: str, port: int) -> tuple[str, ...]:
    """Return the names to look up, as OpenSSH does: the port counts, but a key for the bare name is known too."""
    if alias:
        return (alias.lower(),)
    name = address.lower()
    return (name,) if port == 22 else (f"[{name}]:{port}", name)
