"""What the library raises, as an answer: which status, and which words. The server's own folders are not in them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.adapters.git_remote import default_cache
from sandboxer.errors import (
    TRANSIENT,
    ComposeRefused,
    ExtensionError,
    HostError,
    HostNotObserved,
    InputUnavailable,
    KeyReused,
    ManifestError,
    NameTaken,
    SandboxerError,
    SandboxLocked,
    SandboxNotFound,
    SourceError,
    StaleChange,
    UsageError,
)
from sandboxer.model.request import FILE
from sandboxer.web.problems import HttpProblem

if TYPE_CHECKING:
    from sandboxer.model.diagnostic import Diagnostic
    from sandboxer.model.jsontypes import JsonObject

LOST_SECONDS, BUSY_SECONDS, BROKEN_SECONDS = 10, 5, 30

# The first that fits counts: status, and after how many seconds to try again (0: that is of no use).
_STATUSES: tuple[tuple[type[SandboxerError], int, int], ...] = (
    (SandboxNotFound, 404, 0),
    (KeyReused, 422, 0),
    (NameTaken, 409, 0),
    (HostNotObserved, 503, LOST_SECONDS),
    (HostError, 503, LOST_SECONDS),
    (SandboxLocked, 409, BUSY_SECONDS),
    (StaleChange, 409, BUSY_SECONDS),
    (ComposeRefused, 422, 0),
    (InputUnavailable, 422, 0),
    (SourceError, 503, BROKEN_SECONDS),
    (ExtensionError, 503, BROKEN_SECONDS),
)
_FIELDS: dict[type[SandboxerError], str] = {
    KeyReused: "Idempotency-Key",
    NameTaken: "name",
    InputUnavailable: "inputs.repo",
}
# Names are of the whole fleet; whose one is, where it is and which id it has is for those who see it.
_TAKEN = "is taken in this fleet: ask with another one, or without"

# A place in the document that was made of a request, and the same in the request.
_PATH = re.compile(r"(?:spec|metadata)(?:\.[A-Za-z_][\w.\[\]-]*)")
_OWN = (("placement.hosts", "hosts"), ("secretRefs", "secret_refs"))


def refused(error: SandboxerError, root: Path, *, usage: int = 409) -> HttpProblem:
    """Return the answer to an error of ours. ``usage`` is the status of a call that makes no sense as things are."""
    if isinstance(error, ManifestError):
        return _of_manifests(error)
    otherwise = (SandboxerError, usage if isinstance(error, UsageError) else 409, 0)
    _, status, retry = next((one for one in _STATUSES if isinstance(error, one[0])), otherwise)
    if isinstance(error, (SourceError, ExtensionError)) and status == 503:
        detail = "the fleet cannot be read: its owner sees why with `sandboxer validate`"
    elif isinstance(error, NameTaken):
        detail = _TAKEN
    else:
        detail = without_paths(error.message, root)
    headers = {"Retry-After": str(retry)} if retry else {}
    return HttpProblem(status, detail, field=_FIELDS.get(type(error), ""), headers=headers)


def without_paths(text: str, root: Path) -> str:
    """Return a text without the folders of this server: the fleet's is ``.``, the home is ``~``."""
    cache = default_cache()
    for folder, instead in ((root.resolve(), "."), (root.absolute(), "."), (cache, "…"), (Path.home(), "~")):
        name = os.fspath(folder)
        if name != "/":
            text = re.sub(re.escape(name) + r"(?=$|[^\w.-])", instead, text)
    return text


def is_for_later(error: BaseException | None) -> bool:
    """Return whether an operation that ended so may end well when it is tried again.

    A host or a lock was not to be had.
    """
    return isinstance(error, TRANSIENT)


def place(error: BaseException) -> str:
    """Return an error that nobody foresaw: where it arose, and not what it says, for that may be anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"


def _of_manifests(error: ManifestError) -> HttpProblem:
    """Return what is wrong with what was asked for, all of it; what is wrong with the fleet is its owner's to see."""
    errors = [finding for finding in error.diagnostics if finding.severity == "error"]
    asked = [finding for finding in errors if finding.location.file == FILE]
    if not asked:
        detail = "the fleet's manifests have errors: its owner sees them with `sandboxer validate`"
        return HttpProblem(503, detail, headers={"Retry-After": str(BROKEN_SECONDS)})
    if all(finding.code == "duplicate-name" for finding in asked):  # of a manifest, which is a place in the fleet
        return HttpProblem(409, _TAKEN, field="name")
    asked = [finding for finding in asked if finding.code != "duplicate-name"]
    return HttpProblem(422, "what is asked for cannot be made", errors=[_finding(finding) for finding in asked])


def _finding(finding: Diagnostic) -> JsonObject:
    found = _PATH.search(finding.message)
    detail = _PATH.sub(lambda match: _asked_as(match[0]), finding.message)
    hint = _PATH.sub(lambda match: _asked_as(match[0]), finding.hint) if "sandboxer.yaml" not in finding.hint else ""
    field = _asked_as(found[0]) if found else ""
    return {"detail": f"{detail}: {hint}" if hint else detail, "field": field, "code": finding.code}


def _asked_as(path: str) -> str:
    own = path.partition(".")[2]
    for name, instead in _OWN:
        if own == name or own.startswith((f"{name}[", f"{name}.")):
            return instead + own.removeprefix(name)
    return own
