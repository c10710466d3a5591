"""Every error that Sandboxer raises on purpose.

The tree; a caller catches the branch that it can act on::

    SandboxerError                 what went wrong, and a hint that says what to do
    ├── UsageError                 the command line or the call is wrong
    │   ├── SandboxNotFound        there is no sandbox of that name or id
    │   ├── NameTaken              there is one of that name already
    │   └── KeyReused              something else was asked for with that key
    ├── PlanRefused                a saved plan that is damaged, or that approves something else
    ├── ManifestError              manifests with findings; carries the diagnostics
    ├── SourceError                a git repository or revision that cannot be read
    │   └── InputUnavailable       the repository that a sandbox takes as input
    ├── ExtensionError             an extension that is missing, doubled or not what it claims
    ├── HostError                  something on or about one host; carries its name
    │   ├── HostUnreachable        no connection, or it went away
    │   │   └── HostKeyRefused     the host's key is unknown or another one
    │   ├── CommandTimeout         a command ran past its limit
    │   ├── OutputTooLarge         a command printed more than its limit
    │   └── ObservationIncomplete         the host answered, but not in full
    ├── HubError                   State Hub did not take what it was sent
    └── SandboxError               one sandbox could not be changed; carries its name
        ├── ComposeRefused         its compose file asks for what a sandbox may not have
        ├── HostNotObserved            it was not found, and may be on a host that did not answer in full
        ├── SandboxLocked          another client holds its lock
        ├── StaleChange            it is not as the plan saw it
        └── ProvisionFailed        the engine could not make it as asked

Foreign exceptions never leave ``adapters/``: each adapter maps its library's onto these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.diagnostic import Diagnostic


class SandboxerError(Exception):
    """Base of all: ``message`` says what is wrong and where, ``hint`` what to do about it (may be empty)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SandboxerError):
    """The command line, or a call of the library, does not make sense."""


class SandboxNotFound(UsageError):
    """There is no sandbox of that name or id."""


class NameTaken(UsageError):
    """There is a sandbox of that name, or with that id, already."""


class KeyReused(UsageError):
    """What is asked for has the key of something else that was asked for."""


class PlanRefused(SandboxerError):
    """A saved plan that cannot be applied: damaged, of another format or fleet, or of other manifests.

    ``line`` and ``column`` count from 1 where a place in the file is meant, and are 0 else.
    """

    def __init__(self, message: str, *, hint: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class ManifestError(SandboxerError):
    """Manifests that cannot be used. ``diagnostics`` holds every finding, errors and warnings."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        errors = sum(1 for d in diagnostics if d.severity == "error")
        super().__init__(f"{errors} error{'' if errors == 1 else 's'} in the manifests")
        self.diagnostics = tuple(diagnostics)


class SourceError(SandboxerError):
    """A git repository, revision or file in it that cannot be read."""


class FleetTooLarge(SourceError):
    """A fleet has more manifests, or more in them, than one run may read."""


class InputUnavailable(SourceError):
    """The input repository of a sandbox, or its ref, cannot be had."""


class ExtensionError(SandboxerError):
    """An extension that is not there, is there twice, or cannot do what its description claims."""


class HostError(SandboxerError):
    """Something on, or about, one host. ``host`` is its name in the fleet."""

    def __init__(self, host: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.host = host


class HostUnreachable(HostError):
    """There is no connection to the host, or it went away. Says nothing about what is on it."""


class HostKeyRefused(HostUnreachable):
    """The host showed a key that is neither pinned nor known; nothing was sent to it."""


class CommandTimeout(HostError):
    """A remote command did not end within its time limit."""


class OutputTooLarge(HostError):
    """A remote command printed more than its limit; what it printed was not used."""


class ObservationIncomplete(HostError):
    """The host answered, but not in full or not in a form that can be trusted."""


class HubError(SandboxerError):
    """State Hub did not take something.

    ``retry_after`` is in seconds, None where trying again now is of no use. ``of_this_alone`` says that what was sent
    is refused and not the sender: other things may still be taken.
    """

    def __init__(
        self, message: str, *, hint: str = "", retry_after: float | None = None, of_this_alone: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.of_this_alone = of_this_alone


class SandboxError(SandboxerError):
    """One sandbox could not be changed as planned. ``sandbox`` is its name."""

    def __init__(self, sandbox: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sandbox = sandbox


class ComposeRefused(SandboxError):
    """The compose file asks for something that no sandbox may have."""


class HostNotObserved(SandboxError):
    """The sandbox was not found, and may be on a host that did not answer in full."""


class SandboxLocked(SandboxError):
    """Another client holds the sandbox's lock on its host."""


class StaleChange(SandboxError):
    """The sandbox is no longer as the plan saw it."""


class ProvisionFailed(SandboxError):
    """The engine could not make, change or remove the sandbox; the message carries its words."""


TRANSIENT = (HostError, HostNotObserved, SandboxLocked, StaleChange)
"""What may go well when the same is tried again: a host or a lock was not to be had, or others were at it."""


def extra_hint(extra: str) -> str:
    """Return how to install an extra: from a clone, for ``sandboxer`` on PyPI is another project's package."""
    return (
        f"install the extra `{extra}` from a clone of Sandboxer's repository, in its folder: pip install '.[{extra}]'"
    )
