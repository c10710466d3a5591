"""The last filter before a log: hidden values that a run knows do not pass, whoever wrote the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.wiring.run import Run


def without_values(run: Run, identifier: str, text: str) -> str:
    """Return the text without any secret of the sandbox with this id, and without its environment's values.

    ``model.redaction`` defines what counts as one. Without an id the text is about no sandbox in particular, and all
    secrets are removed.
    """
    fleet: Fleet | None = run.__dict__.get("fleet")  # a cached property: what was not read yet cannot be printed
    if fleet is None or not text:
        return text
    made: dict[str, tuple[Fleet, Redactor]] = run.__dict__.setdefault("_redactors", {})
    known = made.get(identifier)
    if known is None or known[0] is not fleet:
        about = [one for one in fleet.sandboxes.values() if identifier in ("", one.id)]
        known = made[identifier] = fleet, Redactor(_secrets(about), _environment(about) if identifier else ())
    return known[1].redact(text)


def _secrets(sandboxes: Iterable[DesiredSandbox]) -> Iterable[str]:
    return (secret.value.reveal() for one in sandboxes for secret in one.secrets if secret.value is not None)


def _environment(sandboxes: Iterable[DesiredSandbox]) -> Iterable[str]:
    return (value.reveal() for one in sandboxes for value in one.env.values())
