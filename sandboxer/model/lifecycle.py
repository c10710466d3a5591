"""The states of a sandbox: its phase, its sync and its health, and what a plan does about them; each list is closed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Phase(StrEnum):
    """The phases of a sandbox's life. ``DESTROYED`` is reported in events and never written to a record."""

    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    READY = "ready"
    ACTIVE = "active"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    FAILED = "failed"
    EXPIRED = "expired"


#: The life of a sandbox: which phases may follow each phase. None is before the first. A phase that may follow itself
#: is an interrupted operation that starts again.
TRANSITIONS: Mapping[Phase | None, frozenset[Phase]] = {
    None: frozenset({Phase.REQUESTED}),
    Phase.REQUESTED: frozenset({Phase.PROVISIONING, Phase.FAILED, Phase.EXPIRED, Phase.DESTROYING}),
    Phase.PROVISIONING: frozenset({Phase.READY, Phase.PROVISIONING, Phase.FAILED, Phase.EXPIRED, Phase.DESTROYING}),
    Phase.READY: frozenset({Phase.ACTIVE, Phase.PROVISIONING, Phase.EXPIRED, Phase.DESTROYING}),
    Phase.ACTIVE: frozenset({Phase.READY, Phase.PROVISIONING, Phase.EXPIRED, Phase.DESTROYING}),
    Phase.FAILED: frozenset({Phase.PROVISIONING, Phase.EXPIRED, Phase.DESTROYING}),
    # An expiry can be extended as long as nothing was torn down.
    Phase.EXPIRED: frozenset({Phase.PROVISIONING, Phase.DESTROYING}),
    Phase.DESTROYING: frozenset({Phase.DESTROYED}),
    Phase.DESTROYED: frozenset(),
}


def may_follow(former: Phase | None, phase: Phase) -> bool:
    """Return whether a sandbox may go from one phase to another; ``former`` is None where its life begins."""
    return phase in TRANSITIONS[former]


class Sync(StrEnum):
    """Git against the host, in Argo CD's words."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


class Health(StrEnum):
    """How the containers fare, in Argo CD's words."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    MISSING = "Missing"
    SUSPENDED = "Suspended"
    UNKNOWN = "Unknown"


class Action(StrEnum):
    """What a plan does to one sandbox. The order is that of a plan's summary."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    REPAIR = "repair"
    DELETE = "delete"
    NO_OP = "no-op"
    BLOCKED = "blocked"


class Block(StrEnum):
    """What a blocked change waits for: the field that callers act on, where its reason only explains."""

    UNOBSERVED = "unobserved"  # an observation of the host, or of its engine
    UNCERTAIN = "uncertain"  # a person who decides whose it is
    UNMET = "unmet"  # a host, an input or a secret
    REFUSED = "refused"  # another input, or another profile
    GUARD = "guard"  # permission
    LOCKED = "locked"  # another client
    STALE = "stale"  # a new plan


class Reason(StrEnum):
    """Why a plan does it. A reason explains an action and never steers one; readers tolerate new members."""

    CREATE_ABSENT = "create_because_absent"
    UPDATE_CHANGED = "update_because_changed"
    REPLACE_CHANGED = "replace_because_changed"
    REPLACE_REQUESTED = "replace_because_requested"
    REPLACE_MOVED = "replace_because_moved"
    REPLACE_INTERRUPTED = "replace_because_interrupted"
    REPAIR_DRIFT = "repair_because_drift"
    REPAIR_INTERRUPTED = "repair_because_interrupted"
    REPAIR_FAILED = "repair_because_failed"
    DELETE_ORPHANED = "delete_because_orphaned"
    DELETE_EXPIRED = "delete_because_expired"
    DELETE_STRAY = "delete_because_stray"
    DELETE_REQUESTED = "delete_because_requested"
    NO_OP_SYNCED = "no_op_because_synced"
    NO_OP_SUSPENDED = "no_op_because_suspended"
    NO_OP_EXPIRED = "no_op_because_expired"
    NO_OP_PRUNE_DISABLED = "no_op_because_prune_disabled"
    NO_OP_SELF_HEAL_DISABLED = "no_op_because_self_heal_disabled"
    NO_OP_NOT_IN_GIT = "no_op_because_not_in_git"
    BLOCKED_UNREACHABLE = "blocked_because_unreachable"
    BLOCKED_ENGINE = "blocked_because_engine"
    BLOCKED_AMBIGUOUS = "blocked_because_ambiguous"
    BLOCKED_NO_HOST = "blocked_because_no_host"
    BLOCKED_INPUT = "blocked_because_input_unavailable"
    BLOCKED_SECRET = "blocked_because_secret_missing"  # noqa: S105 - a word of the contract, not a secret
    BLOCKED_REFUSED = "blocked_because_refused"
    BLOCKED_GUARD = "blocked_because_guard"
    BLOCKED_LOCKED = "blocked_because_locked"
    BLOCKED_STALE = "blocked_because_stale"
