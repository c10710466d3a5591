"""Removing a sandbox: what its engine has of it, then its folder, the record last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions import records
from sandboxer.extensions.compose_ssh.box import VERBS, Box
from sandboxer.extensions.compose_ssh.records import anonymous_volumes
from sandboxer.extensions.workbench import Workbench
from sandboxer.model.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.extensions.base import Work
    from sandboxer.model.observed import Container
    from sandboxer.model.record import Record

TEARDOWN_SECONDS = 180.0


def teardown(work: Work, *, tombstone: str | None = None) -> None:
    """Removes everything of a sandbox; with ``tombstone``, because it expired, its document's digest stays behind."""
    with Workbench(work, *VERBS) as bench:
        box = Box(work, bench)
        state = box.look_as_planned(only_names=True)
        if state.record is None:
            _remove_unrecorded(box, state.containers)
        else:
            remove(box, state.record, state.containers, tombstone)


def _remove_unrecorded(box: Box, containers: Iterable[Container]) -> None:
    """Removes every life that the labels name, where no record of any fleet below this root claims one."""
    work = box.work
    if claim := box.claim():
        raise ProvisionFailed(
            work.name,
            f"{work.name} on {work.place.host} is claimed by a record: {claim}",
            hint="it belongs to that fleet: remove it from there",
        )
    volumes = sorted(anonymous_volumes(containers))
    for life in work.lives:
        tear_down(box, work.place.engine, life, *volumes)
    if work.lives:
        box.remove_unrecorded()


def remove(
    box: Box, record: Record, containers: Iterable[Container], tombstone: str | None = None, *, again: bool = False
) -> None:
    """Removes one life of a sandbox, its lock held by the caller all the while; ``containers`` are what it has now.

    With ``again`` it is to be made anew, which the record of an imperative one says: nobody else would know.

    Where work on it was cut off, they have anonymous volumes that are not on record yet: an engine that makes a
    container anew gives it those of the former by name, and so does not take them for anonymous any more.
    """
    work, bench = box.work, box.bench
    work.progress("destroying")
    volumes = anonymous_volumes(containers) | set(record.anonymous_volumes)
    requested = record.requested.model_copy(update={"again": again}) if record.requested else None
    known = record.model_copy(update={"anonymous_volumes": tuple(sorted(volumes)), "requested": requested})
    if record.phase is not Phase.DESTROYING:
        expired = (Phase.EXPIRED,) if tombstone and record.phase is not Phase.EXPIRED else ()
        record = box.rewrite(records.again(known), *expired, Phase.DESTROYING)
    elif requested != record.requested:
        record = box.rewrite(records.again(known))
    tear_down(box, record.engine, record.uid, *sorted(volumes))
    if tombstone is not None:
        stone = json.dumps({"spec_digest": tombstone, "at": work.clock().isoformat()}).encode()
        bench.must("its tombstone cannot be written", "tombstone", payload=stone)
    box.remove(record)


def tear_down(box: Box, engine: str, uid: str, *volumes: str) -> None:
    """Removes what the engine has of one life of the sandbox; ``volumes`` are those that no label tells."""
    work = box.work
    reply = box.bench.call("teardown", engine, uid, *volumes, timeout=TEARDOWN_SECONDS)
    if reply.code != 0:
        raise ProvisionFailed(work.name, f"{work.name} on {work.place.host} cannot be removed: {reply.words}")
