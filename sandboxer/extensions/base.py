"""The contract of a backend: the Extension protocol, with the values that it takes from ``sandboxer.hosts.operation``.

What a backend can do beyond that is in ``sandboxer.extensions.capabilities``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandboxer.hosts.operation import ObserveRequest, Operation, Provenance, Target

if TYPE_CHECKING:
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.record import Record

__all__ = ["REQUIRED_OPERATIONS", "Extension", "ObserveRequest", "Operation", "Provenance", "Target"]


class Extension(Protocol):
    """A backend that manages sandboxes on hosts: what each one must answer.

    An instance is shared by threads and keeps no state between calls. It raises the errors of ``sandboxer.errors``.
    """

    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Observe everything on the host with one command that writes nothing.

        ``observation.observe_host`` does it for what is below the root, and takes a backend's own part into the
        same command. Raise HostUnreachable, CommandTimeout, OutputTooLarge or ObservationIncomplete: then nothing is
        known.
        """

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Create the sandbox, or bring it to what is desired in place; return the record as it was written last.

        Return once it is ready. ``fresh`` starts a new life, for a create or a replace: what the former one left is
        removed first. What another extension created has already been removed. Raise SandboxError on failure.
        """

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        """Remove everything of the sandbox, its record last. Succeed where there is nothing to remove.

        ``tombstone`` is the digest of an expired sandbox's document: it is kept, so that the sandbox does not come back
        by itself.
        """


REQUIRED_OPERATIONS = ("observe", "provision", "teardown")
