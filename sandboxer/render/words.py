"""The words and signs that all renderings of a plan share: actions, values, counts, remedies."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from sandboxer.errors import UnknownName
from sandboxer.model.hidden import SHOWN, Hidden
from sandboxer.model.lifecycle import Action, Health, Sync
from sandboxer.model.text import printable
from sandboxer.reconcile.fields import EFFECTS, Effect
from sandboxer.render.remedies import SELECTORS, TERMINAL, worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandboxer.errors import SandboxerError
    from sandboxer.errors.remedy import Notice
    from sandboxer.model.plan import Change, Plan
    from sandboxer.render.remedies import Wording

SYMBOLS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.REPAIR: "*",
    Action.DELETE: "-",
    Action.NO_OP: "",
    Action.BLOCKED: "!",
}

DIRTY = "the work tree has uncommitted changes, which this plan includes: commit them, or apply with --allow-dirty"

_NAMED = 5
_TERMINAL_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_SECRET_SOURCE = re.compile(r"(env|file):.+")


def safe(text: str) -> str:
    """Return the text as one line that has no effect on a terminal: control characters are escaped."""
    return printable(_TERMINAL_SEQUENCE.sub("", text).expandtabs(4), 1_000_000)


def safe_lines(text: str) -> list[str]:
    """Return the lines of a text, each of them safe; blank lines at its end are left out."""
    return [safe(line).rstrip() for line in text.rstrip().splitlines()]


def value_text(path: str, value: object) -> str:
    """Return a field's value as people write it; environment values and secrets as ``(hidden)``.

    The planner passes no plain one; this is the last check before the screen and relies on no other. The values that a
    plan may show are not a field's, but ``EnvValues``.
    """
    if isinstance(value, Hidden) or (_is_secret(path) and not _may_show(path, value)):
        return SHOWN
    if value is None:
        return "(none)"
    if isinstance(value, str) and value.strip() == value != "":
        return safe(value)
    return safe(json.dumps(value, ensure_ascii=False, default=str))


def _is_secret(path: str) -> bool:
    return path.removeprefix("spec.").split(".")[0] in ("env", "secrets")


def _may_show(path: str, value: object) -> bool:
    if value is None:
        return True
    secret = path.removeprefix("spec.").startswith("secrets.")
    if isinstance(value, str):
        return bool(secret and _SECRET_SOURCE.fullmatch(value))
    return secret and path.endswith(".version") and isinstance(value, int)


def effect_of_path(path: str) -> Effect | None:
    """Return the effect of a change of the field at this path; None where the table does not list it."""
    parts = path.split(".")
    return EFFECTS.get(parts[1]) if len(parts) > 1 and parts[0] == "spec" else None


def where(change: Change) -> str:
    """Return ``create on lab-1``, ``replace on lab-1, from lab-2``, ``blocked``."""
    host = f" on {safe(change.host)}" if change.host else ""
    return f"{change.action}{host}" + (f", from {safe(change.from_host)}" if change.from_host else "")


def why(change: Change) -> list[str]:
    """Return the sentences with the reason, and with the effect of carrying it out."""
    fields = (*change.pending, *change.drift)
    named = [field.path.removeprefix("spec.") for field in fields]
    # A message that only names fields repeats the list of fields below it.
    repeats = any(change.message == name or change.message.startswith((f"{name}, ", f"{name} and ")) for name in named)
    lines = [] if repeats else safe_lines(change.message)
    if change.error and change.error.message not in change.message:
        lines.append(f"its last operation failed: {safe(change.error.message)}")
    if change.action is Action.UPDATE and all(effect_of_path(f.path) is Effect.RECORD for f in fields):
        unless = ", unless a secret changed" if change.unread_secrets else ""
        lines.append(f"only the record is written: no container is touched{unless}")
    if change.from_host and change.acts:
        host, old = safe(change.host or "another host"), safe(change.from_host)
        lines.append(f"created on {host} first; deleted on {old} once it is ready there")
    return lines


def destroyed(change: Change) -> str:
    """Return the volumes that this change destroys, in a sentence; empty without any."""
    names = ", ".join(safe(name) for name in change.volumes)
    return f"destroys {plural(len(change.volumes), 'volume')}: {names}" if change.acts and change.volumes else ""


def remedy(change: Change, wording: Wording = TERMINAL) -> str:
    """Return what to do about a change, in one of the wordings; empty where there is nothing to do."""
    return safe(worded(change.remedy, wording))


def message_of(error: SandboxerError) -> str:
    """Return what is wrong, in the terminal's words."""
    return f"{SELECTORS[error.selector]}: {error.message}" if isinstance(error, UnknownName) else error.message


def hint_of(error: SandboxerError) -> str:
    """Return what to do about an error, in the terminal's words."""
    return worded(error.remedy, TERMINAL) or error.hint


def notice_text(notice: Notice, wording: Wording = TERMINAL) -> str:
    """Return a notice in one sentence: its message, and what to do about it."""
    return safe(": ".join(part for part in (notice.message, worded(notice.remedy, wording)) if part))


def counts(plan: Plan) -> str:
    """Return ``3 to create, 0 to update, 0 to replace, 1 to repair, 0 to delete; 1 blocked, 4 unchanged``."""
    summary = plan.summary
    acting = [a for a in Action if a not in (Action.NO_OP, Action.BLOCKED)]
    blocked = f"{summary[Action.BLOCKED]} blocked, " if summary[Action.BLOCKED] else ""
    doing = ", ".join(f"{summary[action]} to {action}" for action in acting)
    return f"{doing}; {blocked}{summary[Action.NO_OP]} unchanged"


def nothing_to_do(plan: Plan, *, more: str = "") -> str:
    """Return the sentence of a plan without changes; ``more`` says where to read why some are left as they are."""
    living = [change for change in plan.changes if change.host]
    in_sync = [c for c in living if c.sync is Sync.SYNCED and c.health is not Health.SUSPENDED]
    apart, gone = len(living) - len(in_sync), len(plan.changes) - len(living)
    hosts = plural(len({change.host for change in in_sync}), "host")
    are = "is in sync with git" if len(in_sync) == 1 else "are in sync with git"
    parts = [f"{plural(len(in_sync), 'sandbox')} on {hosts} {are}"] if in_sync else []
    if apart:
        parts.append(f"{plural(apart, 'sandbox')} {'is left as it is' if apart == 1 else 'are left as they are'}")
    if gone:
        parts.append(f"{gone} expired, and stays deleted until its manifest changes")
    none = "There is nothing to delete" if plan.only_deletes else "There are no sandboxes"
    return f"No changes. {'; '.join(parts) or none}{more if apart or gone else ''}."


def secrets_not_compared(plan: Plan) -> str:
    """Return that the secrets of a plan are not compared, and what compares them; empty where there are none."""
    count = len(plan.secrets_not_compared)
    if not count or plan.only_deletes:
        return ""
    return f"Secrets are not compared: a plan reads none. An apply compares those of {plural(count, 'sandbox')}."


def incomplete(plan: Plan) -> str:
    """Return why a plan is incomplete, in a sentence; empty where it is complete."""
    if plan.complete:
        return ""
    hosts = [f"{safe(host.name)} is {host.status}" for host in plan.hosts if host.status != "reachable"]
    blocked = plan.summary[Action.BLOCKED]
    parts = [named(hosts)] if hosts else []
    parts += [f"{plural(blocked, 'sandbox')} {'is' if blocked == 1 else 'are'} blocked"] if blocked else []
    return f"The plan is incomplete: {'; '.join(parts)}."


def unmanaged_counts(plan: Plan) -> list[str]:
    """Return ``2 unmanaged things on lab-1`` for each host, without those that claim to be ours."""
    things = Counter(thing.host for thing in plan.unmanaged if thing.kind != "ambiguous")
    return [f"{plural(count, 'unmanaged thing')} on {safe(host)}" for host, count in sorted(things.items())]


def named(things: Sequence[str]) -> str:
    """Return the first few of them, and how many more there are."""
    rest = len(things) - _NAMED
    return ", ".join(things[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def plural(count: int, thing: str) -> str:
    """Return ``1 host``, ``2 hosts``, ``3 sandboxes``."""
    return f"{count} {thing}{'' if count == 1 else 'es' if thing.endswith('x') else 's'}"


def seconds_text(seconds: float) -> str:
    """Return ``2.1 s``, ``1 min 05 s``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def list_of(actions: Iterable[tuple[str, int]]) -> str:
    """Return ``3 created, 1 repaired`` from words and counts; zero counts are left out."""
    return ", ".join(f"{count} {word}" for word, count in actions if count)
