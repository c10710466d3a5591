"""Models of requests and responses. The committed ``schemas/openapi.json`` is generated from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sandboxer.model.faults import CONSUMER_PATTERN, EVENT_ID_PATTERN, LABEL_PATTERN, SERVICE_PATTERN
from sandboxer.model.handle import Handle
from sandboxer.model.hub import CloudEvent
from sandboxer.model.lifecycle import Phase
from sandboxer.model.quantity import DURATION_PATTERN
from sandboxer.model.text import NAME_PATTERN

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Text = Annotated[str, StringConstraints(max_length=4096)]
Lasting = Annotated[str, StringConstraints(pattern=DURATION_PATTERN)]


class _Request(BaseModel):
    """The body of a request: unknown keys are rejected, and types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answer(BaseModel):
    """For the description alone: answers are written as the library gives them. Newer servers may add keys."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ConsumerRequest(_Request):
    """The consumer of a sandbox."""

    actor: Literal["adm", "agt", "atm"] = Field(description="The actor type: administrator, agent or automation.")
    project: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="The project.")


class Inputs(_Request):
    """The input files of a sandbox."""

    repo: Text | None = Field(None, description="A git repository: an https or ssh URL, or a path on the server.")
    ref: Text | None = Field(None, description="A branch, a tag or a commit.")


class CreateSandbox(_Request):
    """The request of a sandbox, with the fields of a Sandbox manifest."""

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

    profile: Name = Field(description="The Profile of the sandbox.")
    name: Name | None = Field(None, description="The name. Default: generated from the profile.")
    inputs: Inputs | None = Field(None, description="The source of the files.")
    ttl: Lasting | None = Field(None, description="The time to live: 90s, 15m, 8h, 2d. Default: the profile's.")
    consumer: ConsumerRequest | None = Field(None, description="For whom it is; a bound token puts its own in.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the sandbox.")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables. Do not put secrets here.")
    secret_refs: dict[str, str] = Field(
        default_factory=dict,
        description="Secrets by name, with sources on the server: env:NAME or file:PATH. The Fleet must allow each.",
    )
    hosts: list[Name] = Field(
        default_factory=list, description="The only hosts that the sandbox may run on, among those of its profile."
    )


class ExtendTtl(_Request):
    """The extension of a time to live."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"by": "2h"}]})

    by: Lasting = Field(description="The extension of the expiry: 90s, 15m, 8h, 2d.")


class SandboxQuery(BaseModel):
    """The filter of a list of sandboxes."""

    model_config = ConfigDict(extra="forbid")

    phase: Phase | None = Field(None, description="Include only sandboxes in this phase.")
    host: Name | None = Field(None, description="Include only sandboxes on this host.")
    label: list[Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]] = Field(
        default_factory=list,
        description="Include only sandboxes with this label, KEY=VALUE. Several labels must all match.",
    )
    consumer: Annotated[str, StringConstraints(pattern=CONSUMER_PATTERN)] | None = Field(
        None, description="Include only sandboxes of this consumer, ACTOR/PROJECT."
    )
    origin: Literal["git", "api"] | None = Field(
        None, description="`git`: from a manifest; `api`: created without one."
    )
    after: str | None = Field(None, description="The `next` of the previous page.")
    limit: int = Field(100, ge=1, le=1000, description="The largest number of results.")


class EventsQuery(BaseModel):
    """The page of events. A stream starts at the first event, or after `Last-Event-ID`."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(None, pattern=EVENT_ID_PATTERN, description="The `next` of the previous page.")
    limit: int = Field(100, ge=1, le=1000, description="The largest number of results.")


class LogsQuery(BaseModel):
    """The filter of log lines."""

    model_config = ConfigDict(extra="forbid")

    service: list[Annotated[str, StringConstraints(pattern=SERVICE_PATTERN)]] = Field(
        default_factory=list, description="Include only this service. Repeatable. Default: all services."
    )
    tail: int | None = Field(None, ge=0, le=100_000, description="The number of last lines of each service.")
    follow: bool = Field(False, description="Stream new lines.")
    timestamps: bool = Field(False, description="Prefix each line with its timestamp.")


class SandboxPage(_Answer):
    """A page of the sandboxes, by name."""

    items: list[Handle] = Field(description="The sandboxes.")
    next: str | None = Field(description="The value of `after` for the next page. Null on the last page.")
    complete: bool = Field(description="False if a host did not answer in full, so that sandboxes may be missing.")


class EventPage(_Answer):
    """A page of the events of one sandbox, the oldest first."""

    items: list[CloudEvent] = Field(description="The events, as sent to State Hub.")
    next: str | None = Field(description="The value of `after` for the next page. Null on the last page.")
    complete: bool = Field(description="False if a host did not answer, so that events may be missing.")


class PlanDocument(_Answer):
    """The plan, as `sandboxer plan -o json` writes it."""

    format_version: str = Field(description="The version of this format.")
    fleet: str = Field(description="The name of the fleet.")
    complete: bool = Field(description="Whether every host was observed and no change is blocked.")
    hosts: list[dict[str, Any]] = Field(description="The hosts, and whether each answered.")
    changes: list[dict[str, Any]] = Field(description="The change of each sandbox, and its reason.")
    summary: dict[str, int] = Field(description="The number of changes by action.")


class State(_Answer):
    """The state of the server."""

    status: Literal["ok", "ready"] = Field(
        description="`ok`: the process runs; `ready`: the server can serve requests."
    )
