"""The handle: the one description of an existing sandbox, for the library, the commands, the HTTP API and State Hub.

``lifecycle/handles.py`` makes it from an observation. ``to_json`` is the contract's form: ``sandboxer get -o json``
writes it, the HTTP API answers with it, and a registration at State Hub adds which life of which fleet it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sandboxer.model.failure import Failure
from sandboxer.model.lifecycle import Health, Phase, Sync
from sandboxer.model.timestamp import Utc

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.model.jsontypes import JsonObject

ExpirySource = Literal["ttl", "profile", "expiresAt", "extended", "activity"]


def _whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


_Second = Annotated[Utc, AfterValidator(_whole_seconds)]


class _Part(BaseModel):
    # A newer release may add keys.
    model_config = ConfigDict(extra="allow", frozen=True)


class Consumer(_Part):
    """For whom a sandbox is."""

    actor: Literal["adm", "agt", "atm"] = Field(
        description="`adm`: an administrator, `agt`: an agent, `atm`: automation."
    )
    project: str = Field(description="The project.")

    def __str__(self) -> str:
        return f"{self.actor}/{self.project}"


class Endpoint(_Part):
    """One port of a sandbox's reachability, and its address, by the live containers."""

    name: str = Field(description="The port's name in the profile.")
    service: str = Field(description="The service that listens.")
    port: int = Field(description="The container's port.")
    address: str = Field(description="A loopback address of the host, or an address that only the host reaches.")
    host_port: int | None = Field(description="The host's port; null unless it is published.")
    via: Literal["published", "tunnel"] = Field(
        description="`published`: on a loopback port of the host. `tunnel`: at the container's own address, over SSH."
    )
    url: str = Field(description="Address and port as a URL.")


class AppliedInput(_Part):
    """The input whose files a sandbox was given by the last apply: where they are from, and at which commit."""

    repo: str = Field(description="The repository, without the credentials of a URL.")
    ref: str = Field(description="The branch, tag or commit as its manifest or request names it.")
    commit: str = Field(description="The commit that this was.")


class ServiceStatus(_Part):
    """One service of a sandbox, by its live containers: of several, the one that is furthest from healthy."""

    name: str = Field(description="The service's name.")
    state: str = Field(
        description="The container's state, such as `running`, `exited` or `restarting`; `missing` without a container."
    )
    health: Literal["starting", "healthy", "unhealthy"] | None = Field(
        description="The result of the health check; null without one."
    )
    image: str | None = Field(description="The image that it runs; null without a container.")
    restarts: int | None = Field(
        description="How often its engine restarted it, all containers together; null if that was not observed."
    )
    exit_code: int | None = Field(description="The exit code of the last run; null unless it ended.")


class Handle(_Part):
    """The description of an existing sandbox. A field that only its record can answer is null without a record."""

    # Not checked: without a record it comes from labels on the host, which anybody may have written.
    id: str = Field(description="The sandbox's ID: 8 hex digits.", json_schema_extra={"pattern": "^[0-9a-f]{8}$"})
    name: str = Field(description="The sandbox's name.")
    phase: Phase | None = Field(description="Where it is in its life; `expired` if it still exists after its expiry.")
    sync: Sync = Field(description="How it compares with what git, or its request, says.")
    health: Health = Field(description="How its services are.")
    profile: str | None = Field(description="The profile that it was created with.")
    extension: str | None = Field(description="The extension that created it.")
    host: str = Field(description="The host that it is on.")
    created_at: _Second | None = Field(description="When this life of it began, RFC 3339 in UTC.")
    expires_at: _Second | None = Field(description="When it expires, RFC 3339 in UTC.")
    expiry_source: ExpirySource | None = Field(description="What set the expiry.")
    ttl: str | None = Field(description="The time to live that was applied, such as `8h`; null under `expiresAt`.")
    seconds_left: int | None = Field(
        description="Seconds until the expiry, by the host's clock and this machine's; 0 once both are past it."
    )
    consumer: Consumer | None = Field(description="For whom it is; null if nobody was named.")
    reachability: tuple[Endpoint, ...] = Field(description="The ports that are for others, read live.")
    services: tuple[ServiceStatus, ...] = Field((), description="Its services by name, read live.")
    inputs: AppliedInput | None = Field(None, description="The input that it runs; null if no files are delivered.")
    commit: str | None = Field(None, description="The commit of the fleet that was applied.")
    labels: Mapping[str, str] = Field(description="Its labels.")
    origin: str = Field(description="`git`: from a manifest. `api`: requested without one.")
    requested_by: str | None = Field(description="Who requested it: `user@machine`, or the name of an API token.")
    error: Failure | None = Field(None, description="Why its last operation failed; null after a success.")

    def to_json(self) -> JsonObject:
        """Return the JSON object of the contract: keys in the order of the fields, and null for what is not known."""
        content: dict[str, Any] = self.model_dump(mode="json")
        return content
