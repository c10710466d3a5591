"""A saved plan: a plan's JSON, and what its approval is bound to. It approves changes, and never commands them.

It comes back as bytes that anyone may have changed, so it is checked like any foreign input. The checksum finds damage
and accidental edits; the protection against forgery is that only what a fresh plan contains too is ever done.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, JsonValue, PlainSerializer, ValidationError

from sandboxer.errors import PlanRefused
from sandboxer.errors.remedy import RemedyCode, message_alone, remedy_of
from sandboxer.model.lifecycle import Action
from sandboxer.model.plan import FORMAT_VERSION
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from sandboxer.errors.remedy import FormatMessage, Remedy
    from sandboxer.model.plan import Plan

MAX_BYTES = 16 * 1024 * 1024

_AGAIN = remedy_of(RemedyCode.PLAN_AGAIN)
_Names = Annotated[frozenset[str], PlainSerializer(sorted, when_used="json")]


class _Part(BaseModel):
    # A newer release of the same major format may add keys.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class ApprovedOptions(_Part):
    """The selectors that the plan was made with, and the guards that it lifted; see reconcile's Options."""

    targets: _Names
    excluded: _Names
    hosts: _Names
    replaced: _Names
    forgotten: _Names
    max_deletes: int | None
    allow_empty: bool
    adopt_fleet: bool
    allow_rollback: bool
    allow_rename: bool = False
    selected: _Names | None = None


class ApprovedInput(_Part):
    """The commit that a sandbox's input was planned at, and the digest of the files that are delivered of it."""

    commit: str
    digest: str


class ApprovedField(_Part):
    """A field that differs, as in the plan."""

    path: str
    old: JsonValue
    new: JsonValue


class ApprovedChange(_Part):
    """A change as it was approved; of the plan's keys those that are compared."""

    sandbox: str
    id: str
    host: str | None
    from_host: str | None
    action: str
    reason: str
    fingerprint: str
    pending: tuple[ApprovedField, ...]
    drift: tuple[ApprovedField, ...]
    volumes: tuple[str, ...]

    @property
    def acts(self) -> bool:
        """Whether it was approved to change anything on a host."""
        return self.action not in (Action.NO_OP, Action.BLOCKED)


class Approval(_Part):
    """What an approval is bound to besides the changes.

    ``fleet_root`` is the fleet repository's first commit (None where it is not known), ``manifests`` the digest of all
    documents as parsed, ``inputs`` what each sandbox would be given, by the sandboxes' names.
    """

    fleet_root: str | None
    manifests: str
    inputs: dict[str, ApprovedInput]
    options: ApprovedOptions


class SavedPlan(_Part):
    """A plan that was saved to be approved and applied."""

    format_version: str
    fleet: str
    commit: str | None
    dirty: bool
    changes: tuple[ApprovedChange, ...]
    approval: Approval

    def check(self, fleet: str, fleet_root: str | None, manifests: str) -> None:
        """Raise PlanRefused if it is for another fleet (by name and first commit) or for other manifests."""
        if self.fleet != fleet:
            _refuse(
                f"the saved plan is for fleet {printable(self.fleet)}, not {fleet}",
                hint="apply the plan in its own fleet",
            )
        theirs = self.approval.fleet_root
        if theirs and fleet_root and theirs != fleet_root:
            roots = f"{printable(theirs)[:12]} and {fleet_root[:12]}"
            message = f"the saved plan is for another repository with fleet name {fleet}: first commits {roots}"
            _refuse(message, _AGAIN)
        if self.approval.manifests != manifests:
            _refuse("the manifests differ from those of the saved plan", self._way_back())

    def _way_back(self) -> Remedy:
        if self.dirty or self.commit is None:
            return _AGAIN
        return remedy_of(RemedyCode.PLANNED_COMMIT, commit=printable(self.commit)[:12])


def saved_bytes(plan: Plan, approval: Approval, format_message: FormatMessage = message_alone) -> bytes:
    """Return the file's bytes, with messages as ``format_message`` formats them.

    Raise PlanRefused if they would be too many to be read back.
    """
    approved = approval.model_dump(mode="json")
    if approval.options.selected is None:
        del approved["options"]["selected"]
    content = {**plan.to_json(format_message), "approval": approved}
    data = json.dumps({**content, "checksum": checksum(content)}, indent=2).encode() + b"\n"
    if len(data) > MAX_BYTES:
        _refuse("the plan is larger than 16 MiB", remedy_of(RemedyCode.PLAN_FEWER))
    return data


def parse_saved_plan(data: bytes) -> SavedPlan:
    """Return a saved plan from its file's bytes. Raise PlanRefused, and nothing else, if they are not one.

    Where the bytes are not JSON, the error has the position.
    """
    content = _content(data)
    version = content.get("format_version")
    if not isinstance(version, str):
        _refuse("not a plan: no format_version", _AGAIN)
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        _refuse(
            f"format {printable(version)} is not supported; this release reads {FORMAT_VERSION}",
            hint="plan again with this release, or apply with the release that wrote the plan",
        )
    if "approval" not in content:
        _refuse("not a saved plan: an approval is missing", _AGAIN)
    if content.pop("checksum", None) != checksum(content):
        _refuse("checksum mismatch: the plan was changed after it was written", _AGAIN)
    return _approved(data)


def saved_content(data: bytes) -> dict[str, Any]:
    """Return the JSON object of a saved plan's file, to show it. Raise PlanRefused as ``parse_saved_plan`` does."""
    parse_saved_plan(data)
    content = _content(data)
    del content["checksum"]
    return content


def _approved(data: bytes) -> SavedPlan:
    try:
        return SavedPlan.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        _refuse(f"{where}: {first['msg']}" if where else str(first["msg"]), _AGAIN)


def _content(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        _refuse("larger than 16 MiB", _AGAIN)
    try:
        content = json.loads(data.decode())
    except json.JSONDecodeError as error:
        _refuse(f"invalid or incomplete JSON: {error.msg}", _AGAIN, error.lineno, error.colno)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        _refuse("not UTF-8", _AGAIN, line, column)
    except ValueError:
        _refuse("a number is too large", _AGAIN)
    except RecursionError:
        _refuse("nested too deeply", _AGAIN)
    if not isinstance(content, dict):
        _refuse("not a plan: no JSON object", _AGAIN)
    return content


def checksum(content: Any) -> str:
    """Return the checksum of a saved plan's other keys, as parsed: spaces and order do not count."""
    return "sha256:" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _refuse(message: str, remedy: Remedy | None = None, line: int = 0, column: int = 0, *, hint: str = "") -> NoReturn:
    raise PlanRefused(message, hint=hint, remedy=remedy, line=line, column=column) from None
