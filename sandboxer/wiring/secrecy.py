"""The last filter before a log: hidden values that a run knows do not pass, whoever wrote the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.redaction import Redactor, is_sensitive_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandboxer.model.desired import DesiredSandbox, Fleet


class Redaction:
    """The filter for texts about the sandboxes of a fleet; ``fleet`` returns it, or None while it is unknown."""

    def __init__(self, fleet: Callable[[], Fleet | None]) -> None:
        self._fleet = fleet
        self._made: dict[str, tuple[Fleet, Redactor]] = {}

    def __call__(self, identifier: str, text: str) -> str:
        """Return the text without any secret of the sandbox with this id, and without its sensitive variables' values.

        ``model.redaction`` defines what counts as one. Without an id the text is about no sandbox in particular, and
        all secrets are removed.
        """
        fleet = self._fleet()
        if fleet is None or not text:
            return text
        known = self._made.get(identifier)
        if known is None or known[0] is not fleet:
            about = [one for one in fleet.sandboxes.values() if identifier in ("", one.id)]
            redactor = Redactor(_secrets(about), _environment(about) if identifier else ())
            known = self._made[identifier] = fleet, redactor
        return known[1].redact(text)


def _secrets(sandboxes: Iterable[DesiredSandbox]) -> Iterable[str]:
    return (secret.value.reveal() for one in sandboxes for secret in one.secrets if secret.value is not None)


def _environment(sandboxes: Iterable[DesiredSandbox]) -> Iterable[str]:
    return (
        value.reveal() for one in sandboxes for name, value in one.env.items() if is_sensitive_name(name, one.sensitive)
    )
