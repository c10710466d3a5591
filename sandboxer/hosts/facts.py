"""The doctor's one command on a host, and its raw answers, for the checks of the core and of backends."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandboxer.hosts.remedies import System
from sandboxer.hosts.scripts import host_command
from sandboxer.hosts.sections import Sections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sandboxer.model.manifest import Host
    from sandboxer.model.protocols import CommandResult, HostTransport

# More than all time limits in it together that one broken host can use up.
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class CheckedHost:
    """A host to check, by its manifest. ``tool`` is as in an ObserveRequest.

    ``longest_life`` is the longest that a sandbox of the fleet may live, None if no profile limits it.
    """

    host: Host
    fleet: str
    tool: str | None = None
    longest_life: timedelta | None = None

    @property
    def name(self) -> str:
        """The host's name in the fleet."""
        return self.host.metadata.name

    @property
    def root(self) -> str:
        """The directory of all sandboxes there."""
        return self.host.spec.root

    @property
    def runtime(self) -> str:
        """The engine that the Host requests."""
        return self.host.spec.runtime


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The answers of one host.

    ``skew`` is the difference between its clock and ours, ``login`` the time until our script ran there, both in
    seconds; ``login`` is None for this machine itself.
    """

    checked: CheckedHost
    sections: Sections
    result: CommandResult
    skew: float | None = None
    login: float | None = None

    def has(self, name: str) -> bool:
        """Return whether the answer has a section of that name."""
        return self.sections.body(name) is not None

    def text(self, name: str) -> str:
        """Return the text of a section; empty if there is none."""
        return (self.sections.body(name) or b"").decode("utf-8", "replace").strip()

    def lines(self, name: str) -> list[str]:
        """Return the lines of a section that are not blank."""
        return [line for line in self.text(name).splitlines() if line.strip()]

    def all(self, name: str) -> dict[str, str]:
        """Return the texts of all sections of a name, by their argument; a later one replaces an earlier one."""
        return {
            argument: body.decode("utf-8", "replace").strip()
            for found, argument, body in self.sections
            if found == name
        }

    def one(self, name: str) -> tuple[str, str]:
        """Return argument and text of the last section of a name; both empty if there is none."""
        return next(reversed(self.all(name).items()), ("", ""))

    def words(self, name: str) -> dict[str, str]:
        """Return the ``key=value`` lines of a section, without quotes."""
        pairs = (line.partition("=") for line in self.lines(name))
        return {key: value.strip("\"'") for key, _, value in pairs}

    def flags(self, name: str) -> dict[str, str]:
        """Return the ``key value`` lines of a section."""
        return {line.split()[0]: line.partition(" ")[2] for line in self.lines(name)}

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
            systemd=words.get("systemd") == "yes",
        )


def collect_facts(checked: CheckedHost, transport: HostTransport, scripts: Sequence[str] = ()) -> HostFacts:
    """Collect all facts of a host, in one command, with the ``scripts`` of backends behind the core's own.

    Raise HostError if it does not answer.
    """
    nonce = secrets.token_hex(16)
    spec = checked.host.spec
    command = host_command(
        "prelude.sh",
        "doctor.sh",
        *scripts,
        "doctor_end.sh",
        timeout=SECONDS,
        max_output=4 * 1024 * 1024,
        nonce=nonce,
        root=spec.root,
        fleet=checked.fleet,
        runtime=checked.runtime,
        connection=spec.connection,
        requested_tool=checked.tool or "",
    )
    began, before = time.monotonic(), datetime.now(UTC)
    result = transport.run(command)
    seconds, after = time.monotonic() - began, datetime.now(UTC)
    facts = HostFacts(checked, Sections(result.stdout, nonce), result)
    login = None if spec.connection == "local" else max(0.0, seconds - _took(facts))
    return HostFacts(checked, facts.sections, result, _skew(facts, before, after), login)


def _took(facts: HostFacts) -> float:
    try:
        began, ended = facts.text("took").split()
        return float(ended) - float(began)
    except ValueError:
        return 0.0


def _skew(facts: HostFacts, before: datetime, after: datetime) -> float | None:
    """Return the skew of a clock that was read at some moment between two; 0 if it may be right."""
    try:
        there = float(facts.text("clock"))
    except ValueError:
        return None
    if there < before.timestamp() - 1:
        return there - before.timestamp()
    return max(0.0, there - after.timestamp())
