"""Models of requests and responses. The committed ``schemas/openapi.json`` is generated from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sandboxer.model.handle import Handle
from sandboxer.model.hub import CloudEvent
from sandboxer.model.lifecycle import Phase
from sandboxer.model.quantity import DURATION_PATTERN
from sandboxer.model.text import NAME_PATTERN

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Text = Annotated[str, StringConstraints(max_length=4096)]
Lasting = Annotated[str, StringConstraints(pattern=DURATION_PATTERN)]


class _Asked(BaseModel):
    """Takes no other keys, and converts no types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Told(BaseModel):
    """For the description alone: answers are written as the library gives them. Newer servers may add keys."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ConsumerRequest(_Asked):
    """For whom a sandbox is."""

    actor: Literal["adm", "agt", "atm"] = Field(description="An administrator, an agent, or automation.")
    project: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="For what project.")


class Inputs(_Asked):
    """Which files a sandbox is given."""

    repo: Text | None = Field(None, description="A git repository: an https or ssh URL, or a path on the server.")
    ref: Text | None = Field(None, description="A branch, a tag or a commit.")


class CreateSandbox(_Asked):
    """A sandbox that is asked for. Everything is as a Sandbox manifest has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"profile": "profile.compose-e2e", "ttl": "2h"},
                {
                    "profile": "profile.compose-e2e",
                    "inputs": {"repo": "https://git.example/shop.git", "ref": "main"},
                    "ttl": "2h",
                    "consumer": {"actor": "atm", "project": "wise-validator"},
                },
            ]
        }
    )

    profile: Name = Field(description="The Profile that it is made with.")
    name: Name | None = Field(None, description="Its name; without one it gets one after its profile.")
    inputs: Inputs | None = Field(None, description="Where its files come from.")
    ttl: Lasting | None = Field(None, description="How long it lives: 90s, 15m, 8h, 2d; else as the profile has it.")
    consumer: ConsumerRequest | None = Field(None, description="For whom it is; a bound token puts its own in.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of its own.")
    env: dict[str, str] = Field(default_factory=dict, description="Its plain environment. No place for a secret.")
    secret_refs: dict[str, str] = Field(
        default_factory=dict,
        description="Secrets by name: where the server reads each, as env:NAME or file:PATH. The Fleet says which.",
    )
    hosts: list[Name] = Field(default_factory=list, description="Hosts that it may be on, of those of its profile.")


class ExtendTtl(_Asked):
    """By how much a sandbox is to live longer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"by": "2h"}]})

    by: Lasting = Field(description="What is added to its end: 90s, 15m, 8h, 2d.")


class SandboxQuery(BaseModel):
    """Which sandboxes are asked for; what is not given narrows nothing."""

    model_config = ConfigDict(extra="forbid")

    phase: Phase | None = Field(None, description="In this phase.")
    host: Name | None = Field(None, description="On this host.")
    label: list[Annotated[str, StringConstraints(pattern="^[^=]+=.*$")]] = Field(
        default_factory=list, description="With this label, KEY=VALUE; several must all fit."
    )
    consumer: Annotated[str, StringConstraints(pattern="^(adm|agt|atm)/.+$")] | None = Field(
        None, description="Of this consumer, ACTOR/PROJECT."
    )
    origin: Literal["git", "api"] | None = Field(None, description="git: of a manifest; api: asked for without one.")
    after: str | None = Field(None, description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000, description="At most so many.")


class EventsQuery(BaseModel):
    """Which events are asked for. A stream begins at the first, or behind `Last-Event-ID`."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000, description="At most so many.")


class LogsQuery(BaseModel):
    """Which lines are asked for."""

    model_config = ConfigDict(extra="forbid")

    service: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]] = Field(
        default_factory=list, description="Of this service; may be given again. All without any."
    )
    tail: int | None = Field(None, ge=0, le=100_000, description="The last so many lines of each service.")
    follow: bool = Field(False, description="Go on with what is written next.")
    timestamps: bool = Field(False, description="With the time of each line.")


class SandboxPage(_Told):
    """A page of the sandboxes, by name."""

    items: list[Handle] = Field(description="The sandboxes.")
    next: str | None = Field(description="What to give as `after` for the next page; null on the last one.")
    complete: bool = Field(description="False where a host did not answer in full: others may be there.")


class EventPage(_Told):
    """A page of the events of one sandbox, the oldest first."""

    items: list[CloudEvent] = Field(description="The events, as State Hub gets them.")
    next: str | None = Field(description="What to give as `after` for the next page; null on the last one.")
    complete: bool = Field(description="False where a host did not answer: others may be there.")


class PlanDocument(_Told):
    """The plan, as `sandboxer plan -o json` writes it."""

    format_version: str = Field(description="The version of this form.")
    fleet: str = Field(description="The fleet's name.")
    complete: bool = Field(description="Whether every host was seen, and nothing is blocked.")
    hosts: list[dict[str, Any]] = Field(description="The hosts, and whether they answered.")
    changes: list[dict[str, Any]] = Field(description="What would be done to each sandbox, and why.")
    summary: dict[str, int] = Field(description="How many of each action.")


class State(_Told):
    """How the server is."""

    status: Literal["ok", "ready"] = Field(description="ok: it lives; ready: it can serve.")


class Finding(_Told):
    """One thing that is wrong with a request."""

    detail: str = Field(description="What is wrong, and what to do.")
    field: str = Field(description="Where; empty where it is no one part.")


class Problem(_Told):
    """RFC 9457: why a request was not carried out."""

    type: str = Field(description="about:blank: the status says what it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599, description="The status.")
    detail: str = Field(description="What is wrong.")
    field: str | None = Field(None, description="The part of the request that is wrong.")
    errors: list[Finding] | None = Field(None, description="Several findings, where there are.")
