"""A plan from its JSON, as a saved plan has it, to show it again: no change of it is ever carried out.

The file may be written by anybody: every value is checked for its type, and whoever shows it makes it harmless. What a
plan's JSON does not have, such as generations, is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError

from sandboxer.errors import PlanRefused
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.errors.remedy import Notice, Remedy, RemedyCode, remedy_of
from sandboxer.model.failure import Failure
from sandboxer.model.input_change import FileChange, FileStatus, InputChange
from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.plan import (
    Change,
    EnvValues,
    FieldChange,
    HostSummary,
    Plan,
    Unmanaged,
    UnmanagedKind,
    variable_of,
)
from sandboxer.model.service_operation import ExpectedServices, ServiceAction, ServiceOperation
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    ParseMessage = Callable[[str, Remedy | None], str]

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
# Of a host's error, its remedy stands in the message alone.
_OF_HOSTS = (RemedyCode.FORGET_HOST, RemedyCode.DRAIN_HOST)


class _Part(BaseModel):
    # A newer release of the same major format may add keys.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Remedy(_Part):
    code: str
    values: dict[str, str]

    def remedy(self) -> Remedy | None:
        """Return the remedy; None for a code of a newer release."""
        known = self.code in {code.value for code in RemedyCode}
        return Remedy(RemedyCode(self.code), tuple(self.values.items())) if known else None


class _Field(_Part):
    path: str
    old: JsonValue
    new: JsonValue
    unknown: str = ""
    hint: str | None = None

    def field(self) -> FieldChange:
        if not variable_of(self.path):
            return FieldChange(self.path, self.old, self.new)
        old, new = (None if value is None else str(value) for value in (self.old, self.new))
        return FieldChange(self.path, self.old, self.new, EnvValues(old, new, self.unknown, self.hint or ""))


class _File(_Part):
    status: FileStatus
    path: str
    former_path: str | None
    added: int | None
    removed: int | None
    mode: tuple[str, str] | None

    def file(self) -> FileChange:
        return FileChange(self.status, self.path, self.added, self.removed, self.mode, self.former_path)


class _Input(_Part):
    repo: str
    ref: str
    former: str
    commit: str
    commits: int | None
    undone: int | None
    subjects: tuple[str, ...]
    files: tuple[_File, ...]
    count: int
    unknown: str | None
    hint: str | None
    diff: str | None = None

    def change(self) -> InputChange:
        return InputChange(
            *(self.repo, self.ref, self.former, self.commit, self.commits, self.undone, self.subjects),
            files=tuple(file.file() for file in self.files),
            count=self.count,
            unknown=self.unknown or "",
            hint=self.hint or "",
            diff=None if self.diff is None else tuple(self.diff.splitlines()),
        )


class _Diagnostic(_Part):
    file: str
    line: int
    column: int
    severity: Literal["error", "warning"]
    code: str
    message: str
    hint: str
    repo: str = ""

    def diagnostic(self) -> Diagnostic:
        where = Location(self.file, self.line, self.column)
        return Diagnostic(self.severity, self.code, self.message, where, self.hint, repo=self.repo)


class _Operation(_Part):
    service: str
    action: ServiceAction
    cause: str
    details: tuple[str, ...] = ()


class _Expected(_Part):
    exact: bool
    services: tuple[_Operation, ...]
    unknown: str | None
    hint: str | None

    def expected(self) -> ExpectedServices:
        operations = (ServiceOperation(one.service, one.action, one.cause, one.details) for one in self.services)
        return ExpectedServices(tuple(operations), self.exact, self.unknown or "", self.hint or "")


class _Change(_Part):
    sandbox: str
    id: _Id
    host: str | None
    from_host: str | None
    action: Action
    reason: Reason
    sync: Sync
    health: Health
    message: str
    fingerprint: str
    pending: tuple[_Field, ...]
    drift: tuple[_Field, ...]
    volumes: tuple[str, ...]
    remedy: _Remedy | None = None
    input: _Input | None = None
    diagnostics: tuple[_Diagnostic, ...] = ()
    error: Failure | None = None
    expected: _Expected | None = None

    def change(self, parse_message: ParseMessage, *, unread_secrets: bool) -> Change:
        remedy = self.remedy.remedy() if self.remedy else None
        try:
            message = parse_message(self.message, remedy)
        except KeyError:
            message, remedy = self.message, None
        return Change(
            *(self.sandbox, self.id, self.host, self.action, self.reason, self.sync, self.health, self.from_host),
            message=message,
            fingerprint=self.fingerprint,
            pending=tuple(field.field() for field in self.pending),
            drift=tuple(field.field() for field in self.drift),
            volumes=self.volumes,
            # Whether there is a record: one that is blocked may have no other sign of it.
            uid="" if self.health in (Health.MISSING, Health.UNKNOWN) else "recorded",
            unread_secrets=unread_secrets,
            remedy=remedy,
            input=self.input.change() if self.input else None,
            diagnostics=tuple(found.diagnostic() for found in self.diagnostics),
            error=self.error,
            expected=self.expected.expected() if self.expected else None,
        )


class _Host(_Part):
    name: str
    status: Literal["reachable", "unreachable", "unknown"]
    error: str | None

    def summary(self, parse_message: ParseMessage) -> HostSummary:
        for code in _OF_HOSTS if self.error else ():
            remedy = remedy_of(code, host=self.name)
            error = parse_message(self.error or "", remedy)
            if error != self.error:
                return HostSummary(self.name, self.status, error, remedy)
        return HostSummary(self.name, self.status, self.error)


class _Unmanaged(_Part):
    host: str
    kind: UnmanagedKind
    name: str


class _Plan(_Part):
    fleet: str
    commit: str | None
    dirty: bool
    hosts: tuple[_Host, ...]
    changes: tuple[_Change, ...]
    imperative: tuple[_Change, ...]
    unmanaged: tuple[_Unmanaged, ...]
    warnings: tuple[str, ...]
    secrets_not_compared: frozenset[str] = frozenset()


def plan_of_json(content: Any, parse_message: ParseMessage) -> Plan:
    """Return the plan of a JSON object. Raise PlanRefused, with the key at fault, if it is none.

    ``parse_message`` returns a message as it was before it was formatted for the JSON with its remedy. It raises
    KeyError for a remedy that cannot be worded, which is left out then.
    """
    try:
        read = _Plan.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        raise PlanRefused(f"{where}: {first['msg']}", remedy=remedy_of(RemedyCode.PLAN_AGAIN)) from None

    def change(one: _Change) -> Change:
        return one.change(parse_message, unread_secrets=one.sandbox in read.secrets_not_compared)

    return Plan(
        *(read.fleet, read.commit, read.dirty),
        hosts=tuple(host.summary(parse_message) for host in read.hosts),
        changes=tuple(map(change, read.changes)),
        unmanaged=tuple(Unmanaged(one.host, one.kind, one.name) for one in read.unmanaged),
        imperative=tuple(map(change, read.imperative)),
        warnings=tuple(map(Notice, read.warnings)),
    )
