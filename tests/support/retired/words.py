"""The retired words, each with the word that took its place."""

from __future__ import annotations

import re

# In names of code: a name is split at underscores and capitals, and no part may be one of these.
NAMES = {
    **dict.fromkeys(("look", "looks", "looked", "looking", "survey", "sight", "sights", "scene", "witness"), "observe"),
    **dict.fromkeys(("tell", "tells", "telling", "told"), "event, emit, report"),
    **dict.fromkeys(("asked", "asking"), "request"),
    "wanted": "desired",
    "anew": "recreate",
    **dict.fromkeys(("box", "workbench"), "SandboxDirectory, HostSession"),
    **dict.fromkeys(("settle", "settled"), "cleanup"),
    "heads": "revisions",
    **dict.fromkeys(("renames", "ahead"), "renamed_from, newer_on_hosts"),
    **dict.fromkeys(("buried", "bury", "stone", "stones"), "tombstone"),
    **dict.fromkeys(("gap", "gaps", "doubt"), "Unknown, conflict"),
    **dict.fromkeys(("patient", "patients", "checkup", "examine"), "HostCheck, HostReport"),
    **dict.fromkeys(("crew", "door", "keeper"), "workers, auth, maintenance"),
    **dict.fromkeys(("refusals", "throttle"), "errors, rate_limit"),
    **dict.fromkeys(("making", "upkeep", "calling"), "create, maintenance, client_session"),
    "objection": "mismatch",
    "passing": "transient",
    **dict.fromkeys(("seam", "seams"), "protocols"),
    **dict.fromkeys(("bell", "feed"), "Broadcaster, StreamReader"),
    "said": "message",
    "how": "options",
}

# In texts: whole words and phrases, in any case.
TEXTS = {
    **dict.fromkeys(("a look", "the look", "looked at", "survey", "sights", "scene"), "observe, observation"),
    **dict.fromkeys(("told", "tells", "telling"), "event, report, show"),
    **dict.fromkeys(("asked for", "is asked", "are asked"), "request"),
    "wanted": "desired",
    **dict.fromkeys(("anew", "gone on with", "cut off", "left over"), "recreate, resume, interrupted, leftover"),
    **dict.fromkeys(("workbench", "patient", "patients", "checkup"), "HostSession, HostCheck"),
    **dict.fromkeys(("crew", "keeper", "refusals", "throttle", "upkeep"), "workers, maintenance, errors, rate limit"),
    **dict.fromkeys(("buried", "tombstones are laid"), "tombstoned"),
    **dict.fromkeys(("seams", "bell"), "protocols, Broadcaster"),
    "by now": "already",
    **dict.fromkeys(("is none of", "are none of", "that is none", "that are none", "none of this"), "is no, is not"),
    "befalls": "happens to",
    "goes by that name": "unrecognized name",
    "of this age": "out of range",
    "it is not said": "not specified",
    "as it must": "failed validation",
    "is nowhere": "not found on any host",
}

# Names that are keys of what is written or sent, each in the file that has it.
KEYS = {
    "sandboxer/model/drift.py: told": "drift.json, beside a record",
}

# Stay by their exact spelling, as names and in texts: whoever reads them has them already.
EXCEPTIONS = {
    "look.done": "an event of the JSON log",
    "look HOST": "a span of a trace",
    "asked.json": "a file on hosts",
    "settle.": "crash points",
    "journal.gap": "an event",
    "JOURNAL_GAP": "the event's name in code",
    "gap_then": "what makes that event",
}

_TEXT = re.compile(rf"\b({'|'.join(sorted(map(re.escape, TEXTS), key=len, reverse=True))})\b", re.IGNORECASE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def in_name(name: str, path: str = "") -> list[str]:
    """Return the retired words that are parts of a name, in the file at a path of the repository."""
    if name in EXCEPTIONS or f"{path}: {name}" in KEYS:
        return []
    return [word for part in _PART.findall(name) if (word := part.lower()) in NAMES]


def in_text(text: str) -> list[str]:
    """Return the retired words and phrases of a text, in the order in which they stand there."""
    for exception in EXCEPTIONS:
        text = text.replace(exception, "")
    return [" ".join(found.lower().split()) for found in _TEXT.findall(re.sub(r"\s+", " ", text))]
