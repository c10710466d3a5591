"""The models of the manifests: Fleet, Host, Profile, Extension and Sandbox.

Keys are camelCase in YAML and snake_case here. Editors show the descriptions of the fields: they end up in
``schemas/``. What needs two documents to check (a reference, a TTL against its profile) is not checked here.
"""

from __future__ import annotations

from sandboxer.model.fleet_manifests import (
    Capabilities,
    Capacity,
    Extension,
    ExtensionSpec,
    Fleet,
    FleetSpec,
    Guards,
    Host,
    HostSpec,
    Secrets,
    StateHub,
)
from sandboxer.model.metadata import API_VERSION, Manifest, Metadata
from sandboxer.model.sandbox_manifests import (
    Compose,
    Consumer,
    Inputs,
    Network,
    Placement,
    Profile,
    ProfilePlacement,
    ProfileSpec,
    Reachability,
    ReachablePort,
    Readiness,
    Resources,
    Sandbox,
    SandboxMetadata,
    SandboxSpec,
    SecretRef,
    SyncPolicy,
    Ttl,
    Workspace,
)

__all__ = [
    "API_VERSION",
    "KINDS",
    "AnyManifest",
    "Capabilities",
    "Capacity",
    "Compose",
    "Consumer",
    "Extension",
    "ExtensionSpec",
    "Fleet",
    "FleetSpec",
    "Guards",
    "Host",
    "HostSpec",
    "Inputs",
    "Manifest",
    "Metadata",
    "Network",
    "Placement",
    "Profile",
    "ProfilePlacement",
    "ProfileSpec",
    "Reachability",
    "ReachablePort",
    "Readiness",
    "Resources",
    "Sandbox",
    "SandboxMetadata",
    "SandboxSpec",
    "SecretRef",
    "Secrets",
    "StateHub",
    "SyncPolicy",
    "Ttl",
    "Workspace",
]

AnyManifest = Fleet | Host | Profile | Extension | Sandbox
KINDS: dict[str, type[AnyManifest]] = {
    "Fleet": Fleet,
    "Host": Host,
    "Profile": Profile,
    "Extension": Extension,
    "Sandbox": Sandbox,
}
