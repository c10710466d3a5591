"""The record: the file on a host that says what was applied there. It is the marker of ownership.

It comes back from the host as bytes that anyone with access there may have changed, so it is checked like any
foreign input: what does not fit is no record, and what has no record that fits is Unknown.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sandboxer.model.jsontypes import canonical
from sandboxer.model.lifecycle import Phase

FORMAT_VERSION = "1.0"
MAX_BYTES = 1024 * 1024

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
_Uid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$")]
_Digest = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+:[0-9a-f]+$", max_length=200)]


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None or value.utcoffset() != timedelta(0):
        raise ValueError("a time must be in UTC")
    return value


Utc = Annotated[datetime, AfterValidator(_utc)]


class _Part(BaseModel):
    # A newer release may add keys; they live through a rewrite by this one.
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
    """One service after the last apply; the containers are compared with this, so that one look tells drift.

    ``config_hash`` is of its definition as it ran, ``image_id`` the engine's id of its image, ``replicas`` how many
    containers it had. ``one_shot`` services may end with exit code 0; ``completed`` ones had when they were recorded.
    """

    config_hash: str
    image_id: str
    replicas: int = Field(ge=0)
    one_shot: bool = False
    completed: bool = False


class Record(_Part):
    """A sandbox as applied. Times are UTC. Environment values and secrets are in ``spec`` as salted HMACs alone.

    ``until`` is the latest moment that it may live to, as its labels say it too: creation plus the longest TTL.
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
    engine: Literal["docker", "podman"]
    labels: dict[str, str] = {}
    sync_policy: SyncPolicy = SyncPolicy()
    consumer: Consumer | None = None
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
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    anonymous_volumes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The bytes of ``record.json``."""
        return canonical(self.model_dump(mode="json")) + b"\n"


class RecordRefused(ValueError):
    """Bytes that are not a record; the message says why in a few words, without the bytes."""


def parse_record(data: bytes, *, fleet: str, identifier: str) -> Record:
    """A record from its file's bytes, checked against the folder that it was found in.

    Raises RecordRefused where it is truncated, not JSON, of a newer format, of another fleet or id, or says a phase
    that no record may have.
    """
    if len(data) > MAX_BYTES:
        raise RecordRefused("it is larger than 1 MiB")
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordRefused(f"{where}: {first['msg']}" if where else str(first["msg"])) from None
    if record.format_version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise RecordRefused(f"its format {record.format_version} is newer than {FORMAT_VERSION}")
    if record.fleet != fleet or record.id != identifier:
        raise RecordRefused(f"it names {record.fleet}/{record.id}, but lies in {fleet}/{identifier}")
    if record.phase is Phase.DESTROYED:
        raise RecordRefused("it says `destroyed`, which is never written")
    return record
