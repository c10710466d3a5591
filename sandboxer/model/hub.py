"""What State Hub is sent: CloudEvents 1.0 of lifecycle, drift and runs; the older progress form; registrations.

``docs/events.md`` has the contract; the JSON Schemas in ``schemas/`` are generated from these models.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandboxer.model.event import DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP, SANDBOX_EVENT, Drifted, Event
from sandboxer.model.failure import Failure
from sandboxer.model.handle import Handle
from sandboxer.model.lifecycle import Phase
from sandboxer.model.timestamp import Utc

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

    number: int = Field(
        ge=1, description="The number of the event in this life. After a loss, it continues from the time in seconds."
    )
    uid: str = Field(description="The ID of this life. Each creation of a sandbox has a new one.")
    fleet: str = Field(description="The name of the fleet.")
    sandbox_id: _Id = Field(description="The ID of the sandbox, and the subject of the event.")
    name: str = Field(description="The name of the sandbox.")
    profile_id: str = Field(description="The profile of the sandbox.")
    extension_id: str = Field(description="The extension of the sandbox.")
    host: str = Field(description="The host of the sandbox.")
    consumer: str | None = Field(description="The project of the consumer.")
    actor_type: Literal["adm", "agt", "atm"] | None = Field(
        description="The actor type of the consumer: administrator, agent or automation."
    )
    commit: str | None = Field(description="The applied commit of the fleet.")
    input_commit: str | None = Field(None, description="The applied commit of the input. Only if files are delivered.")
    phase: Phase = Field(description="The new phase.")
    from_phase: Phase | None = Field(
        description="The previous phase. Null at the start of a life, and if the phase did not change."
    )
    at: Utc = Field(description="The time, by the clock of the machine that acted.")
    reason: str = Field(description="The reason from the plan, or a sentence if there was no plan.")
    expires_at: Utc | None = Field(description="The time of expiry.")
    drift: tuple[Drifted, ...] | None = Field(None, description="All drifted fields. Only in drift events.")
    error: Failure | None = Field(None, description="Why the sandbox failed. Only in `failed` events.")


class RunData(_Part):
    """The data of an event of one run of the program; what is known only at its end is None at its start."""

    run_id: str = Field(description="The ID of the run, and the subject of the event.")
    fleet: str = Field(description="The name of the fleet.")
    command: str = Field(description="The command: apply, prune or drift.")
    commit: str | None = Field(description="The commit of the fleet.")
    at: Utc = Field(description="The time, by the clock of the machine that ran the command.")
    seconds: float | None = Field(None, description="The duration.")
    exit_code: int | None = Field(None, description="The exit code.")
    summary: dict[str, int] | None = Field(None, description="The number of sandboxes by outcome.")


class CloudEvent(_Part):
    """A CloudEvent 1.0 in structured JSON. The same transition has the same ``source`` and ``id``, whoever sends it."""

    specversion: Literal["1.0"] = Field("1.0", description="The version of CloudEvents.")
    id: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="The SHA-256 of uid and number: equal for equal transitions."
    )
    source: str = Field(description="/fleets/<fleet>/hosts/<host>, or /fleets/<fleet> for a run.")
    type: str = Field(pattern=r"^dev\.sandboxer\.", description="The event type: dev.sandboxer.sandbox.<phase>.")
    subject: str = Field(description="The ID of the sandbox or of the run.")
    time: Utc = Field(description="The time, as in the data.")
    datacontenttype: Literal["application/json"] = Field(
        "application/json", description="The content type of the data."
    )
    data: SandboxData | RunData = Field(description="The event data.")

    def to_json(self) -> JsonObject:
        """Return the JSON to send, without keys that have no value."""
        content: JsonObject = self.model_dump(mode="json")
        data = content["data"]
        if isinstance(data, dict):
            for key in ("drift", "error", "input_commit"):
                if data.get(key) is None:
                    data.pop(key, None)
        return content


class Progress(_Part):
    """An event in the plain form of older hubs."""

    event_type: str = Field(description="The type of the corresponding CloudEvent.")
    summary: str = Field(description="A summary in one line.")
    detail: SandboxData | RunData = Field(description="The event data.")
    workstream_id: str | None = Field(description="The fleet's spec.stateHub.workstream_id.")

    def to_json(self) -> JsonObject:
        """Return the JSON to send."""
        return self.model_dump(mode="json", exclude_none=False)


class Registration(Handle):
    """What identifies a ready sandbox: its handle, and which life of which fleet it is."""

    uid: str = Field(description="The ID of this life.")
    fleet: str = Field(description="The name of the fleet.")


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
