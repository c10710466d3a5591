"""The manifests that describe a fleet itself: Fleet, Host and Extension."""

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
    RelativePath,
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

Scope = Literal["ephemeral"]
HubFormat = Literal["cloudevents", "progress"]
ExtensionOperation = Literal[
    "observe",
    "provision",
    "teardown",
    "logs",
    "exec",
    "copy",
    "addresses",
    "contents",
    "host_checks",
    "removal_scripts",
    "expected_services",
    "judge",
    "estimate_cost",
    "probe",
    "wait_ready",
]
#: Names in documents from before 0.2: another name for an operation, and one that nothing needs.
FORMER_OPERATIONS = {"probe": "observe", "wait_ready": None}


# --- Fleet


class StateHub(Strict):
    """Where lifecycle events are sent."""

    url: HubUrl = Field(description='An http(s) URL, or the environment variable that holds it: "${STATE_HUB_URL}".')
    token: SecretSource | None = Field(
        None, description="Where to read the token: env:NAME or file:PATH. Never the token itself."
    )
    format: HubFormat = Field("cloudevents", description="The event format. `progress` is for older hubs.")
    # An older hub's name for it, and so spelled as there.
    workstream_id: Line | None = Field(
        None, alias="workstream_id", description="The workstream under which an older hub files the events."
    )


def _max_deletes(value: object) -> int | str:
    hint = 'write a whole number, or a percentage such as "20%"'
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise problem("wrong-type", "must be a number or a percentage", hint)
    if isinstance(value, int) and value < 0:
        raise problem("out-of-range", f"must be at least 0, found {value}", hint)
    if isinstance(value, str) and not re.fullmatch(r"(100|[1-9]?[0-9])%", value):
        raise problem("bad-value", f"must be a number or a percentage, found `{printable(value)}`", hint)
    return value


class Guards(Strict):
    """Limits on what one apply may delete."""

    max_deletes: Annotated[
        int | str,
        PlainValidator(_max_deletes),
        WithJsonSchema(
            {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(100|[1-9]?[0-9])%$"}]}
        ),
    ] = Field(
        10,
        description="The most sandboxes that one apply may delete or replace: a number, or a percentage such as 20%.",
    )
    allow_empty: bool = Field(False, description="Allow a fleet with no Sandbox manifest to delete all its sandboxes.")

    def most_deletes(self, sandboxes: int) -> int:
        """Return how many of ``sandboxes`` one apply may delete; a percentage is rounded down."""
        if isinstance(self.max_deletes, int):
            return self.max_deletes
        return sandboxes * int(self.max_deletes.removesuffix("%")) // 100


class AllowedSecret(Strict):
    """A secret that sandboxes may use. A plain ``env:NAME`` or ``file:PATH`` allows it to sandboxes from git only."""

    ref: SecretSource = Field(description="The reference as secretRefs writes it, exactly: env:NAME or file:PATH.")
    profiles: Items[Name] | None = Field(
        None,
        min_length=1,
        description="Allow only sandboxes of these Profiles. Default: sandboxes in git, of any Profile.",
    )
    consumers: Items[ConsumerName] | None = Field(
        None,
        min_length=1,
        description="Allow only these consumers, as ACTOR/PROJECT. Default: sandboxes in git, of any consumer.",
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(SOURCE_PATTERN[1:-1], value):
            raise problem(
                "literal-secret", "must be a reference to the secret, not its value", "write env:NAME or file:PATH"
            )
        return {"ref": value}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        bound = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [{"type": "string", "pattern": SOURCE_PATTERN}, bound]}

    def permits(self, profile: str, consumer: str | None, *, imperative: bool) -> bool:
        """Return whether a sandbox of this profile and consumer may have it.

        An imperative sandbox may only where the entry names both.
        """
        if imperative and (self.profiles is None or self.consumers is None):
            return False
        return (self.profiles is None or profile in self.profiles) and (
            self.consumers is None or consumer in self.consumers
        )


class Secrets(Strict):
    """The secrets that the fleet's sandboxes may use."""

    allow: Items[AllowedSecret] = Field(
        (),
        description="Allowed references: env:NAME or file:PATH for sandboxes in git only, or the keys below.",
    )

    def permits(self, source: str, profile: str, consumer: str | None, *, imperative: bool) -> bool:
        """Return whether a sandbox may have the secret at ``source``. The only place that decides this."""
        return any(one.permits(profile, consumer, imperative=imperative) for one in self.allow if one.ref == source)


class Api(Strict):
    """The server resources that HTTP API requests may use."""

    repo_roots: Items[RepoLocation] = Field(
        (),
        description="URLs and folders that inputs.repo of a request may equal or be below. If empty, only the "
        "fleet's own repository.",
    )


class FleetSpec(Strict):
    """The settings of the repository."""

    state_hub: StateHub | None = Field(None, description="Where to send lifecycle events. If omitted, none are sent.")
    guards: Guards = Field(default_factory=Guards, description="Limits on what one apply may delete.")
    secrets: Secrets = Field(default_factory=Secrets, description="The secrets that the fleet's sandboxes may use.")
    api: Api = Field(default_factory=Api, description="The server resources that HTTP API requests may use.")


class Fleet(Manifest):
    """The settings of the repository. A fleet has exactly one, in sandboxer.yaml at its root."""

    kind: Literal["Fleet"]
    spec: FleetSpec = Field(default_factory=FleetSpec, description="The settings of the repository.")


# --- Host


class Capacity(Strict):
    """How much a host takes."""

    sandboxes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The most sandboxes on this host. If omitted, no limit."
    )


class HostSpec(Strict):
    """A machine that sandboxes live on, and how to reach it."""

    connection: Name = Field(
        "ssh",
        description="One that an Extension supports. `local` is the machine that Sandboxer runs on, without SSH.",
    )
    address: Address | None = Field(
        None,
        validate_default=True,
        description="A hostname, an IP address or an alias from ~/.ssh/config. Required for ssh.",
    )
    port: TcpPort | None = Field(None, description="The SSH port. Default: from ssh_config, or 22.")
    user: User | None = Field(None, description="The login user. Default: from ssh_config, or the local user.")
    identity_file: Line | None = Field(
        None, description="The private key. Default: keys from the agent, then from ssh_config."
    )
    host_key: HostKey | None = Field(
        None, description="The host's public key, pinned. If omitted, known_hosts must contain it."
    )
    root: RootPath = Field("/tmp/sandboxer", description="The folder on the host that contains all sandboxes.")  # noqa: S108
    runtime: Name = Field(
        "auto", description="The engine, one that an Extension supports: docker or podman. `auto` prefers Docker."
    )
    compose_command: Literal["docker compose", "docker-compose", "podman compose", "podman-compose"] | None = Field(
        None, description="The Compose command. Default: detected on the host."
    )
    capacity: Capacity = Field(default_factory=Capacity, description="The capacity of the host for sandboxes.")
    cordon: bool = Field(False, description="Place no new sandboxes here. Existing ones stay.")
    drain: bool = Field(False, description="Move the sandboxes on this host to other hosts.")

    @property
    def tool(self) -> str | None:
        """The command of the backend's tool, for the backend alone; None if it is to be found on the host."""
        return self.compose_command

    @field_validator("address")
    @classmethod
    def _address_for_ssh(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("connection") == "ssh":
            raise problem(
                "missing-key", "is required for `connection: ssh`", "add `address`, or set `connection: local`"
            )
        return value

    @field_validator("address", "port", "user", "identity_file", "host_key")
    @classmethod
    def _nothing_for_local(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("connection") == "local":
            raise problem(
                "conflict", "must not be set with `connection: local`", "remove the key, or set `connection: ssh`"
            )
        return value


class Host(Manifest):
    """A machine that sandboxes live on."""

    kind: Literal["Host"]
    spec: HostSpec = Field(description="The connection to the machine, and its settings.")


# --- Extension


class Capabilities(Strict):
    """What an extension can do. No field has a default: what is not declared is not supported."""

    isolation: Items[Name] = Field(min_length=1, description="The supported kinds of isolation.")
    scopes: Items[Scope] = Field(min_length=1, description="The supported lifetimes.")
    connections: Items[Name] = Field(min_length=1, description="The supported connections to a host.")
    runtimes: Items[Name] = Field(description="The supported engines. Empty if the extension needs none on a host.")
    operations: Items[ExtensionOperation] = Field(
        min_length=1,
        description="The supported operations. `probe` is an older name of `observe`; `wait_ready` is ignored.",
    )

    @field_validator("operations", mode="after")
    @classmethod
    def _by_their_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = (FORMER_OPERATIONS.get(name, name) for name in value)
        return tuple(dict.fromkeys(name for name in names if name is not None))


class ExtensionSpec(Strict):
    """A backend: the code that makes sandboxes, and what it can do."""

    implementation: Line = Field(description="The name in the entry-point group `sandboxer.extensions`.")
    capabilities: Capabilities = Field(description="The capabilities of the extension.")
    default_files: Items[RelativePath] = Field(
        (), description="Files that an input must have where its profile names none in compose.files."
    )
    unsupported: Items[Line] = Field(
        (), description="Keys of a Profile's or Sandbox's spec, such as `network.egress`, that must not be set for it."
    )
    setup_schema: dict[str, Any] | None = Field(
        None, description="A JSON Schema for `setup` in profiles. If omitted, profiles must not set `setup`."
    )


class Extension(Manifest):
    """The description of a backend."""

    kind: Literal["Extension"]
    spec: ExtensionSpec = Field(description="The implementation and its capabilities.")
