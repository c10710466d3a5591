"""Making a sandbox that is asked for, or making one anew."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from sandboxer.client.access import NO_GUARD, only
from sandboxer.client.seen import handle_if_there, handle_named, home_of
from sandboxer.errors import SandboxError, UsageError
from sandboxer.model.asked import Asked
from sandboxer.reconcile.options import Options
from sandboxer.wiring.found import sandboxes_there

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.client.access import Access
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.wiring.found import There

_SHORT_NAME = 28


def asked_of(
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
) -> Asked:
    """The document of what a caller asks for. Raises UsageError."""
    spec: dict[str, Any] = {"profile": profile}
    spec |= {"inputs": dict(inputs)} if inputs else {}
    spec |= {"ttl": ttl} if ttl else {}
    spec |= {"consumer": _consumer(consumer)} if consumer else {}
    spec |= {"env": dict(env)} if env else {}
    spec |= {"placement": {"hosts": list(hosts)}} if hosts else {}
    if secret_refs:
        spec["secretRefs"] = [{"name": key, "from": source} for key, source in secret_refs.items()]
    return Asked.new(name or _name_after(profile), spec, labels)


def create(access: Access, asked: Asked) -> JsonObject:
    """Makes what is asked for, and waits until it is ready; gives its handle."""
    return _make(access, asked, "create", Options(targets=frozenset({asked.name}), allow_rollback=True))


def recreate(access: Access, name: str) -> JsonObject:
    """Makes a sandbox anew: the same id, the same inputs at a fresh commit. An expired one of git too."""
    home = home_of(access, name)
    if home is None or home.change.origin == "git":
        return _renew(access, name if home is None else home.change.sandbox)
    asked = _asked(access, home)
    options = Options(
        targets=frozenset({asked.name}),
        replaced=frozenset({asked.name}),
        allow_rollback=True,
        max_deletes=NO_GUARD,
    )
    return _make(access, asked, "recreate", options)


def _make(access: Access, asked: Asked, command: str, options: Options) -> JsonObject:
    with access.run(asked=asked, read_secrets=True) as run:
        decided = access.plan(run, options)
        same = [there for there in sandboxes_there(run, decided) if there.change.sandbox == asked.name]
        if command == "create" and same:
            hint = f"give another --name, or `sandboxer destroy {asked.name}`"
            raise UsageError(f"there is a sandbox {asked.name} on {same[0].sight.host} already", hint=hint)
        access.carry_out(run, only(decided, asked.id), command, of_git=False)
    made = handle_if_there(access, asked.id)
    if made is None:
        raise SandboxError(asked.name, f"{asked.name} was made, and is gone again", hint="somebody removed it")
    return made


def _renew(access: Access, name: str) -> JsonObject:
    """As ``apply --replace`` of one sandbox that is in git."""
    with access.run(read_secrets=True) as run:
        if name not in run.sound().sandboxes:
            raise UsageError(f"there is no sandbox {name} in git or on the hosts", hint="see `sandboxer list`")
        if run.files.dirty:
            raise UsageError("the manifests have changes that are not committed", hint="commit them")
        options = Options(targets=frozenset({name}), replaced=frozenset({name}), max_deletes=NO_GUARD)
        decided = only(access.plan(run, options), run.fleet.sandboxes[name].id)
        access.carry_out(run, decided, "recreate", of_git=True)
    return handle_named(access, name)


def _asked(access: Access, home: There) -> Asked:
    """What an imperative sandbox was asked for with, as it lies beside its record."""
    with access.run(find_inputs=False) as run:
        return run.asked_for(home.change, home.sight.host, access.how)


def _consumer(text: str) -> dict[str, str]:
    actor, slash, project = text.partition("/")
    if not slash:
        raise UsageError(f"{text!r} names no consumer", hint="ACTOR/PROJECT, such as atm/wise-validator")
    return {"actor": actor, "project": project}


def _name_after(profile: str) -> str:
    """A name that nothing else has, after a profile's own."""
    own = re.sub(r"[^a-z0-9-]", "-", profile.removeprefix("profile."))[:_SHORT_NAME].strip("-") or "sandbox"
    return f"{own}-{secrets.token_hex(3)}"
