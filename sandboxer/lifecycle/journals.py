"""The journals on the hosts: what State Hub has still to be told, and how far it was told."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, ObservationIncomplete
from sandboxer.extensions.compose_ssh.sections import Sections
from sandboxer.extensions.scripts import script
from sandboxer.model.event import Event
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandboxer.model.protocols import HostTransport

AT_ONCE = 16
READ_SECONDS = 30.0
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one life of a sandbox has still to tell: ``events`` in order, behind the one numbered ``cursor`` (or 0)."""

    id: str
    uid: str
    cursor: int
    events: tuple[Event, ...]

    @property
    def last(self) -> int:
        """The number of its last event that is known."""
        return self.events[-1].number if self.events else self.cursor


@dataclass(frozen=True, slots=True)
class Journals:
    """The journals of a fleet. ``roots`` are the hosts' roots, by name; ``holder`` says to others who is at work."""

    fleet: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]
    holder: str

    def read(self, host: str) -> list[Backlog]:
        """Return every life on a host and what it has still to tell, of a sandbox's lives the earlier one first.

        Raises what a transport raises, and ObservationIncomplete where the answer breaks off. Lines that are no events
        of the sandbox in whose journal they stand are left out.
        """
        return self._ask(host, "read")

    def show(self, host: str, identifier: str) -> list[Backlog]:
        """Return every event that a host has of one sandbox, told or not, as ``read`` gives them.

        Raise what that does.
        """
        return self._ask(host, "show", identifier)

    def acknowledge(self, host: str, told: Sequence[tuple[str, str, int]]) -> None:
        """Note on a host the last events that State Hub has: id, uid and number of each, in order.

        What is gone and told has no journal afterwards. Raises what a transport raises.
        """
        self._run(host, "-", ["acknowledge", *(f"{identifier} {uid} {number}" for identifier, uid, number in told)])

    def acknowledge_all(self, told: Mapping[str, Sequence[tuple[str, str, int]]]) -> list[str]:
        """Return what ``acknowledge`` does on several hosts side by side.

        Gives a sentence for each that could not be told.
        """

        def one(host: str) -> str:
            try:
                self.acknowledge(host, told[host])
            except HostError as error:
                return f"what State Hub was told cannot be noted on {host}: {error.message}"
            return ""

        if not told:
            return []
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(told)), thread_name_prefix="acknowledge") as pool:
            return [problem for problem in pool.map(one, told) if problem]

    def _ask(self, host: str, *wish: str) -> list[Backlog]:
        nonce = secrets.token_hex(16)
        sections = Sections(b"\n" + self._run(host, nonce, wish), nonce)
        if not sections.complete:
            raise ObservationIncomplete(host, f"the journals of {host} broke off", hint="see `sandboxer doctor`")
        return list(self._backlogs(sections))

    def _run(self, host: str, nonce: str, lines: Sequence[str]) -> bytes:
        head = (nonce, self.roots[host], self.fleet, "-", "0", self.holder)
        data = "".join(f"{line}\n" for line in (*head, *lines)).encode()
        command = Command(
            script("root.sh", "host_session.sh", "journals.sh"), data, timeout=READ_SECONDS, max_output=MOST_BYTES
        )
        return self.transport(host).run(command).stdout

    def _backlogs(self, sections: Sections) -> Iterator[Backlog]:
        """Of one sandbox, what is kept of lives that ended comes before what lives now."""
        living: list[Backlog] = []
        for name, argument, body in sections:
            identifier, *cursor = argument.split() or [""]
            if name == "life":
                uid, number = cursor if len(cursor) == 2 and cursor[1].isdecimal() else ("", "0")
                living.extend(self._lives(identifier, body, uid, int(number[:15])))
            elif name == "kept":
                yield from self._lives(identifier, body, "", 0)
        yield from living

    def _lives(self, identifier: str, body: bytes, uid: str, cursor: int) -> Iterator[Backlog]:
        """Yield the lives in one file.

        ``uid`` and ``cursor`` are of the living one, which may have no line behind it.
        """
        by_uid: dict[str, dict[int, Event]] = {uid: {}} if uid else {}
        # What follows the last line break is still being written.
        for line in body.split(b"\n")[:-1]:
            try:
                event = Event.model_validate_json(line)
            except ValueError:
                continue
            if event.fleet == self.fleet and event.sandbox_id == identifier:
                by_uid.setdefault(event.uid, {}).setdefault(event.number, event)
        for life, events in by_uid.items():
            acked = cursor if life == uid else 0
            behind = tuple(event for number, event in sorted(events.items()) if number > acked)
            yield Backlog(identifier, life, acked, behind)
