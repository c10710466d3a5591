"""Errors that Sandboxer raises on purpose.

Catch the branch of the tree that you can act on::

    SandboxerError                 base class: a message, and a hint that says what to do
    ├── UsageError                 the command line or a call of the library is wrong
    │   ├── SandboxNotFound        no sandbox has that name or ID
    │   ├── NameTaken              a sandbox with that name or ID exists
    │   ├── KeyReused              the idempotency key belongs to a different request
    │   └── UnknownName            a selector of a plan names nothing; carries the selector
    ├── PlanRefused                a saved plan that is damaged, or that approves something else
    ├── ManifestError              manifests with findings; carries the diagnostics
    ├── SourceError                a git repository, revision or file that cannot be read
    │   ├── FleetTooLarge          the fleet exceeds what one run may read
    │   └── InputUnavailable       the input repository of a sandbox cannot be read
    ├── ExtensionError             an extension that is missing, duplicated, or not what it claims to be
    ├── HostError                  an error on or about one host; carries its name
    │   ├── HostUnreachable        no connection, or the connection was lost
    │   │   └── HostKeyRefused     the host's key is unknown or has changed
    │   ├── CommandTimeout         a command exceeded its time limit
    │   ├── OutputTooLarge         a command exceeded its output limit
    │   └── ObservationIncomplete  the host answered, but not in full
    ├── HubError                   State Hub did not accept what it was sent
    └── SandboxError               one sandbox could not be changed; carries its name
        ├── CapabilityMissing      its extension does not support what was requested
        ├── ComposeRefused         its compose file requests what a sandbox may not have
        ├── HostNotObserved        not found, but possibly on a host that could not be observed in full
        ├── SandboxLocked          another client holds its lock
        ├── StaleChange            it has changed since it was planned
        └── ProvisionFailed        the engine could not create, change or remove it

Foreign exceptions never leave ``adapters/``: each adapter maps those of its library onto these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.errors.cause import Cause
    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.errors.remedy import Remedy


class SandboxerError(Exception):
    """The base class: ``message`` says what is wrong and where, ``hint`` what to do about it (may be empty).

    ``remedy`` is the same as a code, for interfaces (terminal, API, library) that word it differently.
    """

    def __init__(self, message: str, *, hint: str = "", remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.remedy = remedy


class UsageError(SandboxerError):
    """A wrong command line, or a wrong call of the library."""


class SandboxNotFound(UsageError):
    """No sandbox has that name or ID."""


class NameTaken(UsageError):
    """A sandbox with that name or ID exists already."""


class KeyReused(UsageError):
    """The idempotency key belongs to a different request."""


class UnknownName(UsageError):
    """A selector of a plan names nothing. ``selector`` is the field of the planner's options, such as ``targets``."""

    def __init__(self, selector: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.selector = selector


class PlanRefused(SandboxerError):
    """A saved plan that cannot be applied: damaged, in another format, or for another fleet or other manifests.

    ``line`` and ``column`` count from 1 where the error is at one position in the file, and are 0 otherwise.
    """

    def __init__(
        self, message: str, *, hint: str = "", remedy: Remedy | None = None, line: int = 0, column: int = 0
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.line = line
        self.column = column


class ManifestError(SandboxerError):
    """Manifests that cannot be used. ``diagnostics`` holds all findings, errors and warnings."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        errors = sum(1 for d in diagnostics if d.severity == "error")
        super().__init__(f"{errors} error{'' if errors == 1 else 's'} in the manifests")
        self.diagnostics = tuple(diagnostics)


class SourceError(SandboxerError):
    """A git repository, revision or file in it that cannot be read."""


class FleetTooLarge(SourceError):
    """A fleet with more manifests, or larger ones, than one run may read."""


class InputUnavailable(SourceError):
    """The input repository of a sandbox, or its ref, cannot be read."""


class ExtensionError(SandboxerError):
    """An extension that is missing, exists twice, or cannot do what its description claims."""


class HostError(SandboxerError):
    """An error on, or about, one host. ``host`` is its name in the fleet."""

    def __init__(self, host: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.host = host


class HostUnreachable(HostError):
    """No connection to the host, or the connection was lost. Implies nothing about what is on the host."""


class HostKeyRefused(HostUnreachable):
    """The host presented a key that is neither pinned nor known; nothing was sent to it."""


class CommandTimeout(HostError):
    """A remote command did not finish within its time limit."""


class OutputTooLarge(HostError):
    """A remote command exceeded its output limit; its output was not used."""


class ObservationIncomplete(HostError):
    """The host answered, but not in full or not in a form that can be trusted."""


class HubError(SandboxerError):
    """State Hub did not accept what it was sent.

    ``retry_after`` is in seconds, None where a retry is of no use. ``of_this_alone`` is true where the hub rejects what
    was sent and not the sender: it may still accept other things.
    """

    def __init__(
        self, message: str, *, hint: str = "", retry_after: float | None = None, of_this_alone: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.of_this_alone = of_this_alone


class SandboxError(SandboxerError):
    """One sandbox could not be changed as planned. ``sandbox`` is its name, ``cause`` why, where that is known."""

    def __init__(
        self, sandbox: str, message: str, *, hint: str = "", remedy: Remedy | None = None, cause: Cause | None = None
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.sandbox = sandbox
        self.cause = cause


class CapabilityMissing(SandboxError):
    """The extension of a sandbox does not declare the capability that a command needs."""

    def __init__(self, sandbox: str, extension: str, capability: str) -> None:
        words = _CAPABILITY_WORDS.get(capability, capability)
        super().__init__(
            sandbox,
            f'sandbox "{sandbox}": extension {extension} does not support {words}',
            hint=f"see what {extension} declares under spec.capabilities.operations",
        )
        self.extension, self.capability = extension, capability


_CAPABILITY_WORDS = {
    "copy": "copying files",
    "addresses": "forwarding ports",
    "contents": "comparing file contents",
    "exec": "running commands",
}


class ComposeRefused(SandboxError):
    """The compose file requests something that no sandbox may have."""


class HostNotObserved(SandboxError):
    """The sandbox was not found, but may be on a host that could not be observed in full."""


class SandboxLocked(SandboxError):
    """Another client holds the sandbox's lock on its host."""


class StaleChange(SandboxError):
    """The sandbox has changed since it was planned."""


class ProvisionFailed(SandboxError):
    """The engine could not create, change or remove the sandbox; the message includes the engine's output."""


TRANSIENT = (HostError, HostNotObserved, SandboxLocked, StaleChange)
"""What may go well when the same is tried again: a host or a lock was not to be had, or others were at it."""


def extra_hint(extra: str) -> str:
    """Return how to install an extra: from a clone, as ``sandboxer`` on PyPI is another project's package."""
    return (
        f"install the extra `{extra}` from a clone of Sandboxer's repository, in its folder: pip install '.[{extra}]'"
    )
