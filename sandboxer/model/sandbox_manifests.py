"""The manifests of what runs: Profile and Sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from sandboxer.model.base import Items, Strict, problem
from sandboxer.model.fleet_manifests import Scope
from sandboxer.model.metadata import Labels, Manifest, Metadata, TcpPort
from sandboxer.model.quantity import Duration, Size, format_duration, format_size
from sandboxer.model.text import (
    EnvName,
    GitRef,
    Line,
    Name,
    RelativePath,
    RepoLocation,
    SandboxName,
    SecretSource,
    ServiceName,
    printable,
)


def _distinct_names(names: list[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise problem("duplicate-name", f"contains a duplicate: `{name}`", "use a different name", (index, "name"))
        seen.add(name)


# --- Profile


class Network(Strict):
    """What a sandbox's containers reach, and from where they are reached."""

    egress: Literal["deny", "allow"] = Field(
        "deny", description="`deny`: containers reach only the sandbox's own networks."
    )
    ingress: Literal["loopback", "none"] = Field(
        "loopback", description="`loopback`: publish ports on the host's 127.0.0.1; `none`: publish no ports."
    )


class Workspace(Strict):
    """The files that a sandbox gets."""

    mode: Literal["copy", "none"] = Field(
        "copy",
        description="`copy`: deliver the tracked files of the commit; `none`: only the files that Compose reads.",
    )
    path: RelativePath = Field(".", description="The folder of the input repository to deliver.")


class Compose(Strict):
    """The stack that a sandbox runs."""

    files: Items[RelativePath] = Field(
        ("compose.yaml",), min_length=1, description="Compose files, relative to workspace.path."
    )
    profiles: Items[Line] = Field((), description="The Compose profiles to enable.")
    pull: Literal["missing", "always"] = Field("missing", description="When to pull images.")


class Ttl(Strict):
    """How long a sandbox lives."""

    max: Duration = Field(
        timedelta(hours=24),
        description="The longest time to live that a sandbox may request.",
        json_schema_extra={"default": "24h"},
    )
    default: Duration = Field(
        default_factory=lambda data: min(timedelta(hours=4), data.get("max", timedelta(hours=4))),
        description="The time to live if the sandbox sets none. Default: 4h, or max if that is shorter.",
    )
    clock: Literal["creation", "activity"] = Field(
        "creation", description="When the time to live starts: at creation, or at the last reported activity."
    )

    @field_validator("default")
    @classmethod
    def _within_max(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        most = info.data.get("max", value)
        if value > most:
            text = f"must not be longer than `max`, {format_duration(most)}: found {format_duration(value)}"
            raise problem("out-of-range", text, "lower `default` or raise `max`")
        return value


class Resources(Strict):
    """Ceilings for each service."""

    cpus: Annotated[float, Field(ge=0.01, le=1024)] = Field(
        2.0, description="CPUs of each service; fractions are allowed."
    )
    memory: Size = Field(
        1 << 30, description="Memory of each service, at least 6MiB.", json_schema_extra={"default": "1GiB"}
    )
    pids: Annotated[int, Field(ge=1, le=4_194_304)] = Field(512, description="Processes and threads of each service.")

    @field_validator("memory")
    @classmethod
    def _enough(cls, value: int) -> int:
        if value < 6 << 20:
            raise problem(
                "out-of-range",
                f"must be at least 6MiB: found {format_size(value)}",
                "write at least 6MiB, the minimum of Docker",
            )
        return value


class ProfilePlacement(Strict):
    """The hosts for sandboxes: the first selector that matches a host with capacity."""

    prefer: Items[Labels] = Field(
        (), description="Label selectors, in order of preference. No selector at all matches every host."
    )
    fallback: Items[Labels] = Field((), description="Label selectors to try if no preferred host fits.")


class ReachablePort(Strict):
    """One port of the stack that is reached from outside."""

    name: Name = Field(description="The name of the port.")
    service: ServiceName = Field(description="The service in the compose file.")
    port: TcpPort = Field(description="The port in the container.")


class Reachability(Strict):
    """The ways to reach a sandbox."""

    ports: Items[ReachablePort] = Field((), description="The ports to reach from outside.")

    @field_validator("ports")
    @classmethod
    def _distinct(cls, value: tuple[ReachablePort, ...]) -> tuple[ReachablePort, ...]:
        _distinct_names([port.name for port in value])
        return value


class Readiness(Strict):
    """When a sandbox counts as ready."""

    timeout: Duration = Field(
        timedelta(seconds=120),
        description="How long to wait for the services to be ready.",
        json_schema_extra={"default": "120s"},
    )


_SENSITIVE = (
    "Variables of `env` whose values no plan shows. Those of names such as DB_PASSWORD or API_TOKEN are hidden anyway."
)


class ProfileSpec(Strict):
    """A kind of sandbox: what its sandboxes have in common."""

    extension: Name = Field(description="The Extension that creates these sandboxes.")
    isolation: Name | None = Field(
        None, description="How a sandbox is isolated from its host. Default: the Extension's first kind."
    )
    scope: Scope = Field("ephemeral", description="The lifetime of a sandbox: `ephemeral` ones expire.")
    network: Network = Field(default_factory=Network, description="The egress and ingress of containers.")
    workspace: Workspace = Field(default_factory=Workspace, description="The files that a sandbox gets.")
    compose: Compose = Field(default_factory=Compose, description="The stack that a sandbox runs.")
    ttl: Ttl = Field(default_factory=Ttl, description="How long a sandbox lives.")
    resources: Resources = Field(default_factory=Resources, description="Ceilings for each service.")
    setup: dict[str, Any] = Field({}, description="Settings that the extension defines.")
    placement: ProfilePlacement = Field(
        default_factory=ProfilePlacement, description="Which hosts sandboxes may run on."
    )
    reachability: Reachability = Field(default_factory=Reachability, description="The ways to reach a sandbox.")
    readiness: Readiness = Field(default_factory=Readiness, description="When a sandbox counts as ready.")
    cost_class: Line = Field("self-hosted", description="A free label for what it costs to run.")
    sensitive: Items[EnvName] = Field((), description=_SENSITIVE)


class Profile(Manifest):
    """A kind of sandbox."""

    kind: Literal["Profile"]
    spec: ProfileSpec = Field(description="The common settings of the profile's sandboxes.")


# --- Sandbox


class SandboxMetadata(Metadata):
    """The metadata of a Sandbox."""

    name: SandboxName = Field(description="Unique in the fleet. Must not be 8 hex digits, which would look like an ID.")


class Inputs(Strict):
    """The files that go into a sandbox: those of one commit."""

    repo: RepoLocation = Field(
        ".", description="A path relative to the fleet's root, an https or ssh URL, or user@host:path."
    )
    ref: GitRef = Field(
        "HEAD",
        description="A branch, tag or commit, resolved to a commit by each plan. "
        "In the fleet's own repository, HEAD is the commit that is planned.",
    )


class Placement(Strict):
    """Narrows the profile's placement."""

    hosts: Items[Name] | None = Field(None, min_length=1, description="The only hosts that the sandbox may run on.")


class SecretRef(Strict):
    """A secret that the sandbox is given: where its value is, never the value itself."""

    name: EnvName = Field(description="The name of the secret in the sandbox.")
    from_: SecretSource = Field(
        alias="from", description="Where to read the value: env:NAME or file:PATH. The Fleet must allow it."
    )


class Consumer(Strict):
    """Who uses the sandbox."""

    actor: Literal["adm", "agt", "atm"] = Field(description="adm (administrator), agt (agent) or atm (automation).")
    project: Line = Field(description="The project that uses the sandbox.")


class SyncPolicy(Strict):
    """What apply does automatically."""

    prune: bool = Field(True, description="Delete the sandbox when its manifest is removed from git.")
    self_heal: bool = Field(True, description="Repair drift.")


def _env_value(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise problem("wrong-type", "must be a string or a number", 'quote it, as in "true" or ""')
    if "\0" in value:
        raise problem("bad-value", "must not contain NUL", "remove the NUL character")
    return value


def _instant(value: object) -> datetime:
    hint = "write a date, a time and a zone: 2026-12-01T00:00:00Z"
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise problem("bad-value", f"is not a timestamp: `{printable(value)}`", hint) from None
    elif isinstance(value, datetime):
        moment = value
    else:
        raise problem("wrong-type", "must be a timestamp", hint)
    if moment.tzinfo is None:
        raise problem("bad-value", "has no time zone", hint)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise problem("out-of-range", "is out of range", hint) from None


EnvValue = Annotated[str, BeforeValidator(_env_value), WithJsonSchema({"type": ["string", "number"]})]
Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    PlainSerializer(lambda value: value.isoformat().replace("+00:00", "Z"), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-12-01T00:00:00Z"]}),
]


class SandboxSpec(Strict):
    """One sandbox that the fleet wants."""

    profile: Name = Field(description="The Profile of the sandbox.")
    inputs: Inputs = Field(default_factory=Inputs, description="The files to deliver.")
    ttl: Duration | None = Field(None, description="The time to live. Default: the profile's ttl.default.")
    expires_at: Instant | None = Field(None, description="The time of expiry, instead of ttl.")
    placement: Placement = Field(default_factory=Placement, description="Narrows the profile's placement.")
    env: dict[EnvName, EnvValue] = Field(
        {}, description="Variables for the compose file, used as ${NAME}. Do not put secrets here."
    )
    sensitive: Items[EnvName] = Field((), description=_SENSITIVE)
    secret_refs: Items[SecretRef] = Field((), description="Secrets by reference.")
    consumer: Consumer | None = Field(None, description="The consumer of the sandbox.")
    sync_policy: SyncPolicy = Field(default_factory=SyncPolicy, description="What apply does automatically.")
    suspend: bool = Field(False, description="Pause updates and repairs. The sandbox still expires.")

    @field_validator("expires_at")
    @classmethod
    def _one_end(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is not None and info.data.get("ttl") is not None:
            raise problem("conflict", "cannot be combined with `ttl`", "remove one of the two")
        return value

    @field_validator("secret_refs")
    @classmethod
    def _secrets_apart(cls, value: tuple[SecretRef, ...], info: ValidationInfo) -> tuple[SecretRef, ...]:
        _distinct_names([secret.name for secret in value])
        for index, secret in enumerate(value):
            if secret.name in info.data.get("env", {}):
                text = f"is also set in `env`: `{secret.name}`"
                raise problem("conflict", text, "remove one of the two", (index, "name"))
        return value


class Sandbox(Manifest):
    """One sandbox that the fleet wants."""

    kind: Literal["Sandbox"]
    metadata: SandboxMetadata = Field(description="The name and labels.")
    spec: SandboxSpec = Field(description="The profile, the inputs and the time to live.")
