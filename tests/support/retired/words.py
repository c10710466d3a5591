"""The retired words, each with the word that took its place."""

from __future__ import annotations

import re

# In names of code: a name is split at underscores and capitals, and no part may be one of these.
NAMES = {
    **dict.fromkeys(("look", "looks", "looked", "looking", "probe", "probes", "probed", "survey"), "observe"),
    **dict.fromkeys(("sight", "sights", "scene", "scenes", "witness", "witnesses"), "observe"),
    **dict.fromkeys(("tell", "tells", "telling", "told", "following"), "event, emit, report"),
    **dict.fromkeys(("asked", "asking"), "request"),
    "wanted": "desired",
    "gives": "returns",
    "anew": "recreate",
    **dict.fromkeys(("box", "boxes", "workbench", "bench"), "SandboxDirectory, HostSession"),
    "question": "ObserveRequest",
    **dict.fromkeys(("settle", "settled"), "cleanup"),
    "heads": "revisions",
    **dict.fromkeys(("renames", "ahead"), "renamed_from, newer_on_hosts"),
    **dict.fromkeys(("buried", "bury", "stone", "stones"), "tombstone"),
    **dict.fromkeys(("gap", "gaps", "doubt", "silent"), "Unknown, conflict, unreachable"),
    **dict.fromkeys(("patient", "patients", "checkup", "examine"), "HostCheck, HostReport"),
    **dict.fromkeys(("crew", "door", "keeper"), "workers, auth, maintenance"),
    **dict.fromkeys(("refusals", "throttle"), "errors, rate_limit"),
    **dict.fromkeys(("making", "upkeep", "calling"), "create, maintenance, client_session"),
    **dict.fromkeys(("hold", "objection"), "enforce, mismatch"),
    "passing": "transient",
    **dict.fromkeys(("seam", "seams"), "protocols"),
    **dict.fromkeys(("bell", "feed"), "Broadcaster, StreamReader"),
    "said": "message",
    "how": "options",
}

# Terms in one form, plain English in others ("until it ends", "a line of text"): the path of a module, or `path: name`.
FORMS = {
    r"(.*/)?(seen|shown|place|work|room|line|reach|until|whole_file|reading|described)\.py": "see docs/glossary.md",
    r"sandboxer/client/(access|values|ending)\.py": "context, sandbox, destroy",
    r".*: _?(Seen|Place|Work|Room|Shown|Reach)": "Observed, Target, Operation, HostCapacity, connect",
    r"sandboxer/(hub|lifecycle)/.*: _?Line": "EventQueue",
}

# In texts: whole words and phrases, in any case.
TEXTS = {
    **dict.fromkeys(
        ("a look", "the look", "one look", "looked at", "looks at", "survey", "sights", "scene"), "observe"
    ),
    **dict.fromkeys(("tell", "tells", "telling", "told", "said", "witness"), "event, report, show"),
    **dict.fromkeys(("asked", "asking"), "request, query"),
    **dict.fromkeys(("probe", "probes", "probed", "sight"), "observe, observation"),
    **dict.fromkeys(("box", "boxes", "gap", "gaps", "doubt"), "SandboxDirectory, Unknown, loss, conflict"),
    "silent": "unreachable, hung, idle",
    "wanted": "desired",
    **dict.fromkeys(
        ("anew", "gone on with", "goes on with", "cut off", "left over"), "recreate, resume, interrupted, leftover"
    ),
    **dict.fromkeys(("workbench", "patient", "patients", "checkup", "examines"), "HostSession, HostCheck"),
    **dict.fromkeys(("crew", "keeper", "refusals", "throttle", "upkeep"), "workers, maintenance, errors, rate limit"),
    **dict.fromkeys(("buried", "tombstones are laid", "in doubt"), "tombstoned, conflict"),
    **dict.fromkeys(("seams", "bell", "objection"), "protocols, Broadcaster, mismatch"),
    "by now": "already",
    **dict.fromkeys(("is none of", "are none of", "that is none", "that are none", "none of this"), "is no, is not"),
    **dict.fromkeys(("befalls", "befall"), "happens to"),
    **dict.fromkeys(("goes by that name", "go by that name"), "unrecognized name"),
    "of this age": "out of range",
    "it is not said": "not specified",
    "as it must": "failed validation",
    **dict.fromkeys(("is nowhere", "nowhere yet"), "not found on any host"),
    **dict.fromkeys(("tells the way in", "closed off"), "shows how to reach the sandbox"),
    **dict.fromkeys(("to its end that was", "is only on record"), "finish an interrupted or requested sandbox"),
    **dict.fromkeys(("its volumes end", "lead local ports"), "its volumes are deleted, forward local ports"),
    **dict.fromkeys(("this server's", "this server ends"), "invalid token, server is shutting down"),
    "cannot be told": "could not be fully inspected",
}

# Names that others chose, or that are keys of what is written or sent, each in the file that has it.
KEYS = {
    "sandboxer/model/drift.py: told": "drift.json, beside a record",
    "sandboxer/hosts/observation.py: told": "drift.json, beside a record",
    "tests/unit/hosts/test_drift_notes.py: told": "drift.json, beside a record",
    "tests/unit/extensions/compose_ssh/test_observe.py: told": "drift.json, beside a record",
    "sandboxer/model/fleet_manifests.py: probe": "an operation of older descriptions",
    "sandboxer/cli/session.py: silent": "an argument of click",
    "sandboxer/render/live.py: box": "an argument of rich",
    "benchmarks/floor.py: look_for_keys": "an argument of paramiko",
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
    '"told":': "a key of drift.json",
    "migration-gaps": "a page's address",
    "igration gaps": "that page's title",
    "`probe` is an older name of `observe`": "an operation of older descriptions",
    "`probe` (now `observe`)": "an operation of older descriptions",
    r"`probe` \| `wait_ready`": "operations of older descriptions",
    '"probe", "wait_ready"': "operations of older descriptions",
    "[probe, provision, wait_ready, teardown]": "operations of older descriptions",
    "is told when applied, for a plan reads no secret": "a sentence of a past release",
    "asked for with --replace": "a sentence of a past release",
}

_TEXT = re.compile(rf"\b({'|'.join(sorted(map(re.escape, TEXTS), key=len, reverse=True))})\b", re.IGNORECASE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def in_name(name: str, path: str = "") -> list[str]:
    """Return the retired words that are parts of a name, in the file at a path of the repository."""
    if name in EXCEPTIONS or f"{path}: {name}" in KEYS:
        return []
    parts = [word for part in _PART.findall(name) if (word := part.lower()) in NAMES]
    return parts or [name for form in FORMS if re.fullmatch(form, f"{path}: {name}")]


def in_path(path: str) -> list[str]:
    """Return the forms of retired words that a file's path has."""
    return [path for form in FORMS if re.fullmatch(form, path)]


def in_text(text: str) -> list[str]:
    """Return the retired words and phrases of a text, in the order in which they stand there."""
    text = " ".join(text.split())
    for exception in EXCEPTIONS:
        text = text.replace(exception, "")
    return [found.lower() for found in _TEXT.findall(text)]


def replacement(word: str) -> str:
    """Return the words to use in place of a retired one, or of a name or path in a retired form."""
    known = NAMES.get(word) or TEXTS.get(word)
    return known or next((use for form, use in FORMS.items() if re.fullmatch(form, word)), "see docs/glossary.md")
