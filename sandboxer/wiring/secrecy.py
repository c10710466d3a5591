"""The last door before a log: what a run knows to be hidden does not pass, whoever wrote the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.hidden import SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.wiring.run import Run

_SHORT = 3


def without_values(run: Run, identifier: str, text: str) -> str:
    """The text without any secret of the sandbox with this id, and without its environment's values.

    An environment value of up to three characters, such as ``1``, would blank out half of a text, and stays. Without an
    id it is a text about no sandbox in particular, and all secrets are looked for.
    """
    fleet: Fleet | None = run.__dict__.get("fleet")  # a cached property: what was not read yet cannot be told
    if fleet is None or not text:
        return text
    about = [one for one in fleet.sandboxes.values() if identifier in ("", one.id)]
    values = {*_secrets(about), *(_environment(about) if identifier else ())}
    for plain in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(plain, SHOWN)
    return text


def _secrets(sandboxes: Iterable[DesiredSandbox]) -> Iterable[str]:
    return (secret.value.reveal() for one in sandboxes for secret in one.secrets if secret.value is not None)


def _environment(sandboxes: Iterable[DesiredSandbox]) -> Iterable[str]:
    values = (value.reveal() for one in sandboxes for value in one.env.values())
    return (value for value in values if len(value) > _SHORT)
