"""What State Hub is sent: CloudEvents 1.0 of lifecycle, drift and runs; the older progress form; registrations.

``docs/events.md`` has the contract; the JSON Schemas in ``schemas/`` are generated from these models.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandboxer.model.event import DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP, SANDBOX_EVENT, Drifted, Event
from sandboxer.model.handle import Handle
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import Utc

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.model.jsontypes import JsonObject

RUN_STARTED = "dev.sandboxer.run.started"
RUN_FINISHED = "dev.sandboxer.run.finished"

_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SandboxData(_Part):
    """The data of an event of one sandbox's life. ``number`` counts the events of that life, which ``uid`` names."""

    number: int = Field(ge=1, description="Counts the events of one life; a gap leaps to the time in seconds.")
    uid: str = Field(description="Names one life of a name; each creation has another.")
    fleet: str = Field(description="The fleet's name.")
    sandbox_id: _Id = Field(description="The sandbox's id, the event's subject too.")
    name: str = Field(description="The sandbox's name.")
    profile_id: str = Field(description="The profile that it was made with.")
    extension_id: str = Field(description="The extension that made it.")
    host: str = Field(description="The host that it is on.")
    consumer: str | None = Field(description="The project that it is for.")
    actor_type: Literal["adm", "agt", "atm"] | None = Field(description="An administrator, an agent, or automation.")
    commit: str | None = Field(description="The fleet's commit that was applied.")
    phase: Phase = Field(description="The phase that it is in now.")
    from_phase: Phase | None = Field(description="The one before; null where a life begins, and where none changed.")
    at: Utc = Field(description="When, by the clock of the machine that acted.")
    reason: str = Field(description="Why, in the words of a plan, or in a sentence where there was none.")
    expires_at: Utc | None = Field(description="When it expires.")
    drift: tuple[Drifted, ...] | None = Field(None, description="All fields that are not as applied; of a drift alone.")


class RunData(_Part):
    """The data of an event of one run of the program; what only its end tells is None at its start."""

    run_id: str = Field(description="Names the run; the event's subject too.")
    fleet: str = Field(description="The fleet's name.")
    command: str = Field(description="The command that ran: apply, prune, drift.")
    commit: str | None = Field(description="The fleet's commit that it was about.")
    at: Utc = Field(description="When, by the clock of the machine that it ran on.")
    seconds: float | None = Field(None, description="How long it took.")
    exit_code: int | None = Field(None, description="What it ended with.")
    summary: dict[str, int] | None = Field(None, description="How many sandboxes came to which outcome.")


class CloudEvent(_Part):
    """A CloudEvent 1.0 in structured JSON. The same transition has the same ``source`` and ``id``, whoever sends it."""

    specversion: Literal["1.0"] = Field("1.0", description="The version of CloudEvents.")
    id: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="The same for the same transition: SHA-256 of uid and number."
    )
    source: str = Field(description="/fleets/<fleet>/hosts/<host>; of a run /fleets/<fleet>.")
    type: str = Field(pattern=r"^dev\.sandboxer\.", description="What happened: dev.sandboxer.sandbox.<phase>.")
    subject: str = Field(description="The sandbox's id; of a run the run's.")
    time: Utc = Field(description="When, as in the data.")
    datacontenttype: Literal["application/json"] = Field("application/json", description="The form of the data.")
    data: SandboxData | RunData = Field(description="What happened, in full.")

    def to_json(self) -> JsonObject:
        """Return the JSON to send, without keys that have no value."""
        content: JsonObject = self.model_dump(mode="json")
        data = content["data"]
        if isinstance(data, dict) and data.get("drift") is None:
            data.pop("drift", None)
        return content


class Progress(_Part):
    """An event in the plain form of older hubs."""

    event_type: str = Field(description="The type that the CloudEvent would have.")
    summary: str = Field(description="What happened, in a line.")
    detail: SandboxData | RunData = Field(description="What happened, in full.")
    workstream_id: str | None = Field(description="stateHub.workstream_id of the fleet.")

    def to_json(self) -> JsonObject:
        """Return the JSON to send."""
        return self.model_dump(mode="json", exclude_none=False)


class Registration(Handle):
    """What identifies a ready sandbox: its handle, and which life of which fleet it is."""

    uid: str = Field(description="Names this life of it.")
    fleet: str = Field(description="The fleet's name.")


def cloud_event(event: Event) -> CloudEvent:
    """Return the CloudEvent of a journal's event."""
    fields = event.model_dump(include=set(SandboxData.model_fields))
    return CloudEvent(
        id=event.id,
        source=f"/fleets/{event.fleet}/hosts/{event.host}",
        type=event.type,
        subject=event.sandbox_id,
        time=event.at,
        data=SandboxData.model_validate(fields),
    )


def run_event(kind: str, data: RunData, at: datetime) -> CloudEvent:
    """Return the CloudEvent of a run's start or end."""
    digest = hashlib.sha256(f"{data.run_id}/{kind}".encode()).hexdigest()
    source = f"/fleets/{data.fleet}"
    return CloudEvent(id=digest, source=source, type=kind, subject=data.run_id, time=at, data=data)


def progress(event: CloudEvent, workstream_id: str | None) -> Progress:
    """Return the event in the form of older hubs."""
    return Progress(event_type=event.type, summary=_summary(event), detail=event.data, workstream_id=workstream_id)


def _summary(event: CloudEvent) -> str:
    data = event.data
    if isinstance(data, RunData):
        end = "" if data.exit_code is None else f", exit code {data.exit_code}"
        return f"{data.command} of {data.fleet} {event.type.rsplit('.', 1)[-1]}{end}"
    where = f"{data.name} on {data.host}"
    if event.type == DRIFT_DETECTED:
        return f"{where} drifted: {', '.join(field.path for field in data.drift or ())}"
    if event.type == DRIFT_RESOLVED:
        return f"{where} is as applied again"
    if event.type == JOURNAL_GAP:
        return f"{where} lost its journal"
    return f"{where} is {event.type.removeprefix(SANDBOX_EVENT)}"
