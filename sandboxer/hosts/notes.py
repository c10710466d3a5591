"""Notes on the hosts of the drift that was reported, so that the next run detects what is resolved.

One command is needed for each host.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.hosts.parallel import on_hosts
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandboxer.errors import HostError
    from sandboxer.model.drift import Note
    from sandboxer.model.event import Event
    from sandboxer.model.protocols import HostTransport

AT_ONCE = 16
LOCK_SECONDS = 5
NOTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DriftNotes:
    """The writer of drift notes, and of their events in the journals.

    ``roots`` are the hosts' roots, by name. ``on_event`` receives the host and the event once it is in a journal there,
    from several threads.
    """

    fleet: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]
    on_event: Callable[[str, Event], None] = lambda _host, _event: None

    def write(self, notes: Sequence[Note]) -> list[str]:
        """Write ``notes``, each under its sandbox's lock; return a sentence for each that could not be written.

        A sandbox that began another life meanwhile is left alone. Errors of a host are part of the result.
        """
        by_host: dict[str, list[Note]] = {}
        for note in notes:
            by_host.setdefault(note.host, []).append(note)
        found = on_hosts(self._on_host, by_host.values(), name="note", at_once=AT_ONCE, failed=_unsaved)
        return [problem for problems in found for problem in problems]

    def _on_host(self, notes: Sequence[Note]) -> list[str]:
        host = notes[0].host
        lines: list[str] = []
        for note in notes:
            text = json.dumps(note.to_json(), separators=(",", ":")) if note.told else ""
            lines += [note.id, note.uid, note.former, text, *note.event.halves()]
        command = host_command(
            "prelude.sh",
            "session.sh",
            "note.sh",
            timeout=NOTE_SECONDS + LOCK_SECONDS * len(notes),
            root=self.roots[host],
            fleet=self.fleet,
            lock_seconds=LOCK_SECONDS,
            lines=lines,
        )
        result = self.transport(host).run(command)
        if result.exit_code != 0:
            return [f"cannot save the reported drift of {host}: exit code {result.exit_code}"]
        return list(self._problems(notes, result.stdout.decode("utf-8", "replace")))

    def _problems(self, notes: Sequence[Note], output: str) -> Iterator[str]:
        by_id = {note.id: note for note in notes}
        for line in output.splitlines():
            note = by_id.get(line[:8])
            match line[8:].split(maxsplit=1):
                case ["noted", number] if note and number.isdecimal():
                    self.on_event(note.host, note.event.model_copy(update={"number": int(number)}))
                case ["not", why] if note:
                    yield f"cannot save the reported drift of {note.sandbox} on {note.host}: {why}"


def _unsaved(notes: Sequence[Note], error: HostError) -> list[str]:
    return [f"cannot save the reported drift of {notes[0].host}: {error.message}"]
