"""The events of a sandbox, from the journals on the hosts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandboxer.client.query import POLL_SECONDS
from sandboxer.errors import UsageError
from sandboxer.lifecycle.observe import recorded_labels
from sandboxer.model.suggestion import nearest
from sandboxer.model.text import named
from sandboxer.wiring.lookup import LIST_HINT, ids_of
from sandboxer.wiring.reporting import journals_of

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.hosts.journals import Journals
    from sandboxer.model.event import Event
    from sandboxer.wiring.observations import FleetObservations


def events(context: ClientContext, name: str, *, follow: bool) -> Generator[Event | None]:
    """Yield each event once, the oldest first.

    With ``follow`` it continues until the life ends; None means that nothing is new. ``warn`` receives each unreachable
    host. Raise UsageError if no host has a journal, and HostError if one that answered before does not any more. The
    connections are open for as long as the iterator is.
    """
    with context.open(find_inputs=False) as (_source, hosts):
        observations = hosts.observe()
        unheard = observations.unreachable()
        for host, why in unheard.items():
            context.warn(f"{named('host', host)} did not answer: {why}")
        journals, ids = journals_of(observations.fleet, hosts.transport), sorted(ids_of(observations, name))
        journal = _Journal(journals, observations.answering(), ids)
        yield from journal.fresh()
        if not journal.yielded and not follow:
            raise UsageError(
                f"no host has a journal of {named('sandbox', name)}", hint=_hint(observations, name, unheard)
            )
        while follow and not journal.over:
            time.sleep(POLL_SECONDS)
            fresh = journal.fresh()
            yield from fresh or (None,)


def _hint(observations: FleetObservations, name: str, unheard: Collection[str]) -> str:
    """Return what to do where no host has a journal."""
    near = nearest(name, {*observations.fleet.sandboxes, *recorded_labels(observations.by_host.values())} - {name})
    hints = [f"did you mean `{near}`?"] if near else []
    if unheard:
        hints.append(f"check {', '.join(unheard)} with `sandboxer doctor`: the sandbox may be there")
    return " ".join(hints) or LIST_HINT


class _Journal:
    """One sandbox's journals. ``yielded`` are the ids of the yielded events; ``over``: its life ended."""

    def __init__(self, journals: Journals, hosts: Sequence[str], ids: Sequence[str]) -> None:
        self._journals, self._hosts, self._ids = journals, hosts, ids
        self.yielded: set[str] = set()
        self.over = False

    def fresh(self) -> list[Event]:
        """Return the events that were not returned before. Raise HostError if a host does not answer any more."""
        found = self._found()
        fresh = [event for event in found if event.id not in self.yielded]
        self.yielded.update(event.id for event in fresh)
        gone = bool(self.yielded) and not found  # without a State Hub a journal ends with its sandbox
        self.over = gone or (bool(found) and found[-1].type.endswith(".destroyed"))
        return fresh

    def _found(self) -> list[Event]:
        """Return one life after the other, each in the order of its numbers.

        The clocks of the clients that acted may differ.
        """
        lives: dict[str, dict[int, Event]] = {}
        for host in self._hosts:
            for identifier in self._ids:
                for backlog in self._journals.show(host, identifier):
                    lives.setdefault(backlog.uid, {}).update({event.number: event for event in backlog.events})
        ordered = [[life[number] for number in sorted(life)] for life in lives.values() if life]
        return [event for life in sorted(ordered, key=lambda life: life[0].at) for event in life]
