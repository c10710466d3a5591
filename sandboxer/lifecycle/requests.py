"""The request of an imperative sandbox, read from beside its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import SandboxError
from sandboxer.hosts.session import REQUEST_FILE, HostSession
from sandboxer.model.request import SandboxRequest

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation


def request_of(operation: Operation) -> SandboxRequest:
    """Return the request of the sandbox of ``operation``.

    Its lock is held while it is read. Raise SandboxError if the request is gone, and what a HostSession raises.
    """
    with HostSession(operation) as session:
        reply = session.call("show", REQUEST_FILE)
    request = SandboxRequest.parse(operation.id, reply.output) if reply.code == 0 else None
    if request is None or request.name != operation.name:
        message = f"the request of {operation.name} is no longer on {operation.target.host}"
        raise SandboxError(
            operation.name, message, hint=f"run `sandboxer destroy {operation.name}`, and create the sandbox again"
        )
    return request
