"""The journals on the hosts: the events that State Hub has not acknowledged yet, and the acknowledgements."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete
from sandboxer.hosts.parallel import on_hosts
from sandboxer.hosts.scripts import host_command
from sandboxer.hosts.sections import Sections
from sandboxer.model.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandboxer.errors import HostError
    from sandboxer.model.protocols import HostTransport

AT_ONCE = 16
READ_SECONDS = 30.0
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Backlog:
    """The unacknowledged ``events`` of one life of a sandbox, in order, after the one numbered ``cursor`` (or 0)."""

    id: str
    uid: str
    cursor: int
    events: tuple[Event, ...]

    @property
    def last(self) -> int:
        """The number of its last known event."""
        return self.events[-1].number if self.events else self.cursor


@dataclass(frozen=True, slots=True)
class Journals:
    """The journals of a fleet. ``roots`` are the hosts' roots, by name."""

    fleet: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]

    def read(self, host: str) -> list[Backlog]:
        """Return the unacknowledged events of every life on a host; of a sandbox's lives the earlier one first.

        Raise what a transport raises, and ObservationIncomplete if the answer is cut short. Lines that are not events
        of the journal's own sandbox are left out.
        """
        return self._query(host, "read")

    def show(self, host: str, identifier: str) -> list[Backlog]:
        """Return every event that a host has of one sandbox, acknowledged or not, as ``read`` does.

        Raise what that raises.
        """
        return self._query(host, "show", [identifier])

    def acknowledge(self, host: str, events: Sequence[tuple[str, str, int]]) -> None:
        """Note State Hub's last acknowledged events on a host: id, uid and number of each, in order.

        A sandbox that is gone and fully acknowledged has no journal afterwards. Raise what a transport raises.
        """
        lines = [f"{identifier} {uid} {number}" for identifier, uid, number in events]
        self._run(host, secrets.token_hex(16), "acknowledge", lines)

    def acknowledge_all(self, events: Mapping[str, Sequence[tuple[str, str, int]]]) -> list[str]:
        """Note acknowledgements on several hosts in parallel, as ``acknowledge`` does.

        Return a sentence for each host that failed.
        """

        def one(host: str) -> str:
            self.acknowledge(host, events[host])
            return ""

        def failed(host: str, error: HostError) -> str:
            return f"cannot save the delivery state of State Hub on {host}: {error.message}"

        return [
            problem for problem in on_hosts(one, events, name="acknowledge", at_once=AT_ONCE, failed=failed) if problem
        ]

    def _query(self, host: str, wish: str, lines: Sequence[str] = ()) -> list[Backlog]:
        nonce = secrets.token_hex(16)
        sections = Sections(b"\n" + self._run(host, nonce, wish, lines), nonce)
        if not sections.complete:
            raise ObservationIncomplete(
                host, f"reading the journals of {host} was interrupted", hint="check the host with `sandboxer doctor`"
            )
        return list(self._backlogs(sections))

    def _run(self, host: str, nonce: str, wish: str, lines: Sequence[str]) -> bytes:
        command = host_command(
            "prelude.sh",
            "session.sh",
            "journals.sh",
            timeout=READ_SECONDS,
            max_output=MOST_BYTES,
            nonce=nonce,
            root=self.roots[host],
            fleet=self.fleet,
            wish=wish,
            lines=lines,
        )
        return self.transport(host).run(command).stdout

    def _backlogs(self, sections: Sections) -> Iterator[Backlog]:
        """Yield the lives of a sandbox; those that ended come before the current one."""
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

        ``uid`` and ``cursor`` are of the current one, which may have no line after the cursor.
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
