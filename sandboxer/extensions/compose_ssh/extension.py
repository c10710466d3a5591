"""ext.compose-ssh: sandboxes as compose projects, managed over one session with the host's shell."""

# Modules that change a host are imported when something is changed: a plan needs none of them.

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.observe import observe_command, read_observation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.record import Record


class ComposeSsh:
    """Backend for Docker Compose and podman-compose on any host with a shell."""

    def probe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Observe one host; see the Extension protocol."""
        command, nonce = observe_command(request)
        return read_observation(request, nonce, transport.run(command))

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Create the sandbox, or bring it to what is desired; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.provision import provision

        return provision(operation, desired, fresh=fresh)

    def wait_ready(self, operation: Operation, record: Record, timeout: float) -> Mapping[str, str]:
        """Wait until every recorded service is up or has ended well; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.provision import wait_ready

        return wait_ready(operation, record, timeout)

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        """Remove everything of the sandbox, its record last; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.teardown import teardown

        teardown(operation, tombstone=tombstone)
