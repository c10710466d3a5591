"""A plan: plain data that says what would be done to each sandbox, and why. Nothing in it acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sandboxer.errors.remedy import FormatMessage, Notice, Remedy, message_alone
from sandboxer.model.hidden import without_hmac
from sandboxer.model.lifecycle import Action, Health, Reason, Sync

if TYPE_CHECKING:
    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.model.failure import Failure
    from sandboxer.model.input_change import InputChange
    from sandboxer.model.jsontypes import JsonObject, JsonValue
    from sandboxer.model.lifecycle import Block
    from sandboxer.model.service_operation import ExpectedServices

FORMAT_VERSION = "1.0"

HostStatus = Literal["reachable", "unreachable", "unknown"]
UnmanagedKind = Literal["compose_project", "container", "directory", "ambiguous"]


SENSITIVE, UNKNOWN = "(sensitive)", "(unknown)"
"""What a plan shows for a value that its name hides, and for one that git does not have any more."""


@dataclass(frozen=True, slots=True)
class EnvValues:
    """The applied and the new value of an environment variable, as git has them and a plan shows them.

    None if the variable is not set; ``(sensitive)`` for both if its name hides them. ``(unknown)`` stands for an
    applied value that git does not have any more: ``unknown`` is the reason, and ``hint`` what would help.
    """

    old: str | None
    new: str | None
    unknown: str = ""
    hint: str = ""

    def to_json(self) -> JsonObject:
        """Return the keys that they have in a plan's JSON."""
        why: JsonObject = {"unknown": self.unknown, "hint": self.hint or None} if self.unknown else {}
        return {"old": self.old, "new": self.new, **why}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. In ``pending``, old is the record's and new is git's; in ``drift``, new is what runs.

    Of an environment variable or a secret, ``old`` and ``new`` are shortened HMACs: they show only that it differs. A
    plan for people has its values as ``env``, and nothing is decided or approved by these.
    """

    path: str
    old: JsonValue
    new: JsonValue
    env: EnvValues | None = None

    def to_json(self) -> JsonObject:
        """Return it as in a plan's JSON, which has no HMAC."""
        if self.env is not None:
            return {"path": self.path, **self.env.to_json()}
        return {"path": self.path, "old": without_hmac(self.old), "new": without_hmac(self.new)}

    def decided(self) -> JsonObject:
        """Return what the planner decided by, for a fingerprint."""
        return {"path": self.path, "old": self.old, "new": self.new}


def variable_of(path: str) -> str:
    """Return the environment variable that the field at a path is; empty for any other field."""
    return path.removeprefix("spec.env.") if path.startswith("spec.env.") else ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan does to one sandbox on one host.

    ``message`` says it in a sentence, and ``remedy`` what to do about it. ``generation`` and ``uid`` are the record's
    as planned (0 and empty without a record): the executor plans again where they have changed. ``volumes`` are those
    that a replace or delete destroys. ``input`` is what changed in the files, and ``expected`` what will happen to each
    service, where a plan for people has looked them up. ``diagnostics`` are findings in the input. ``error`` is why the
    last operation failed, as on record.

    ``reason`` explains and nothing depends on it. What others act on is in fields that no JSON has: ``block`` is what a
    blocked change waits for, ``expired`` marks the delete of an expired sandbox (no guard counts it, and a tombstone
    remembers it), and ``stray`` the delete of a copy whose home is another host.
    ``unread_secrets`` marks a sandbox with secrets whose values were not compared: an apply may find another value.
    """

    sandbox: str
    id: str
    host: str | None
    action: Action
    reason: Reason
    sync: Sync
    health: Health
    from_host: str | None = None
    message: str = ""
    fingerprint: str = ""
    pending: tuple[FieldChange, ...] = ()
    drift: tuple[FieldChange, ...] = ()
    volumes: tuple[str, ...] = ()
    generation: int = 0
    uid: str = ""
    origin: str = "git"
    block: Block | None = None
    expired: bool = False
    stray: bool = False
    unread_secrets: bool = False
    remedy: Remedy | None = None
    input: InputChange | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    error: Failure | None = None
    expected: ExpectedServices | None = None

    @property
    def acts(self) -> bool:
        """Whether carrying it out changes anything on a host."""
        return self.action not in (Action.NO_OP, Action.BLOCKED)

    def to_json(self, format_message: FormatMessage = message_alone) -> JsonObject:
        """Return it as in a plan's JSON, with the message as ``format_message`` formats it."""
        return {
            "sandbox": self.sandbox,
            "id": self.id,
            "host": self.host,
            "from_host": self.from_host,
            "action": self.action.value,
            "reason": self.reason.value,
            "sync": self.sync.value,
            "health": self.health.value,
            "message": format_message(self.message, self.remedy),
            "fingerprint": self.fingerprint,
            "pending": [change.to_json() for change in self.pending],
            "drift": [change.to_json() for change in self.drift],
            "volumes": list(self.volumes),
            **({"remedy": self.remedy.to_json()} if self.remedy else {}),
            **({"input": self.input.to_json()} if self.input else {}),
            **({"diagnostics": [found.to_json() for found in self.diagnostics]} if self.diagnostics else {}),
            **({"error": self.error.model_dump(mode="json")} if self.error else {}),
            **({"expected": self.expected.to_json()} if self.expected else {}),
        }


@dataclass(frozen=True, slots=True)
class HostSummary:
    """The result of observing one host. ``error`` is None where the observation was complete.

    ``remedy`` is what to do about an error, where more can be done than to check the host.
    """

    name: str
    status: HostStatus
    error: str | None = None
    remedy: Remedy | None = None

    def to_json(self, format_message: FormatMessage = message_alone) -> JsonObject:
        """Return it as in a plan's JSON, with the error as ``format_message`` formats it."""
        return {
            "name": self.name,
            "status": self.status,
            "error": self.error and format_message(self.error, self.remedy),
        }


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """Something on a host that is not ours: listed, not touched. ``kind`` is ``ambiguous`` if it claims to be ours."""

    host: str
    kind: UnmanagedKind
    name: str

    def to_json(self) -> JsonObject:
        """Return it as in a plan's JSON."""
        return {"host": self.host, "kind": self.kind, "name": self.name}


@dataclass(frozen=True, slots=True)
class Stats:
    """The cost of a plan: SSH connections and remote commands, as the transports counted them, and seconds."""

    connections: int = 0
    commands: int = 0
    seconds: float = 0.0

    def to_json(self) -> JsonObject:
        """Return it as in a plan's JSON."""
        return {"connections": self.connections, "commands": self.commands, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class Plan:
    """All decisions for a fleet; ``imperative`` are sandboxes that git leaves alone.

    With ``only_deletes`` it has no other changes, as for `prune`: that it has none does not mean that nothing is there.
    """

    fleet: str
    commit: str | None
    dirty: bool
    hosts: tuple[HostSummary, ...]
    changes: tuple[Change, ...]
    unmanaged: tuple[Unmanaged, ...] = ()
    imperative: tuple[Change, ...] = ()
    warnings: tuple[Notice, ...] = ()
    stats: Stats = field(default_factory=Stats)
    only_deletes: bool = False

    @property
    def complete(self) -> bool:
        """Whether every host was observed in full and nothing is blocked; an incomplete plan exits 1."""
        return all(h.status == "reachable" for h in self.hosts) and not any(
            c.action is Action.BLOCKED for c in self.changes
        )

    @property
    def differences(self) -> bool:
        """Whether applying it would change anything."""
        return any(c.acts for c in self.changes)

    @property
    def secrets_not_compared(self) -> tuple[str, ...]:
        """The sandboxes with secrets that only an apply compares, by name."""
        return tuple(dict.fromkeys(change.sandbox for change in self.changes if change.unread_secrets))

    @property
    def summary(self) -> dict[Action, int]:
        """The number of changes of each action."""
        return {action: sum(1 for c in self.changes if c.action is action) for action in Action}

    def to_json(self, format_message: FormatMessage = message_alone) -> JsonObject:
        """Return the plan's JSON, as the contract has it, with messages as ``format_message`` formats them."""
        return {
            "format_version": FORMAT_VERSION,
            "fleet": self.fleet,
            "commit": self.commit,
            "dirty": self.dirty,
            "complete": self.complete,
            "hosts": [host.to_json(format_message) for host in self.hosts],
            "changes": [change.to_json(format_message) for change in self.changes],
            "imperative": [change.to_json(format_message) for change in self.imperative],
            "unmanaged": [thing.to_json() for thing in self.unmanaged],
            "warnings": [format_message(warning.message, warning.remedy) for warning in self.warnings],
            **({"secrets_not_compared": [*unread]} if (unread := self.secrets_not_compared) else {}),
            "summary": {action.value: count for action, count in self.summary.items()},
            "stats": self.stats.to_json(),
        }
