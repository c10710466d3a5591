"""The extension under test, as the documents of a fleet describe it, and the host that it is tested on.

This is the only module of the suite that uses layers above the extensions, as the program's wiring does.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.adapters.local import LocalTransport
from sandboxer.adapters.transports import Transports
from sandboxer.errors import ManifestError, UsageError
from sandboxer.extensions.conformance.inputs import FIRST, PWNED, FolderInputs
from sandboxer.extensions.registry import build_registry
from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden
from sandboxer.model.manifest import Host
from sandboxer.model.protocols import Revision
from sandboxer.model.request import SandboxRequest
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named
from sandboxer.profiles.loader import load
from sandboxer.profiles.resolve import resolve, with_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.extensions.base import Extension
    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.model.documents import Manifests
    from sandboxer.model.manifest import Extension as Description
    from sandboxer.model.manifest import Profile
    from sandboxer.model.protocols import HostTransport

API = "sandboxer.dev/v1"
SECRET = "CONFORMANCE_SECRET"  # noqa: S105 - a name
SECRET_VALUE = f"conformance-secret-$(touch {PWNED})-7c1f"
ENV_VALUE = f"conformance-env '\"$(touch {PWNED})-51ab"
MOST_BYTES = 1024 * 1024


@dataclass(slots=True)
class Subject:
    """An extension, the profile that uses it, and the host that it is tested on.

    ``documents`` are the fleet's Extensions, Profiles and Hosts. ``backend`` is the class under test, None for the
    installed one that the description names. ``host`` is None for this machine with a temporary root.
    """

    folder: Path
    documents: list[dict[str, Any]]
    profile: str
    host: Host | None = None
    backend: Extension | None = None
    model: Profile = field(init=False)
    description: Description = field(init=False)
    inputs: FolderInputs = field(init=False)

    def __post_init__(self) -> None:
        manifests = self.manifests("conformance")
        self.model = manifests.profiles[self.profile]
        self.description = manifests.extensions[self.extension]
        source = self.folder / self.model.spec.workspace.path
        self.inputs = FolderInputs(source if source.is_dir() else self.folder)
        self.backend = self.backend or build_registry(manifests.extensions).get(self.extension)

    @property
    def extension(self) -> str:
        """The extension's name."""
        return self.model.spec.extension

    def manifests(self, fleet: str, **sandboxes: Mapping[str, Any]) -> Manifests:
        """Return the manifests of a fleet of this name, with these sandboxes. Raise ManifestError."""
        own = [one for one in self.documents if one["kind"] != "Host"]
        spec = {"secrets": {"allow": [f"env:{SECRET}"]}}
        documents = [_document("Fleet", fleet, spec), *own]
        documents.append(self.host.model_dump(mode="json", by_alias=True) if self.host else _local_host())
        documents += [_document("Sandbox", name, {"profile": self.profile, **one}) for name, one in sandboxes.items()]
        manifests = load({"sandboxer.yaml": yaml.safe_dump_all(documents).encode()})
        if not manifests.ok:
            raise ManifestError(manifests.diagnostics)
        return manifests

    def fleet(self, name: str, **sandboxes: Mapping[str, Any]) -> Fleet:
        """Return a fleet, ready to be planned; each sandbox has an environment and a secret that a shell misreads."""
        given = {key: {**_inputs(), **one} for key, one in sandboxes.items()}
        return resolve(
            self.manifests(name, **given),
            Revision({}),
            self.inputs,
            lambda one: SecretValue(one.name, one.from_, present=True, value=Hidden(SECRET_VALUE)),
        )

    def requested(self, fleet: str, name: str) -> DesiredSandbox:
        """Return a sandbox as somebody requests it, without git."""
        request = SandboxRequest.new(name, {"profile": self.profile, **_inputs()}, {}, by="the conformance suite")
        return with_request(self.fleet(fleet, **{name: {}}), request, self.inputs).sandboxes[name]

    def connect(self) -> HostTransport:
        """Return a new transport to the host."""
        return Transports(self.folder).to(self.host) if self.host else LocalTransport("here")

    @contextmanager
    def root(self) -> Iterator[str]:
        """Yield the host's root: of this machine a temporary one, which is removed at the end."""
        if self.host:
            yield self.host.spec.root
            return
        folder = Path(tempfile.mkdtemp(prefix="sandboxer-conformance-"))
        try:
            yield str(folder / "root of 'sandboxes'")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def read_subject(path: Path, *, profile: str = "", host: str = "", backend: Extension | None = None) -> Subject:
    """Return the subject that a fleet's folder, or one file of documents, describes.

    Raise UsageError, ManifestError or ExtensionError if that is not one.
    """
    files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="name the folder of a fleet")
    documents = [one for file in files for one in _documents(file)]
    profiles = [one["metadata"]["name"] for one in documents if one["kind"] == "Profile"]
    hosts = {one["metadata"]["name"]: one for one in documents if one["kind"] == "Host"}
    if not profile and len(profiles) != 1:
        raise UsageError(f"{path} has {len(profiles)} profiles", hint="name one with --profile")
    if profile and profile not in profiles:
        hint = did_you_mean(profile, profiles) or "add a Profile manifest first"
        raise UsageError(f"{path} has no {named('profile', profile)}", hint=hint)
    if host and host not in hosts:
        hint = did_you_mean(host, hosts) or "add a Host manifest first"
        raise UsageError(f"{path} has no {named('host', host)}", hint=hint)
    model = Host.model_validate(hosts[host]) if host else None
    folder = path if path.is_dir() else path.parent
    return Subject(folder, documents, profile or profiles[0], model, backend)


def fleet_name() -> str:
    """Return the name of a fleet that nobody else has."""
    return f"conformance-{secrets.token_hex(4)}"


def _documents(file: Path) -> list[dict[str, Any]]:
    """Return the Extensions, Profiles and Hosts in a file; nothing if the file is not valid YAML."""
    try:
        found = list(yaml.safe_load_all(file.read_bytes()[:MOST_BYTES]))
    except yaml.YAMLError:
        return []
    kinds = ("Extension", "Profile", "Host")
    return [one for one in found if isinstance(one, dict) and one.get("apiVersion") == API and one.get("kind") in kinds]


def _inputs() -> dict[str, Any]:
    """Return what a Sandbox says of its input, and an environment and a secret that a shell misreads."""
    return {
        "inputs": {"repo": ".", "ref": FIRST},
        "env": {"CONFORMANCE_ENV": ENV_VALUE},
        "secretRefs": [{"name": SECRET, "from": f"env:{SECRET}"}],
    }


def _local_host() -> dict[str, Any]:
    return _document("Host", "here", {"connection": "local"})


def _document(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
