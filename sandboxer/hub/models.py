"""What the hub answers, as models for ``/openapi.json``. The answers themselves are built from what was received."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sandboxer.model.lifecycle import Phase


class _Part(BaseModel):
    # A newer sender may add keys.
    model_config = ConfigDict(extra="allow", frozen=True)


class Failure(_Part):
    """Why a sandbox failed. A key is missing if its sender did not send it."""

    code: str | None = Field(None, description="A short, stable name of the kind of failure, such as `build-failed`.")
    message: str | None = Field(None, description="What failed, where and why; it may have several lines.")
    hint: str | None = Field(None, description="What to do about it.")
    at: str | None = Field(None, description="When it failed, RFC 3339 in UTC.")
    step: str | None = Field(None, description="The step that failed.")
    service: str | None = Field(None, description="The service that failed.")


class Difference(_Part):
    """One drifted field."""

    path: str = Field(description="The path of the field.")
    old: JsonValue = Field(None, description="The applied value.")
    new: JsonValue = Field(None, description="The observed value.")


class RegisteredHandle(_Part):
    """A handle as it was registered, with the keys of its sender's release."""


class ListedSandbox(_Part):
    """A sandbox as its events and its registration add up. What nobody reported is null."""

    id: str = Field(description="The sandbox's ID: 8 hex digits.")
    fleet: str = Field(description="The name of the fleet.")
    name: str = Field(description="The sandbox's name.")
    host: str = Field(description="The host that it is on.")
    uid: str = Field(description="The ID of this life.")
    phase: Phase | None = Field(description="The phase, of the last event that has one.")
    health: str | None = Field(description="How its services are, by the registration.")
    sync: str | None = Field(description="How it compares with git, by the registration.")
    expires_at: str | None = Field(description="When it expires, RFC 3339 in UTC.")
    consumer: str | None = Field(description="The project of the consumer.")
    profile: str | None = Field(description="The profile.")
    last_event_at: str | None = Field(description="The time of the last event.")
    reason: str | None = Field(description="Why it entered its phase.")
    error: Failure | None = Field(description="Why it failed; null after a success.")
    commit: str | None = Field(description="The applied commit of the fleet.")
    inputs: dict[str, JsonValue] | None = Field(description="Its input: `repo`, `ref` and `commit`.")
    services: list[dict[str, JsonValue]] | None = Field(
        description="Its services by the registration: `name`, `state`, `health`, `image`, `restarts`, `exit_code`."
    )
    labels: dict[str, JsonValue] | None = Field(description="Its labels, by the registration.")
    drift: list[Difference] = Field(description="The open drift.")
    since: str | None = Field(description="When the oldest open drift was first reported.")
    registered_at: str | None = Field(description="When the hub received the registration, RFC 3339 in UTC.")
    handle: RegisteredHandle | None = Field(description="The registration: a handle, with all that was sent.")


class SandboxList(_Part):
    """The sandboxes that match a query."""

    sandboxes: list[ListedSandbox] = Field(description="By fleet, host and name.")


class EventPage(_Part):
    """A page of events."""

    events: list[dict[str, JsonValue]] = Field(description="CloudEvents, in the order of arrival.")
    next: str | None = Field(description="The cursor of the next page; null on the last one.")
