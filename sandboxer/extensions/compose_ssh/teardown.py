"""Removes a sandbox: what its engine has of it, then its directory, the record last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions.compose_ssh.directory import VERBS, SandboxDirectory
from sandboxer.extensions.compose_ssh.engines import ENGINES
from sandboxer.extensions.compose_ssh.records import anonymous_volumes
from sandboxer.hosts.session import HostSession

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.extensions.base import Operation
    from sandboxer.model.observed import Container
    from sandboxer.model.record import Record

TEARDOWN_SECONDS = 180.0


def teardown(operation: Operation, *, tombstone: str | None = None) -> None:
    """Remove everything of a sandbox; ``tombstone``, the document's digest of an expired one, is kept."""
    with HostSession(operation, *VERBS) as session:
        directory = SandboxDirectory(operation, session)
        state = directory.observe_as_planned(only_names=True)
        if state.record is None:
            _remove_unrecorded(directory, state.containers)
        else:
            remove(directory, state.record, state.containers, tombstone, again=operation.again)


def _remove_unrecorded(directory: SandboxDirectory, containers: Iterable[Container]) -> None:
    """Remove every life that the labels name, if no record of any fleet below this root claims one of them."""
    operation = directory.operation
    if claim := directory.claim():
        raise ProvisionFailed(
            operation.name,
            f"{operation.name} on {operation.target.host} is claimed by a record: {claim}",
            hint="remove the sandbox from that fleet",
        )
    volumes = sorted(anonymous_volumes(containers))
    for life in operation.lives:
        tear_down(directory, operation.target.engine, life, *volumes)
    if operation.lives:
        directory.remove_unrecorded()


def remove(
    directory: SandboxDirectory,
    record: Record,
    containers: Iterable[Container],
    tombstone: str | None = None,
    *,
    again: bool = False,
) -> None:
    """Remove one life of a sandbox, while the caller holds its lock; ``containers`` are those that it has now.

    With ``again`` it is to be recreated, which the record of an imperative one says: nothing else would.

    After an interrupted operation, containers may have anonymous volumes that are not on record yet: an engine that
    recreates a container gives it those of the former one by name, and no longer takes them for anonymous.
    """
    directory.begin_step("destroy", "destroying")
    volumes = anonymous_volumes(containers) | set(record.anonymous_volumes)
    known = {"anonymous_volumes": tuple(sorted(volumes))}
    with directory.noting_failure():
        record = directory.begin_removal(record, expired=tombstone is not None, again=again, **known)
        tear_down(directory, record.engine, record.uid, *sorted(volumes))
        if tombstone is not None:
            directory.put_tombstone(tombstone)
        directory.remove(record)


def tear_down(directory: SandboxDirectory, engine: str, uid: str, *volumes: str) -> None:
    """Remove what the engine has of one life of the sandbox; ``volumes`` are those that no label identifies."""
    operation = directory.operation
    if engine not in ENGINES:  # on the host it is the name of a command
        raise ProvisionFailed(
            operation.name, f"{operation.name} on {operation.target.host} belongs to an engine that is not supported"
        )
    reply = directory.session.call("teardown", engine, uid, *volumes, timeout=TEARDOWN_SECONDS)
    if reply.code != 0:
        raise ProvisionFailed(
            operation.name, f"{operation.name} on {operation.target.host} cannot be removed: {reply.words}"
        )
