"""The record: the file on a host that says what was applied there. It is the marker of ownership.

It comes back from the host as bytes that anyone with access there may have changed, so it is checked like any foreign
input: bytes that do not fit are not a record, and a sandbox without a valid record is Unknown.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sandboxer.model.failure import Failure
from sandboxer.model.jsontypes import canonical
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import printable
from sandboxer.model.timestamp import Utc

FORMAT_VERSION = "1.0"
MAX_BYTES = 1024 * 1024

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
_Uid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$")]
_Digest = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+:[0-9a-f]+$", max_length=200)]
# The name that an engine gives to a volume without one. A teardown removes the volumes listed here, so a record may
# list no others.
_Anonymous = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Engine = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?)?$")]
_Hmac = Annotated[str, StringConstraints(pattern=r"^hmac:[0-9a-f]{64}$")]

_LONGEST_INTEGER = 16


class _Part(BaseModel):
    # A newer release may add keys; they survive a rewrite by this one.
    model_config = ConfigDict(extra="allow", frozen=True)


class Attempt(_Part):
    """Work that was begun: ``desired_digest`` moves to ``digest`` only at its end."""

    digest: _Digest
    generation: int = Field(ge=1)


class Consumer(_Part):
    """For whom the sandbox is."""

    actor: Literal["adm", "agt", "atm"]
    project: str = Field(max_length=200)


class SyncPolicy(_Part):
    """What reconciliation may do by itself."""

    prune: bool = True
    self_heal: bool = True


class Input(_Part):
    """Where the delivered files came from."""

    repo: str
    ref: str
    commit: str
    digest: _Digest


class Service(_Part):
    """One service after the last apply; the containers are compared with this, so that one observation shows drift.

    ``config_hash`` is of its definition as it ran, ``image_id`` the engine's id of its image, ``replicas`` how many
    containers it had. ``one_shot`` services may end with exit code 0; ``completed`` ones had when they were recorded.
    """

    config_hash: str
    image_id: str
    replicas: int = Field(ge=0)
    one_shot: bool = False
    completed: bool = False


class Requested(_Part):
    """Who requested an imperative sandbox, as ``user@machine`` or the name of an API token.

    ``detached`` marks one that no client waits for: any client that finds it interrupted finishes it. ``again`` marks a
    sandbox that is torn down to be recreated. ``key`` and ``body`` are digests of an idempotency key and of the request
    that came with it.
    """

    by: str = Field(max_length=200)
    detached: bool = False
    again: bool = False
    key: _Digest | None = None
    body: _Digest | None = None


class WorkspaceFiles(_Part):
    """The delivered files after the last apply: how many, and the sums of their bytes and of their times in seconds."""

    files: int = Field(ge=0)
    bytes: int = Field(ge=0)
    seconds: int


class Record(_Part):
    """A sandbox as applied. Times are UTC. Environment values and secrets are in ``spec`` as salted HMACs alone.

    ``engine`` is the one that runs its containers, empty for an extension that needs none. ``until`` is its latest
    possible expiry, also in its labels: creation plus the longest TTL. ``error`` is why its last operation failed; a
    success clears it.
    """

    format_version: str
    fleet: _Name
    id: _Id
    name: _Name
    origin: Literal["git", "api"]
    uid: _Uid
    phase: Phase
    generation: int = Field(ge=1)
    attempt: Attempt | None = None
    profile: str
    extension: str
    host: str
    engine: _Engine = ""
    labels: dict[str, str] = {}
    sync_policy: SyncPolicy = SyncPolicy()
    consumer: Consumer | None = None
    requested: Requested | None = None
    desired_digest: _Digest | None = None
    spec_digest: _Digest
    fleet_root: str | None = None
    fleet_commit: str | None = None
    inputs: Input | None = None
    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    spec: dict[str, Any]
    created_at: Utc
    expires_at: Utc
    until: Utc
    last_event: int = Field(default=0, ge=0)
    services: dict[str, Service] = {}
    workspace_files: WorkspaceFiles | None = None
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    anonymous_volumes: tuple[_Anonymous, ...] = ()
    images: tuple[str, ...] = ()
    error: Failure | None = None

    def to_bytes(self) -> bytes:
        """Return the bytes of ``record.json``; without a failure, those that a release without that key writes too."""
        without = {"error"} if self.error is None else set()
        return canonical(self.model_dump(mode="json", exclude=without)) + b"\n"


class _Secret(_Part):
    hmac: _Hmac | None = None
    version: int = Field(ge=0)


class _Port(_Part):
    name: str
    service: str
    port: int = Field(ge=1, le=65535)


class _Reachability(_Part):
    ports: tuple[_Port, ...] = ()


class _Spec(_Part):
    """The parts of a record's spec that are read one by one; the rest is compared and no more."""

    env: dict[str, _Hmac] = {}
    secrets: dict[str, _Secret] = {}
    reachability: _Reachability = _Reachability()


class _Shape(_Part):
    spec: _Spec


class RecordRefused(ValueError):
    """Bytes that are not a record; the message says why in a few words, without the bytes."""


def parse_record(data: bytes, *, fleet: str, identifier: str) -> Record:
    """Return a record from its file's bytes, checked against the directory that it was found in.

    Raise RecordRefused, and nothing else, if it is truncated, not JSON, of a newer format, of another fleet or ID, or
    has a phase that no record may have.
    """
    if len(data) > MAX_BYTES:
        raise RecordRefused("larger than 1 MiB")
    try:
        record = Record.model_validate_json(data, strict=True)
        _Shape.model_validate_json(data, strict=True)
        json.loads(data.decode(), parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        raise RecordRefused(f"{where}: {first['msg']}" if where else str(first["msg"])) from None
    except RecursionError:
        raise RecordRefused("nested too deeply") from None
    if record.format_version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise RecordRefused(
            f"format {printable(record.format_version)} is not supported; this release reads {FORMAT_VERSION}"
        )
    if record.fleet != fleet or record.id != identifier:
        raise RecordRefused(f"the record is of {record.fleet}/{record.id}, but stored in {fleet}/{identifier}")
    if record.phase is Phase.DESTROYED:
        raise RecordRefused("the phase `destroyed` is never stored")
    return record


def _whole(text: str) -> int:
    """Return a number of a record that is safe for later sums, comparisons and JSON."""
    if len(text) > _LONGEST_INTEGER:
        raise RecordRefused("a number is too large")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise RecordRefused("a number is not finite")
    return number
