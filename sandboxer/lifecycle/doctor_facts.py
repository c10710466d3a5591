"""The doctor's questions to one host, and its answers as it gave them."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.sections import Sections
from sandboxer.extensions.scripts import script
from sandboxer.lifecycle.doctor_remedies import System
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from datetime import timedelta

    from sandboxer.extensions.base import Runtime
    from sandboxer.model.manifest import Host
    from sandboxer.model.protocols import CommandResult, HostTransport

# More than all time limits inside of it together that one broken host can use up.
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class CheckedHost:
    """A host to examine, as its manifest has it. ``runtime`` and ``compose_command`` are what an apply would use.

    ``compose_command`` is None where the host's own is to be found. ``longest_life`` is how long a sandbox of the
    fleet may live at most, None where no profile tells.
    """

    host: Host
    fleet: str
    runtime: Runtime = "auto"
    compose_command: str | None = None
    longest_life: timedelta | None = None

    @property
    def name(self) -> str:
        """The host's name in the fleet."""
        return self.host.metadata.name

    @property
    def root(self) -> str:
        """The folder that holds all sandboxes there."""
        return self.host.spec.root


@dataclass(frozen=True, slots=True)
class Facts:
    """What one host answered. ``skew`` is how far its clock is off ours, ``login`` how long it took until our script
    ran there, both in seconds; ``login`` is None for this machine itself.
    """

    checked: CheckedHost
    sections: Sections
    result: CommandResult
    skew: float | None = None
    login: float | None = None

    def has(self, name: str) -> bool:
        """Return whether the host said anything by that name."""
        return self.sections.body(name) is not None

    def text(self, name: str) -> str:
        """Return the words of a section; empty where there is none."""
        return (self.sections.body(name) or b"").decode("utf-8", "replace").strip()

    def lines(self, name: str) -> list[str]:
        """Return the lines of a section that are not blank."""
        return [line for line in self.text(name).splitlines() if line.strip()]

    def all(self, name: str) -> dict[str, str]:
        """Return the words of all sections of a name, by their argument; a later one takes an earlier one's place."""
        return {
            argument: body.decode("utf-8", "replace").strip()
            for found, argument, body in self.sections
            if found == name
        }

    def one(self, name: str) -> tuple[str, str]:
        """Argument and words of the last section of a name; both empty where there is none."""
        return next(reversed(self.all(name).items()), ("", ""))

    def words(self, name: str) -> dict[str, str]:
        """Return the ``key=value`` lines of a section, quotes taken off."""
        pairs = (line.partition("=") for line in self.lines(name))
        return {key: value.strip("\"'") for key, _, value in pairs}

    def flags(self, name: str) -> dict[str, str]:
        """Return the ``key value`` lines of a section."""
        return {line.split()[0]: line.partition(" ")[2] for line in self.lines(name)}

    def info(self) -> dict[str, Any]:
        """Return what the engine says of itself; empty where that is nothing to be read."""
        try:
            value = json.loads(self.one("info")[1])
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def uid(self) -> str:
        """The login's user id."""
        return self.text("login").partition(" ")[0]

    @property
    def system(self) -> System:
        """The host's distribution and login."""
        words = self.words("system")
        uid, _, user = self.text("login").partition(" ")
        return System(
            id=words.get("ID", ""),
            like=tuple(words.get("ID_LIKE", "").split()),
            version=words.get("VERSION_ID", ""),
            name=words.get("PRETTY_NAME") or "an unknown system",
            user=user or "the login user",
            is_root=uid == "0",
            systemd=self.words("rootless").get("systemd") == "yes",
        )


def ask(checked: CheckedHost, transport: HostTransport) -> Facts:
    """Ask a host everything, in one command. Raises HostError where there is no answer."""
    nonce = secrets.token_hex(16)
    spec = checked.host.spec
    lines = (nonce, spec.root, checked.fleet, checked.runtime, spec.connection, checked.compose_command or "")
    command = Command(
        script("root.sh", "compose_ssh/engine.sh", "compose_ssh/confine.sh", "compose_ssh/verbs.sh", "doctor.sh"),
        "".join(f"{line}\n" for line in lines).encode(),
        timeout=SECONDS,
        max_output=4 * 1024 * 1024,
    )
    began, before = time.monotonic(), datetime.now(UTC)
    result = transport.run(command)
    seconds, after = time.monotonic() - began, datetime.now(UTC)
    facts = Facts(checked, Sections(result.stdout, nonce), result)
    login = None if spec.connection == "local" else max(0.0, seconds - _took(facts))
    return Facts(checked, facts.sections, result, _skew(facts, before, after), login)


def _took(facts: Facts) -> float:
    try:
        began, ended = facts.text("took").split()
        return float(ended) - float(began)
    except ValueError:
        return 0.0


def _skew(facts: Facts, before: datetime, after: datetime) -> float | None:
    """Return how far a clock is off that was read at some moment between two; 0 where it may be right."""
    try:
        there = float(facts.text("clock"))
    except ValueError:
        return None
    if there < before.timestamp() - 1:
        return there - before.timestamp()
    return max(0.0, there - after.timestamp())
