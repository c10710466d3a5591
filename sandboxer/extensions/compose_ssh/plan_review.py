"""What an apply is expected to do with the services of a sandbox: the stacks of two commits, read without a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ComposeRefused, InputUnavailable
from sandboxer.extensions.compose_ssh.canonical import canonical_model
from sandboxer.extensions.compose_ssh.expected.hardening import hardened, policy_of, variables_of
from sandboxer.extensions.compose_ssh.expected.interpolation import STAND_IN
from sandboxer.extensions.compose_ssh.expected.stack import TREE, expected_stack
from sandboxer.extensions.compose_ssh.expected_operations import Version, expected_operations
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.render import Variables
from sandboxer.model.hidden import Hidden
from sandboxer.model.service_operation import ExpectedServices

if TYPE_CHECKING:
    from sandboxer.extensions.capabilities import ExpectRequest
    from sandboxer.extensions.compose_ssh.expected.stack import ExpectedStack
    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.protocols import HostTransport, InputSource, InputTree


def expected_services(request: ExpectRequest) -> ExpectedServices:
    """Return what an apply is expected to do with each service; see SupportsExpectedServices."""
    podman = request.engine == "podman"
    readings = [
        _Reading(one, one.tree, request.inputs, podman)
        for one in (request.former, request.desired)
        if one is not None and one.tree is not None
    ]
    exact = None if podman or request.local is None else _exact(readings, request.local)
    try:
        found = exact or [reading.evaluated() for reading in readings]
    except (ComposeRefused, InputUnavailable) as error:
        return ExpectedServices(unknown=error.message.splitlines()[0], hint=error.hint)
    versions = [
        Version(one, reading.tree.entries) if one else None for one, reading in zip(found, readings, strict=True)
    ]
    new = versions[-1]
    if new is None or (request.former is not None and versions[0] is None):
        which = "the applied compose files" if new is not None else "the compose files"
        return ExpectedServices(unknown=f"{which} cannot be evaluated without the host")
    record = request.observed.record
    gone = request.observed.found is not None and not request.observed.found.has_workspace
    operations = expected_operations(
        versions[0] if request.former is not None else None,
        new,
        () if request.elsewhere else request.observed.containers,
        recorded={name: one.image_id for name, one in record.services.items()} if record and request.former else {},
        replaced=request.former is None and not request.elsewhere,
        networks=not podman,
        put_back=gone,
    )
    return ExpectedServices(operations, exact=exact is not None)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The stack of one version of a sandbox, by its files."""

    desired: DesiredSandbox
    tree: InputTree
    inputs: InputSource
    podman: bool

    def read(self, path: str) -> bytes:
        """Return a file's content. Raise InputUnavailable."""
        return self.inputs.read(self.tree, path)

    def stack(self) -> ExpectedStack:
        """Return the stack as its files describe it. Raise ComposeRefused, InputUnavailable."""
        compose = self.desired.profile.spec.compose
        return expected_stack(
            {path: self.read(path) for path in compose.files},
            self.read,
            self.tree.entries,
            variables_of(self.desired),
            compose.profiles,
            sandbox=self.desired.name,
            project=project_name(self.desired.name, self.desired.id),
        )

    def evaluated(self) -> Hardened | None:
        """Return the stack as hardened, by Sandboxer's own reading; None if it is not known."""
        return hardened(self.stack(), self.desired, self.read, podman=self.podman).hardened

    def canonical(self, local: HostTransport) -> Hardened | None:
        """Return the stack as hardened, by the reading of this machine's Compose; None without one."""
        compose = self.desired.profile.spec.compose
        values = variables_of(self.desired)
        hidden = {name: Hidden(STAND_IN + name if value is None else value) for name, value in values.items()}
        model: dict[str, Any] | None = canonical_model(
            local,
            self.stack().report,
            Variables(hidden, {}).to_dotenv(),
            compose.files,
            compose.profiles,
            project=project_name(self.desired.name, self.desired.id),
            tree=TREE,
        )
        return harden(model, policy_of(self.desired, self.read, podman=False)) if model is not None else None


def _exact(readings: list[_Reading], local: HostTransport) -> list[Hardened | None] | None:
    """Return the stacks by this machine's Compose, if it read all of them: two readers may differ in their words."""
    found: list[Hardened | None] = []
    for reading in readings:
        try:
            one = reading.canonical(local)
        except (ComposeRefused, InputUnavailable):
            return None
        if one is None:
            return None
        found.append(one)
    return found
