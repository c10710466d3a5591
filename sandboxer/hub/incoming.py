"""Incoming CloudEvents and registrations, validated as any foreign input is. Only valid ones are kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from sandboxer.model.event import DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP, SANDBOX_EVENT
from sandboxer.model.faults import EVENT_ID_PATTERN, SANDBOX_ID_PATTERN, fault_of
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import printable
from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "dev.sandboxer."
RUN_STARTED, RUN_FINISHED = PREFIX + "run.started", PREFIX + "run.finished"

_SOURCE = re.compile(r"/fleets/(?P<fleet>[^/\s]{1,100})(?:/hosts/(?P<host>[^/\s]{1,100}))?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]00:00)")
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,40}")
# The largest number that SQLite holds.
_MOST = 2**63 - 1


def moment(text: str) -> datetime:
    """Return the time of an RFC 3339 text in UTC. Raise ValueError for any other text."""
    if not _MOMENT.fullmatch(text):
        raise ValueError("must be an RFC 3339 timestamp in UTC: 2026-11-24T12:00:00Z")
    # Digits beyond microseconds are dropped: datetime holds no more.
    plain = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    return datetime.fromisoformat(plain).astimezone(UTC)


def sortable(text: str) -> str:
    """Return the same time in the one form whose texts sort by time."""
    return moment(text).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _checked(text: str) -> str:
    moment(text)
    return text


_Time = Annotated[str, AfterValidator(_checked)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Words = Annotated[str, StringConstraints(max_length=4000)]
_Id = Annotated[str, StringConstraints(pattern=SANDBOX_ID_PATTERN)]
# Not strict: JSON has no enumerations.
_Phase = Annotated[Phase, Field(strict=False)]
_EventId = Annotated[str, StringConstraints(pattern=EVENT_ID_PATTERN)]


class _Part(BaseModel):
    # Strict, since "3" is no number. Additional fields of a newer sender are kept.
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class SentFailure(_Part):
    """The cause of a failure, as a client of any release sends it; ``message`` may have several lines."""

    code: _Text | None = None
    message: str | None = None
    hint: str | None = None
    at: _Time | None = None
    step: _Words | None = None
    service: _Words | None = None


class SandboxData(_Part):
    """The data of every event of a sandbox. ``number`` counts the events of the life that ``uid`` names."""

    number: int = Field(ge=1, le=_MOST)
    uid: _Text
    fleet: _Text
    sandbox_id: _Id
    name: _Text
    profile_id: _Text
    extension_id: _Text
    host: _Text
    consumer: _Text | None = None
    actor_type: Literal["adm", "agt", "atm"] | None = None
    commit: _Text | None = None
    input_commit: _Text | None = None
    phase: _Phase
    from_phase: _Phase | None = None
    at: _Time
    reason: _Words
    expires_at: _Time | None = None
    error: SentFailure | None = None


class Difference(_Part):
    """One drifted field."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    old: JsonValue = None
    new: JsonValue = None


class DetectedData(SandboxData):
    """The data of ``drift.detected``: all current drift of a sandbox."""

    drift: list[Difference] = Field(min_length=1)


class ResolvedData(SandboxData):
    """The data of ``drift.resolved``: the resolved paths; without paths, all drift is resolved."""

    drift: list[Difference] | None = None


class RunData(_Part):
    """The data of an event of a run."""

    run_id: _Text
    fleet: _Text
    command: _Text
    commit: _Text | None = None
    at: _Time


class FinishedData(RunData):
    """The data of the end of a run; ``summary`` has the counts."""

    seconds: float = Field(ge=0)
    exit_code: int
    summary: dict[str, JsonValue] | None = None


class _Envelope(_Part):
    specversion: Literal["1.0"]
    id: _EventId
    source: Annotated[str, StringConstraints(max_length=300)]
    type: Annotated[str, StringConstraints(max_length=200)]
    subject: _Text | None = None
    time: _Time
    datacontenttype: Literal["application/json"] = "application/json"
    data: dict[str, JsonValue]


class SentConsumer(_Part):
    """The consumer of a sandbox, as it was sent."""

    actor: JsonValue = None
    project: JsonValue = None


class SentHandle(_Part):
    """The handle of a sandbox, as a client of any release sends it. Keys that this one does not know are kept."""

    id: _Id
    name: _Text
    host: _Text
    phase: _Phase | None = None
    sync: _Text | None = None
    health: _Text | None = None
    profile: _Text | None = None
    created_at: _Time | None = None
    expires_at: _Time | None = None
    consumer: SentConsumer | None = None
    reachability: list[dict[str, JsonValue]] = Field(default_factory=list)
    labels: dict[str, JsonValue] | None = None
    services: list[dict[str, JsonValue]] | None = None
    inputs: dict[str, JsonValue] | None = None
    commit: _Text | None = None
    error: SentFailure | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(mode="json", exclude_unset=True)


class Registration(SentHandle):
    """What identifies a sandbox: its handle, and which life of which fleet it is."""

    uid: _Text
    fleet: _Text

    @property
    def handle(self) -> SentHandle:
        """The handle alone."""
        return SentHandle.model_validate(self.model_dump(mode="json", exclude={"uid", "fleet"}, exclude_unset=True))


@dataclass(frozen=True, slots=True)
class Incoming:
    """A valid event. ``body`` is its JSON; ``data`` is None if this release does not know the type."""

    id: str
    source: str
    type: str
    fleet: str
    host: str | None
    sandbox: str | None
    body: str
    data: SandboxData | None = None


def event_of(raw: bytes) -> Incoming:
    """Return the event in a request's body. Raise HttpProblem, naming the field at fault, if it is invalid."""
    given, body = _object(raw)
    for name in given:
        if not _ATTRIBUTE.fullmatch(name):
            raise HttpProblem(
                ProblemKind.INVALID_REQUEST, "is not an attribute of a CloudEvent in JSON", field=printable(name)
            )
    envelope = _fitting(_Envelope, given)
    source = _SOURCE.fullmatch(envelope.source)
    if source is None:
        raise HttpProblem(
            ProblemKind.INVALID_REQUEST, "must be /fleets/FLEET or /fleets/FLEET/hosts/HOST", field="source"
        )
    if not envelope.type.startswith(PREFIX) or envelope.type == PREFIX:
        raise HttpProblem(ProblemKind.INVALID_REQUEST, f"must start with {PREFIX}", field="type")
    data = _data(envelope, source.groupdict())
    return Incoming(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        fleet=source["fleet"],
        host=source["host"],
        sandbox=envelope.subject if source["host"] else None,
        body=body,
        data=data,
    )


def registration_of(raw: bytes, identifier: str) -> Registration:
    """Return the registration in a request's body. Raise HttpProblem if it is invalid or of another ID."""
    registration = _fitting(Registration, _object(raw)[0])
    if registration.id != identifier:
        raise HttpProblem(ProblemKind.INVALID_REQUEST, f"must match the path: {printable(identifier)}", field="id")
    return registration


def _data(envelope: _Envelope, source: Mapping[str, str | None]) -> SandboxData | None:
    """Return the data of a known type. Its fleet, host and subject must equal those of the envelope."""
    model = _model(envelope.type)
    if model is None:
        return None
    data = _fitting(model, envelope.data, within="data")
    claims: dict[str, Any] = {"data.fleet": (data.fleet, source["fleet"])}
    if isinstance(data, SandboxData):
        claims |= {"data.host": (data.host, source["host"]), "data.sandbox_id": (data.sandbox_id, envelope.subject)}
        if envelope.type.startswith(SANDBOX_EVENT):
            claims["data.phase"] = (data.phase.value, envelope.type.removeprefix(SANDBOX_EVENT))
    else:
        claims |= {"source": (None, source["host"]), "data.run_id": (data.run_id, envelope.subject)}
    for field, (one, other) in claims.items():
        if one != other:
            raise HttpProblem(ProblemKind.INVALID_REQUEST, "contradicts source, subject or type", field=field)
    return data if isinstance(data, SandboxData) else None


def _model(kind: str) -> type[SandboxData | RunData] | None:
    if kind.startswith(SANDBOX_EVENT):
        return SandboxData if kind.removeprefix(SANDBOX_EVENT) in {phase.value for phase in Phase} else None
    return _MODELS.get(kind)


_MODELS: Mapping[str, type[SandboxData | RunData]] = {
    JOURNAL_GAP: SandboxData,
    DRIFT_DETECTED: DetectedData,
    DRIFT_RESOLVED: ResolvedData,
    RUN_STARTED: RunData,
    RUN_FINISHED: FinishedData,
}

_Model = TypeVar("_Model", bound=BaseModel)


def _fitting(model: type[_Model], given: object, *, within: str = "") -> _Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in ([within] if within else []) + list(first["loc"]))
        raise HttpProblem(ProblemKind.INVALID_REQUEST, fault_of(first), field=printable(path)) from None


def _object(raw: bytes) -> tuple[dict[str, Any], str]:
    """Return the JSON object of a body, and its text in one line. Raise HttpProblem if it cannot be kept."""
    try:
        given = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
        # Also detects a lone surrogate and an infinite number, which JSON's reader accepts.
        body = json.dumps(given, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        body.encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else printable(str(error), 200)
        raise HttpProblem(ProblemKind.INVALID_REQUEST, f"the body is not JSON in UTF-8: {reason}") from None
    if not isinstance(given, dict):
        raise HttpProblem(ProblemKind.INVALID_REQUEST, "the body is not a JSON object")
    return given, body


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
