"""ext.compose-ssh: sandboxes as compose projects, made over one conversation with the host's shell."""

# What changes a host is imported when something is changed: a plan needs none of it.

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.look import look_command, read_look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.base import Question, Work
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Look
    from sandboxer.model.record import Record
    from sandboxer.model.seams import HostTransport


class ComposeSsh:
    """Docker Compose and podman-compose on any host with a shell."""

    def probe(self, transport: HostTransport, question: Question) -> Look:
        """The whole look at one host; see the Extension protocol."""
        command, nonce = look_command(question)
        return read_look(question, nonce, transport.run(command))

    def provision(self, work: Work, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Makes the sandbox or brings it to what is desired; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.provision import provision

        return provision(work, desired, fresh=fresh)

    def wait_ready(self, work: Work, record: Record, timeout: float) -> Mapping[str, str]:
        """Waits until every recorded service is up or ended well; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.provision import wait_ready

        return wait_ready(work, record, timeout)

    def teardown(self, work: Work, *, tombstone: str | None = None) -> None:
        """Removes everything of the sandbox, its record last; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.teardown import teardown

        teardown(work, tombstone=tombstone)
