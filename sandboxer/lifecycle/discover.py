"""Discovery: one look at each host, side by side. A look that fails says so, and keeps no other from its own."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, LookIncomplete, OutputTooLarge
from sandboxer.model.observed import Reachable, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sandboxer.extensions.base import Extension, Question
    from sandboxer.model.observed import Found, Look
    from sandboxer.model.seams import HostTransport

AT_ONCE = 32


def discover(
    questions: Iterable[Question],
    transport: Callable[[str], HostTransport],
    extensions: Mapping[str, Extension],
    *,
    seen: Callable[[Look, float], None] = lambda _look, _seconds: None,
) -> dict[str, Look]:
    """Looks at every host of ``questions``, at most 32 at once; gives one look for each, by name.

    ``transport`` gives the way to a host, ``extensions`` are the backends that may have sandboxes there, by name; what
    the first says of the host itself counts. ``seen`` is told each look as it comes, from several threads, and how many
    seconds it took. Raises nothing of a host's: an unreachable one is a value.
    """
    asked = list(questions)

    def ask(question: Question) -> Look:
        began = time.monotonic()
        look = look_at(question, transport, extensions)
        seen(look, time.monotonic() - began)
        return look

    with ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(asked))), thread_name_prefix="look") as pool:
        return {look.host: look for look in pool.map(ask, asked)}


def names_on_record(looks: Iterable[Look]) -> Iterator[str]:
    """The names of all sandboxes that have a record on hosts that answered."""
    for look in looks:
        if isinstance(look, Reachable):
            yield from (found.record.name for found in look.found.values() if found.record)


def look_at(question: Question, transport: Callable[[str], HostTransport], extensions: Mapping[str, Extension]) -> Look:
    """One look at one host, with every extension that may have sandboxes there."""
    try:
        looks = {name: extension.probe(transport(question.host), question) for name, extension in extensions.items()}
    except HostError as error:
        answered = isinstance(error, LookIncomplete | OutputTooLarge)
        return Unreachable(question.host, error.message, answered=answered)
    return _merged(looks)


def _merged(looks: Mapping[str, Look]) -> Look:
    """Several extensions' looks at one host in one: complete only where all are.

    The host, and what Sandboxer itself keeps there, are as the first of them says. A sandbox is as the extension says
    that its record names: nobody else knows what there is to be seen of it.
    """
    first, *others = looks.values()
    for look in others:
        if not isinstance(first, Reachable) or not isinstance(look, Reachable):
            return first if not isinstance(first, Reachable) else look
        first = replace(
            first,
            engines={**look.engines, **first.engines},
            found={**look.found, **first.found},
            error=first.error or look.error,
        )
    if not isinstance(first, Reachable) or not others:
        return first
    return replace(
        first, found={identifier: _as_its_own_says(found, looks) for identifier, found in first.found.items()}
    )


def _as_its_own_says(found: Found, looks: Mapping[str, Look]) -> Found:
    look = looks.get(found.record.extension) if found.record else None
    own = look.found.get(found.id) if isinstance(look, Reachable) else None
    if own is None or own.record is None:
        return found
    return replace(own, told=found.told, told_digest=found.told_digest)
