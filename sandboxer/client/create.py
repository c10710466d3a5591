"""Creation of a requested sandbox, resuming an interrupted one, and recreation."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.client.context import NO_GUARD
from sandboxer.client.query import copies_of, handle_if_there, handle_named
from sandboxer.errors import KeyReused, NameTaken, SandboxError, SandboxNotFound, UsageError
from sandboxer.model.lifecycle import Block, Phase, Sync
from sandboxer.model.request import SandboxRequest
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named
from sandboxer.reconcile.options import Options
from sandboxer.wiring.edges import who
from sandboxer.wiring.lookup import LIST_HINT, find, handle_of, handle_of_observed, located_sandboxes
from sandboxer.wiring.operation import operations_of
from sandboxer.wiring.planning import plan_fleet
from sandboxer.wiring.records import request_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.client.context import Applied, ClientContext
    from sandboxer.model.desired import Fleet
    from sandboxer.model.handle import Handle
    from sandboxer.model.record import Record
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.lookup import LocatedSandbox
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.source import FleetSource

_SHORT_NAME = 28
_TRIES = 3


def new_request(
    profile: str,
    name: str | None,
    *,
    inputs: Mapping[str, str],
    ttl: str | None,
    consumer: str | None,
    labels: Mapping[str, str],
    env: Mapping[str, str],
    secret_refs: Mapping[str, str],
    hosts: Sequence[str],
    by: str | None = None,
    detached: bool = False,
    key: str | None = None,
) -> SandboxRequest:
    """Return the request of a caller, with the requester. Raise UsageError if it is invalid.

    With a ``key`` of the consumer's, its id, and a name that is not given, are derived from the two.
    """
    spec: dict[str, Any] = {"profile": profile}
    spec |= {"inputs": dict(inputs)} if inputs else {}
    spec |= {"ttl": ttl} if ttl else {}
    spec |= {"consumer": _consumer(consumer)} if consumer else {}
    spec |= {"env": dict(env)} if env else {}
    spec |= {"placement": {"hosts": list(hosts)}} if hosts else {}
    if secret_refs:
        spec["secretRefs"] = [{"name": key, "from": source} for key, source in secret_refs.items()]
    own = f"{consumer or ''}\n{key}" if key else None
    identifier = hashlib.sha256(own.encode()).hexdigest()[:8] if own else secrets.token_hex(4)
    return SandboxRequest.new(
        name or _name_after(profile, identifier),
        spec,
        labels,
        by=by or who(),
        detached=detached,
        identifier=identifier,
        key=own,
    )


def submit(context: ClientContext, request: SandboxRequest) -> Handle:
    """Record a request on its host, in phase `requested`, and no more; return its handle.

    An existing sandbox with the same key and an equal request is returned as it is.
    """
    return create(replace(context, only_requested=True), request)


def create(context: ClientContext, request: SandboxRequest) -> Handle:
    """Create the requested sandbox, and wait until it is ready; return its handle."""
    options = Options(targets=frozenset({request.name}), allow_rollback=True)
    for _ in range(_TRIES):
        with context.open(request=request, read_secrets=True) as (source, hosts):
            planned = plan_fleet(source, hosts, options)
            there = list(located_sandboxes(planned))
            for one in there:
                if one.change.id == request.id:
                    _must_be_the_same(one.observed.record, request)
                    return handle_of(one)
            _must_be_free(request, there)
            applied = context.apply(planned.only(request.id), source, hosts, "create", of_git=False)
        if any(outcome.change.block is Block.STALE for outcome in applied.outcomes):
            continue  # another client begins the same one, or one of its name, right now
        return _handle_of_made(context, applied, planned.observations.fleet, request)
    raise SandboxError(
        request.name, f"{named('sandbox', request.name)} is being changed by other clients", hint="try again"
    )


def resume(context: ClientContext, name: str) -> Handle:
    """Finish creating a sandbox that was interrupted, or only requested; return its handle.

    One that is ready stays as it is.
    """
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        copies = copies_of(planned, name) or find(planned, name)
        if copies[0].change.origin == "git":
            raise UsageError(
                f"{named('sandbox', copies[0].change.sandbox)} is in git", hint="resume with `sandboxer apply`"
            )
        record = copies[0].observed.record
        if record is not None and record.phase in (Phase.READY, Phase.ACTIVE):
            return handle_of(copies[0])
        if (
            record is not None
            and record.phase is Phase.DESTROYING
            and not (record.requested and record.requested.again)
        ):
            raise UsageError(
                f"{named('sandbox', record.name)} is being removed",
                hint=f"finish the removal with `sandboxer destroy {record.name}`",
            )
        request = _request_of(context, source, hosts, planned, copies[0])
    return _make(context, request, "resume", Options(targets=frozenset({request.name}), allow_rollback=True))


def recreate(context: ClientContext, name: str) -> Handle:
    """Recreate a sandbox: the same id, the same inputs at a fresh commit. Also an expired one of git's."""
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        copies = copies_of(planned, name)
        imperative = bool(copies) and copies[0].change.origin != "git"
        request = _request_of(context, source, hosts, planned, copies[0]) if imperative else None
    if request is None:
        return _renew(context, copies[0].change.sandbox if copies else name)
    options = Options(
        targets=frozenset({request.name}),
        replaced=frozenset({request.name}),
        allow_rollback=True,
        max_deletes=NO_GUARD,
    )
    return _make(context, request, "recreate", options)


def _make(context: ClientContext, request: SandboxRequest, command: str, options: Options) -> Handle:
    with context.open(request=request, read_secrets=True) as (source, hosts):
        planned = plan_fleet(source, hosts, options).only(request.id)
        applied = context.apply(planned, source, hosts, command, of_git=False, again=options)
    return _handle_of_made(context, applied, planned.observations.fleet, request)


def _request_of(
    context: ClientContext, source: FleetSource, hosts: FleetHosts, planned: Planned, home: LocatedSandbox
) -> SandboxRequest:
    operations = operations_of(source, hosts, context.apply_options)
    return request_of(operations, planned.observations, home)


def _handle_of_made(context: ClientContext, applied: Applied, fleet: Fleet, request: SandboxRequest) -> Handle:
    """Return the handle of what was created, or found as desired, by a fresh observation.

    Raise an error if it was not.
    """
    context.must_be_well(applied.outcomes)
    for observed in applied.made:
        record = observed.record
        if record is not None and record.id == request.id and record.phase is not Phase.PROVISIONING:
            sync = Sync.SYNCED if record.phase is Phase.READY else Sync.OUT_OF_SYNC
            return handle_of_observed(observed, fleet, sync)
    made = handle_if_there(context, request.id)
    if made is None:
        raise SandboxError(
            request.name,
            f"{named('sandbox', request.name)} was created, but no longer exists",
            hint="check who removed the sandbox",
        )
    return made


def _must_be_free(request: SandboxRequest, there: Sequence[LocatedSandbox]) -> None:
    same = [one for one in there if one.change.sandbox == request.name]
    if same:
        hint = f"choose another name, or run `sandboxer destroy {request.name}`"
        raise NameTaken(
            f"{named('sandbox', request.name)} already exists on {named('host', same[0].observed.host)}", hint=hint
        )


def _must_be_the_same(record: Record | None, request: SandboxRequest) -> None:
    """Raise an error if the existing sandbox of this id has another key, or another request."""
    former = record.requested if record else None
    if former is None or former.key is None or former.key != request.requested.key:
        raise NameTaken(f"{request.id} is the ID of another sandbox", hint="use another key")
    if former.body != request.requested.body:
        raise KeyReused("the key was already used for a different request", hint="use another key")


def _renew(context: ClientContext, name: str) -> Handle:
    """Recreate one sandbox that is in git, as ``apply --replace`` does."""
    with context.open(read_secrets=True) as (source, hosts):
        if name not in source.sound().sandboxes:
            hint = did_you_mean(name, source.sound().sandboxes) or LIST_HINT
            raise SandboxNotFound(f"no {named('sandbox', name)} in git or on the hosts", hint=hint)
        if source.files().dirty:
            raise UsageError("the manifests have uncommitted changes", hint="commit the changes")
        options = Options(targets=frozenset({name}), replaced=frozenset({name}), max_deletes=NO_GUARD)
        planned = plan_fleet(source, hosts, options).only(source.fleet().sandboxes[name].id)
        context.must_be_well(context.apply(planned, source, hosts, "recreate", of_git=True).outcomes)
    return handle_named(context, name)


def _consumer(text: str) -> dict[str, str]:
    actor, slash, project = text.partition("/")
    if not slash:
        raise UsageError(f"{text!r} is not a consumer", hint="use ACTOR/PROJECT, such as atm/wise-validator")
    return {"actor": actor, "project": project}


def _name_after(profile: str, identifier: str) -> str:
    """Return a unique name, derived from a profile's."""
    own = re.sub(r"[^a-z0-9-]", "-", profile.removeprefix("profile."))[:_SHORT_NAME].strip("-") or "sandbox"
    return f"{own}-{identifier[:6]}"
