"""``sandboxer events``."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stdout, write
from sandboxer.cli.main import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option
from sandboxer.cli.session import opened, session
from sandboxer.errors import UsageError
from sandboxer.wiring.found import answering, ids_of, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.event import Event
    from sandboxer.wiring import Run

POLL_SECONDS = 1.0


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is told next, until Ctrl-C or its end.")
@output_option("text", "json")
def events(name: str, follow: bool, output: str) -> int:
    """Show the life of a sandbox, as the journals on the hosts tell it; the oldest event first.

    Of a sandbox that is gone there is what State Hub has still to be told. JSON is one CloudEvent a line. Exits 1 where
    there is none, or a host did not answer.

    \b
    Examples:
      sandboxer events checkout-e2e
      sandboxer events checkout-e2e --follow
      sandboxer events 1f2e3d4c -o json | jq -r .type
    """
    with opened(find_inputs=False) as run:
        teller, unheard = _Teller(run, name, output), silent(run)
        for host, why in unheard.items():
            session().said("warning", f"{host} did not answer: {why}", host)
        teller.tell()
        if not teller.shown and not follow:
            raise UsageError(
                f"no host has a journal of {name}",
                hint=f"it may be on {', '.join(unheard)}" if unheard else "see `sandboxer list`",
            )
        while follow and not teller.over:
            time.sleep(POLL_SECONDS)
            teller.tell()
    return EXIT_ERROR if unheard else EXIT_DONE


class _Teller:
    """Shows each event of one sandbox once. ``over`` is whether its life ended."""

    def __init__(self, run: Run, name: str, output: str) -> None:
        self._run = run
        self._output = output
        self._ids = sorted(ids_of(run, name))
        self.shown: dict[str, Event] = {}
        self.over = False

    def tell(self) -> None:
        """Shows what is new. Raises HostError where a host does not answer any more."""
        found = self._found()
        fresh = [event for event in found if event.id not in self.shown]
        self._show(fresh)
        self.shown.update({event.id: event for event in fresh})
        gone = bool(self.shown) and not found  # without a State Hub a journal goes with its sandbox
        self.over = gone or (bool(found) and found[-1].type.endswith(".destroyed"))

    def _found(self) -> list[Event]:
        """One life after the other, each in the order of its numbers: the clocks of those who acted may differ."""
        lives: dict[str, dict[int, Event]] = {}
        for host in answering(self._run):
            for identifier in self._ids:
                for backlog in self._run.journals.show(host, identifier):
                    lives.setdefault(backlog.uid, {}).update({event.number: event for event in backlog.events})
        ordered = [[life[number] for number in sorted(life)] for life in lives.values() if life]
        return [event for life in sorted(ordered, key=lambda life: life[0].at) for event in life]

    def _show(self, fresh: Sequence[Event]) -> None:
        from sandboxer.model.hub import cloud_event
        from sandboxer.render.events import event_line

        for event in fresh:
            if self._output == "json":
                write(json.dumps(cloud_event(event).to_json(), ensure_ascii=False))
            else:
                stdout().print(event_line(event))
        sys.stdout.flush()  # whoever reads through a pipe follows too
