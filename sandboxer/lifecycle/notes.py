"""Notes on the hosts of the drift that was reported, so that the next run detects what is resolved.

One command is needed for each host.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import HostError
from sandboxer.extensions.scripts import script
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandboxer.model.drift import Note
    from sandboxer.model.event import Event
    from sandboxer.model.protocols import HostTransport

AT_ONCE = 16
LOCK_SECONDS = 5
NOTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DriftNotes:
    """The writer of drift notes, and of their events in the journals.

    ``roots`` are the hosts' roots, by name; ``holder`` tells other clients who holds the lock. ``told`` receives the
    host and the event once it is in a journal there, from several threads.
    """

    fleet: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]
    holder: str
    told: Callable[[str, Event], None] = lambda _host, _event: None

    def write(self, notes: Sequence[Note]) -> list[str]:
        """Write ``notes``, each under its sandbox's lock; return a sentence for each that could not be written.

        A sandbox that began another life meanwhile is left alone. Errors of a host are part of the result.
        """
        by_host: dict[str, list[Note]] = {}
        for note in notes:
            by_host.setdefault(note.host, []).append(note)
        if not by_host:
            return []
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(by_host)), thread_name_prefix="note") as pool:
            return [problem for problems in pool.map(self._on_host, by_host.values()) for problem in problems]

    def _on_host(self, notes: Sequence[Note]) -> list[str]:
        host = notes[0].host
        lines = ["-", self.roots[host], self.fleet, "-", str(LOCK_SECONDS), self.holder]
        for note in notes:
            text = json.dumps(note.to_json(), separators=(",", ":")) if note.told else ""
            lines += [note.id, note.uid, note.former, text, *note.event.halves()]
        data = "".join(f"{line}\n" for line in lines).encode()
        limit = NOTE_SECONDS + LOCK_SECONDS * len(notes)
        try:
            result = self.transport(host).run(
                Command(script("root.sh", "host_session.sh", "note.sh"), data, timeout=limit)
            )
        except HostError as error:
            return [f"cannot save the reported drift of {host}: {error.message}"]
        if result.exit_code != 0:
            return [f"cannot save the reported drift of {host}: exit code {result.exit_code}"]
        return list(self._problems(notes, result.stdout.decode("utf-8", "replace")))

    def _problems(self, notes: Sequence[Note], output: str) -> Iterator[str]:
        by_id = {note.id: note for note in notes}
        for line in output.splitlines():
            note = by_id.get(line[:8])
            match line[8:].split(maxsplit=1):
                case ["told", number] if note and number.isdecimal():
                    self.told(note.host, note.event.model_copy(update={"number": int(number)}))
                case ["not", why] if note:
                    yield f"cannot save the reported drift of {note.sandbox} on {note.host}: {why}"
