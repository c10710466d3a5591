"""The manifests of a fleet's ground: Fleet, Host and Extension."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator, model_validator

from sandboxer.model.base import Items, Strict, problem
from sandboxer.model.metadata import Manifest, TcpPort
from sandboxer.model.text import (
    SOURCE_PATTERN,
    Address,
    ConsumerName,
    HostKey,
    HubUrl,
    Line,
    Name,
    RepoLocation,
    RootPath,
    SecretSource,
    User,
    printable,
)

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Isolation = Literal["container"]
Scope = Literal["ephemeral"]
Connection = Literal["ssh", "local"]
Runtime = Literal["docker", "podman"]
HubFormat = Literal["cloudevents", "progress"]
Operation = Literal["probe", "provision", "wait_ready", "teardown", "estimate_cost"]


# --- Fleet


class StateHub(Strict):
    """Where lifecycle events are sent."""

    url: HubUrl = Field(description='An http(s) URL, or a variable that holds it: "${STATE_HUB_URL}".')
    token: SecretSource | None = Field(None, description="Where its token is: env:NAME or file:PATH, never the token.")
    format: HubFormat = Field("cloudevents", description="What it is sent; `progress` is the form of older hubs.")
    # An older hub's own word, and so written as there.
    workstream_id: Line | None = Field(
        None, alias="workstream_id", description="Under which an older hub files what it is told."
    )


def _max_deletes(value: object) -> int | str:
    hint = 'a whole number, or a share such as "20%"'
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise problem("wrong-type", "must be a number or a percentage", hint)
    if isinstance(value, int) and value < 0:
        raise problem("out-of-range", f"must be at least 0, found {value}", hint)
    if isinstance(value, str) and not re.fullmatch(r"(100|[1-9]?[0-9])%", value):
        raise problem("bad-value", f"must be a number or a percentage, found `{printable(value)}`", hint)
    return value


class Guards(Strict):
    """What an apply may delete without being asked twice."""

    max_deletes: Annotated[
        int | str,
        PlainValidator(_max_deletes),
        WithJsonSchema(
            {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(100|[1-9]?[0-9])%$"}]}
        ),
    ] = Field(10, description="How many sandboxes one apply may delete or replace: a number, or a share such as 20%.")
    allow_empty: bool = Field(False, description="Whether a fleet without any Sandbox may delete all that there are.")

    def most_deletes(self, sandboxes: int) -> int:
        """How many of ``sandboxes`` one apply may delete; a share is rounded down."""
        if isinstance(self.max_deletes, int):
            return self.max_deletes
        return sandboxes * int(self.max_deletes.removesuffix("%")) // 100


class AllowedSecret(Strict):
    """A secret that sandboxes may be given. As plain text, ``env:NAME`` or ``file:PATH``, it is for git's alone."""

    ref: SecretSource = Field(description="What secretRefs may name, word for word: env:NAME or file:PATH.")
    profiles: Items[Name] | None = Field(
        None, min_length=1, description="Only for sandboxes of these Profiles; left out, for git's sandboxes of any."
    )
    consumers: Items[ConsumerName] | None = Field(
        None, min_length=1, description="Only for these consumers, ACTOR/PROJECT; left out, for git's sandboxes of any."
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(SOURCE_PATTERN[1:-1], value):
            raise problem("literal-secret", "must say where the secret is, never the secret", "env:NAME or file:PATH")
        return {"ref": value}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        bound = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [{"type": "string", "pattern": SOURCE_PATTERN}, bound]}

    def permits(self, profile: str, consumer: str | None, *, imperative: bool) -> bool:
        """Whether a sandbox of this profile and consumer may have it; an imperative one only where both are named."""
        if imperative and (self.profiles is None or self.consumers is None):
            return False
        return (self.profiles is None or profile in self.profiles) and (
            self.consumers is None or consumer in self.consumers
        )


class Secrets(Strict):
    """Which secrets the fleet's sandboxes may ask for."""

    allow: Items[AllowedSecret] = Field(
        (), description="Which: as env:NAME or file:PATH for git's sandboxes alone, or with the keys below."
    )

    def permits(self, source: str, profile: str, consumer: str | None, *, imperative: bool) -> bool:
        """Whether a sandbox may be given what ``source`` names. The one place where that is decided."""
        return any(one.permits(profile, consumer, imperative=imperative) for one in self.allow if one.ref == source)


class Api(Strict):
    """What requests over the HTTP API may use of the server."""

    repo_roots: Items[RepoLocation] = Field(
        (),
        description="URLs and folders; inputs.repo of a request may be one, or be below one. Without any, only the "
        "fleet's own repository.",
    )


class FleetSpec(Strict):
    """The repository's own settings."""

    state_hub: StateHub | None = Field(None, description="Where lifecycle events are sent; left out, nowhere.")
    guards: Guards = Field(default_factory=Guards, description="What an apply may delete without being asked twice.")
    secrets: Secrets = Field(default_factory=Secrets, description="Which secrets the fleet's sandboxes may ask for.")
    api: Api = Field(default_factory=Api, description="What requests over the HTTP API may use of the server.")


class Fleet(Manifest):
    """The repository's own settings. A fleet has exactly one, in sandboxer.yaml at its root."""

    kind: Literal["Fleet"]
    spec: FleetSpec = Field(default_factory=FleetSpec, description="The repository's own settings.")


# --- Host


class Capacity(Strict):
    """How much a host takes."""

    sandboxes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="How many sandboxes at most; left out, any."
    )


class HostSpec(Strict):
    """A machine that sandboxes live on, and the way there."""

    connection: Connection = Field("ssh", description="ssh, or local: this machine itself, without SSH.")
    address: Address | None = Field(
        None, validate_default=True, description="A name or IP address, or an alias of ~/.ssh/config. Needed for ssh."
    )
    port: TcpPort | None = Field(None, description="The SSH port; else ssh_config's, else 22.")
    user: User | None = Field(None, description="Who to log in as; else ssh_config's, else the local user.")
    identity_file: Line | None = Field(None, description="The private key to use; else the agent's, else ssh_config's.")
    host_key: HostKey | None = Field(None, description="The host's public key, pinned; else known_hosts must have it.")
    root: RootPath = Field("/tmp/sandboxer", description="The directory on the host that holds all sandboxes.")  # noqa: S108
    runtime: Literal["docker", "podman", "auto"] = Field("auto", description="The engine; auto prefers Docker.")
    compose_command: Literal["docker compose", "docker-compose", "podman compose", "podman-compose"] | None = Field(
        None, description="The Compose to use; else the one that is found."
    )
    capacity: Capacity = Field(default_factory=Capacity, description="How much the host takes.")
    cordon: bool = Field(False, description="Whether new sandboxes stay away. Those that live here stay.")
    drain: bool = Field(False, description="Whether the sandboxes here move to other hosts.")

    @field_validator("address")
    @classmethod
    def _address_for_ssh(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("connection") == "ssh":
            raise problem("missing-key", "is needed for `connection: ssh`", "add `address`, or say `connection: local`")
        return value

    @field_validator("address", "port", "user", "identity_file", "host_key")
    @classmethod
    def _nothing_for_local(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("connection") == "local":
            raise problem("conflict", "has no meaning with `connection: local`", "remove it, or say `connection: ssh`")
        return value


class Host(Manifest):
    """A machine that sandboxes live on."""

    kind: Literal["Host"]
    spec: HostSpec = Field(description="How to reach the machine, and what it may be used for.")


# --- Extension


class Capabilities(Strict):
    """What an extension can do. Nothing here has a default: it says so, or it cannot."""

    isolation: Items[Isolation] = Field(min_length=1, description="The kinds of isolation that it gives.")
    scopes: Items[Scope] = Field(min_length=1, description="How long its sandboxes may live.")
    connections: Items[Connection] = Field(min_length=1, description="The ways to a host that it works over.")
    runtimes: Items[Runtime] = Field(min_length=1, description="The engines that it drives.")
    operations: Items[Operation] = Field(min_length=1, description="What it can be asked to do.")


class ExtensionSpec(Strict):
    """A backend: the code that makes sandboxes, and what it can do."""

    implementation: Line = Field(description="Its name in the entry-point group sandboxer.extensions.")
    capabilities: Capabilities = Field(description="What it can do.")
    setup_schema: dict[str, Any] | None = Field(
        None, description="A JSON Schema of the `setup` that its profiles may have; left out, none may have any."
    )


class Extension(Manifest):
    """A backend that makes sandboxes, described."""

    kind: Literal["Extension"]
    spec: ExtensionSpec = Field(description="The code behind it, and what it can do.")
