"""The suggestion for a name that does not exist: the one that was probably meant, or those that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` was probably meant to be."""
    if len(word) > 80:
        return None
    # Takes some milliseconds to import, and valid manifests never need it.
    from difflib import get_close_matches

    by_folded = {candidate.lower(): candidate for candidate in known}
    match = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[match[0]] if match else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean `x`?``, or the known words where none is close."""
    words = sorted(known)
    if match := nearest(word, words):
        return f"did you mean `{match}`?"
    shown = ", ".join(words[:12]) + (", …" if len(words) > 12 else "")
    return f"choose one of: {shown}" if words else ""
