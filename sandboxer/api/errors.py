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
from sandboxer.web.problems import HttpProblem, ProblemKind
from sandboxer.wiring.edges import default_cache

if TYPE_CHECKING:
    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.model.jsontypes import JsonObject

LOST_SECONDS, BUSY_SECONDS, BROKEN_SECONDS = 10, 5, 30

# The first match counts: the kind, and the seconds until a retry (0: a retry is of no use).
_KINDS: tuple[tuple[type[SandboxerError], ProblemKind, int], ...] = (
    (SandboxNotFound, ProblemKind.SANDBOX_NOT_FOUND, 0),
    (KeyReused, ProblemKind.KEY_REUSED, 0),
    (NameTaken, ProblemKind.NAME_TAKEN, 0),
    (HostNotObserved, ProblemKind.HOST_UNAVAILABLE, LOST_SECONDS),
    (HostError, ProblemKind.HOST_UNAVAILABLE, LOST_SECONDS),
    (SandboxLocked, ProblemKind.LOCKED, BUSY_SECONDS),
    (StaleChange, ProblemKind.LOCKED, BUSY_SECONDS),
    (ComposeRefused, ProblemKind.COMPOSE_REFUSED, 0),
    (InputUnavailable, ProblemKind.INPUT_UNAVAILABLE, 0),
    (SourceError, ProblemKind.FLEET_INVALID, BROKEN_SECONDS),
    (ExtensionError, ProblemKind.FLEET_INVALID, BROKEN_SECONDS),
    (SandboxerError, ProblemKind.OPERATION_FAILED, 0),
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


def refused(error: SandboxerError, root: Path, *, usage: ProblemKind = ProblemKind.CONFLICT) -> HttpProblem:
    """Return the problem for an error of the library. ``usage`` is the kind of a call that is invalid at present."""
    if isinstance(error, ManifestError):
        return _of_manifests(error)
    _, kind, retry = next(one for one in _KINDS if isinstance(error, one[0]))
    if kind is ProblemKind.OPERATION_FAILED and isinstance(error, UsageError):
        kind = usage
    if kind is ProblemKind.FLEET_INVALID:
        detail = "the fleet cannot be read: its owner can run `sandboxer validate`"
    elif isinstance(error, NameTaken):
        detail = _TAKEN
    else:
        detail = without_paths("; ".join(filter(None, (error.message, worded(error.remedy, API)))), root)
    headers = {"Retry-After": str(retry)} if retry else {}
    return HttpProblem(kind, detail, field=_FIELDS.get(type(error), ""), headers=headers)


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
        return HttpProblem(ProblemKind.FLEET_INVALID, detail, headers={"Retry-After": str(BROKEN_SECONDS)})
    if all(finding.code == "duplicate-name" for finding in of_request):  # the location is in a manifest of the fleet
        return HttpProblem(ProblemKind.NAME_TAKEN, _TAKEN, field="name")
    of_request = [finding for finding in of_request if finding.code != "duplicate-name"]
    return HttpProblem(
        ProblemKind.VALIDATION_FAILED,
        "the request failed validation",
        errors=[_finding(finding) for finding in of_request],
    )


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
