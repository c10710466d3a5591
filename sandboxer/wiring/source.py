"""A fleet as it is in git: its manifests, their commit, and the desired sandboxes. Contacts no host."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ManifestError
from sandboxer.extensions.registry import build_registry
from sandboxer.model.request import FILE
from sandboxer.model.run_events import FleetRead, ignore
from sandboxer.profiles.loader import load
from sandboxer.wiring.once import once
from sandboxer.wiring.secrecy import Redaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sandboxer.adapters.git import FleetRepository
    from sandboxer.adapters.git_inputs import GitInputs
    from sandboxer.extensions.base import Extension
    from sandboxer.extensions.registry import Registry
    from sandboxer.model.desired import Fleet, SecretValue
    from sandboxer.model.documents import Manifests
    from sandboxer.model.manifest import SecretRef
    from sandboxer.model.protocols import InputSource, InputTree, Revision
    from sandboxer.model.request import SandboxRequest
    from sandboxer.model.run_events import Sink


@dataclass(frozen=True, slots=True)
class FleetSource:
    """The source of a fleet's manifests; each of its methods reads at most once.

    ``root`` is the directory of ``sandboxer.yaml``; ``revision`` a git revision to read the manifests from, None for
    the work tree. ``read_secrets`` is for plans that are applied at once: a plan to display never reads a secret.
    Without ``find_inputs`` no sandbox's input is resolved, and nothing can be planned. With ``request``, an imperative
    sandbox is added to git's, and only its input is resolved: with ``remote`` one of ``api.repoRoots``. ``emit``
    receives a FleetRead once the manifests are read.
    """

    root: Path
    revision: str | None = None
    read_secrets: bool = False
    find_inputs: bool = True
    request: SandboxRequest | None = None
    remote: bool = False
    emit: Sink = ignore
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @once
    def repository(self) -> FleetRepository:
        """Return the repository of the manifests."""
        from sandboxer.adapters.git import FleetRepository

        return FleetRepository(self.root)

    @once
    def inputs(self) -> GitInputs:
        """Return the repositories that sandboxes take their files from."""
        from sandboxer.adapters.git_inputs import GitInputs

        return GitInputs(self.root, revision=self.revision)

    @once
    def files(self) -> Revision:
        """Return the manifests' files and their commit. Raise SourceError."""
        return self.repository().read(self.revision)

    @once
    def manifests(self) -> Manifests:
        """Return the manifests with their findings. Raise SourceError if they cannot be read at all."""
        files = self.repository().files(self.revision)
        found = load({**files, FILE: self.request.manifest()} if self.request else files)
        if found.fleet is not None:
            self.emit(FleetRead(found.fleet.metadata.name, Redaction(self._known)))
        return found

    def sound(self) -> Manifests:
        """Return the manifests if they have no errors. Raise ManifestError otherwise."""
        found = self.manifests()
        if not found.ok:
            named = self.request.named if self.request else str
            raise ManifestError([replace(one, message=named(one.message)) for one in found.diagnostics])
        return found

    @once
    def fleet(self) -> Fleet:
        """Return the desired fleet, each input's commit resolved. Raise ManifestError, SourceError, UsageError."""
        from sandboxer.profiles.resolve import resolve, with_request

        former = [load(revision.files).models() for revision in self.repository().history(self.revision)]
        inputs = self.inputs() if self.find_inputs and self.request is None else None
        secret = partial(self._secret, read=self.read_secrets)
        fleet = resolve(self.sound(), self.files(), inputs, secret, former)
        if self.request is not None:
            requested = self._request_inputs()
            return self._judged(with_request(fleet, self.request, requested), requested)
        return self._judged(fleet, inputs) if inputs is not None else fleet

    @once
    def fleet_offline(self) -> Fleet:
        """Return the desired fleet as far as it can be resolved without a network: for a check of its inputs.

        Raise ManifestError, SourceError.
        """
        from sandboxer.adapters.git_inputs import GitInputs
        from sandboxer.profiles.resolve import resolve

        inputs = GitInputs(self.root, revision=self.revision, offline=True)
        return self._judged(resolve(self.sound(), self.files(), inputs, partial(self._secret, read=False)), inputs)

    @once
    def fleet_with_secrets(self) -> Fleet:
        """Return a fleet that was resolved without secrets with them. Raise UsageError if one cannot be read."""
        sandboxes = {
            name: replace(one, secrets=tuple(self._secret(ref, read=True) for ref in one.sandbox.spec.secret_refs))
            for name, one in self.fleet().sandboxes.items()
        }
        return replace(self.fleet(), sandboxes=sandboxes)

    def fleet_name(self) -> str:
        """Return the fleet's name. Raise ManifestError."""
        fleet = self.sound().fleet
        return fleet.metadata.name if fleet else ""

    def has_hub(self) -> bool:
        """Return whether the fleet has a State Hub, reachable or not: unacknowledged events are kept for it."""
        fleet = self.sound().fleet
        return fleet is not None and fleet.spec.state_hub is not None

    @once
    def registry(self) -> Registry:
        """Return the extensions that the fleet's profiles name. Raise ExtensionError."""
        return build_registry(self.sound().extensions)

    @once
    def extensions(self) -> Mapping[str, Extension]:
        """Return the backends that may have sandboxes on the hosts, by name; the first one observes every host."""
        first = self.registry().first
        named = {profile.spec.extension for profile in self.sound().profiles.values()} - {first}
        return {name: self.registry().get(name) for name in (first, *sorted(named))}

    def check_request(self) -> None:
        """Raise InputUnavailable if a remote request's repository is not allowed: before any host is contacted."""
        if self.remote and self.request is not None:
            from sandboxer.adapters.allowed_inputs import check_allowed

            sound = self.sound()
            check_allowed(sound.sandboxes[self.request.name].spec.inputs.repo, sound.fleet, self.root)

    def _judged(self, fleet: Fleet, inputs: InputSource) -> Fleet:
        """Return the fleet with what its backends find wrong in its inputs."""
        if all(desired.tree is None for desired in fleet.sandboxes.values()):
            return fleet
        from sandboxer.adapters.git_inputs import GitInputs
        from sandboxer.wiring.judging import judged

        if isinstance(inputs, GitInputs):
            inputs.prefetch(_first_files(fleet))
        return judged(fleet, self.sound(), self.files().files, self.registry(), inputs)

    def _request_inputs(self) -> InputSource:
        """Return the repositories that a request may take its files from."""
        from sandboxer.adapters.allowed_inputs import AllowedInputs

        return AllowedInputs(self.inputs(), self.sound().fleet, self.root) if self.remote else self.inputs()

    def _secret(self, reference: SecretRef, *, read: bool) -> SecretValue:
        from sandboxer.adapters.secrets import secret_of

        return secret_of(reference, self.root, read=read)

    def _known(self) -> Fleet | None:
        """Return the fleet as far as it is resolved: what was not read yet cannot be printed."""
        return self.kept.get("fleet_with_secrets") or self.kept.get("fleet")


def _first_files(fleet: Fleet) -> Iterator[tuple[InputTree, str]]:
    """Yield the files of the inputs that their backends read first."""
    for desired in fleet.sandboxes.values():
        if desired.tree is not None:
            yield from ((desired.tree, path) for path in desired.needed_files)
