"""The library's errors as HTTP problems: their status and wording, without the server's own folders."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

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
from sandboxer.render.remedies import API, worded
from sandboxer.web.problems import HttpProblem
from sandboxer.wiring.edges import default_cache

if TYPE_CHECKING:
    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.model.jsontypes import JsonObject

LOST_SECONDS, BUSY_SECONDS, BROKEN_SECONDS = 10, 5, 30

# The first match counts: the status, and the seconds until a retry (0: a retry is of no use).
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
# Names are unique in the whole fleet; the owner, host and ID of one are only for clients that may see it.
_TAKEN = "is already in use in this fleet: use another one, or none"

# A path in the document that was made from a request, which is also the path in the request.
_PATH = re.compile(r"(?:spec|metadata)(?:\.[A-Za-z_][\w.\[\]-]*)")
_OWN = (("placement.hosts", "hosts"), ("secretRefs", "secret_refs"))


def refused(error: SandboxerError, root: Path, *, usage: int = 409) -> HttpProblem:
    """Return the problem for an error of the library. ``usage`` is the status of a call that is invalid at present."""
    if isinstance(error, ManifestError):
        return _of_manifests(error)
    otherwise = (SandboxerError, usage if isinstance(error, UsageError) else 409, 0)
    _, status, retry = next((one for one in _STATUSES if isinstance(error, one[0])), otherwise)
    if isinstance(error, (SourceError, ExtensionError)) and status == 503:
        detail = "the fleet cannot be read: its owner can run `sandboxer validate`"
    elif isinstance(error, NameTaken):
        detail = _TAKEN
    else:
        detail = without_paths("; ".join(filter(None, (error.message, worded(error.remedy, API)))), root)
    headers = {"Retry-After": str(retry)} if retry else {}
    return HttpProblem(status, detail, field=_FIELDS.get(type(error), ""), headers=headers)


def without_paths(text: str, root: Path) -> str:
    """Return a text without the folders of this server: the fleet's is ``.``, the home directory is ``~``."""
    cache = default_cache()
    for folder, instead in ((root.resolve(), "."), (root.absolute(), "."), (cache, "…"), (Path.home(), "~")):
        name = os.fspath(folder)
        if name != "/":
            text = re.sub(re.escape(name) + r"(?=$|[^\w.-])", instead, text)
    return text


def is_for_later(error: BaseException | None) -> bool:
    """Return whether an operation that ended with this error may succeed when it is retried.

    A host or a lock was unavailable.
    """
    return isinstance(error, TRANSIENT)


def code_location(error: BaseException) -> str:
    """Return the code location of an unforeseen error, without its message, which may contain anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"


def _of_manifests(error: ManifestError) -> HttpProblem:
    """Return every fault of the request; faults of the fleet are for its owner to see."""
    errors = [finding for finding in error.diagnostics if finding.severity == "error"]
    of_request = [finding for finding in errors if finding.location.file == FILE]
    if not of_request:
        detail = "the fleet's manifests have errors: its owner can run `sandboxer validate`"
        return HttpProblem(503, detail, headers={"Retry-After": str(BROKEN_SECONDS)})
    if all(finding.code == "duplicate-name" for finding in of_request):  # the location is in a manifest of the fleet
        return HttpProblem(409, _TAKEN, field="name")
    of_request = [finding for finding in of_request if finding.code != "duplicate-name"]
    return HttpProblem(422, "the request failed validation", errors=[_finding(finding) for finding in of_request])


def _finding(finding: Diagnostic) -> JsonObject:
    found = _PATH.search(finding.message)
    detail = _PATH.sub(lambda match: _field_of(match[0]), finding.message)
    hint = _PATH.sub(lambda match: _field_of(match[0]), finding.hint) if "sandboxer.yaml" not in finding.hint else ""
    field = _field_of(found[0]) if found else ""
    return {"detail": f"{detail}: {hint}" if hint else detail, "field": field, "code": finding.code}


def _field_of(path: str) -> str:
    own = path.partition(".")[2]
    for name, instead in _OWN:
        if own == name or own.startswith((f"{name}[", f"{name}.")):
            return instead + own.removeprefix(name)
    return own
