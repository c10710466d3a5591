"""The wordings of the planner's remedies, one table each for the terminal, comments, the library and the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors.remedy import RemedyCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.errors.remedy import Remedy

    Wording = Mapping[RemedyCode, str]

TERMINAL: Wording = {
    RemedyCode.CHECK_HOST: "run `sandboxer doctor {host}`; "
    "if the host is gone for good, remove its Host document and use --forget-host {host}",
    RemedyCode.START_ENGINE: "start the engine on {host}; `sandboxer doctor {host}` shows what is wrong",
    RemedyCode.ALLOW_ENGINE: "allow the login on {host} to use the engine: add it to the group of its "
    "socket, or use a rootless engine; `sandboxer doctor {host}` has the command",
    RemedyCode.INSPECT_HOST: "inspect {host}: nothing is done to the sandbox until its owner is certain",
    RemedyCode.FORGET_HOST: "use --forget-host {host} if the machine is gone for good",
    RemedyCode.DRAIN_HOST: "restore the Host document of {host} with `drain: true`, apply, and remove it then",
    RemedyCode.MAKE_ROOM: "raise a host's spec.capacity, lift its cordon, or widen the placement",
    RemedyCode.RENAME: "rename one of them",
    RemedyCode.CHECK_INPUT: "check spec.inputs and that this machine may read the repository, then plan again",
    RemedyCode.CHANGE_INPUT: "correct what is found, commit it, then plan again; `sandboxer validate` shows it too",
    RemedyCode.PROVIDE_SECRET: "provide the secret on this machine, then plan again",
    RemedyCode.AWAIT_LOCK: "wait until the other client is done, then apply again",
    RemedyCode.ALLOW_ROLLBACK: "plan that commit, or use --allow-rollback",
    RemedyCode.ADOPT_FLEET: "rename one of the fleets, or use --adopt-fleet",
    RemedyCode.ALLOW_RENAME: "restore the name {fleet} and remove its sandboxes first, "
    "or use --allow-rename if that is intended",
    RemedyCode.ALLOW_EMPTY: "use --allow-empty if that is intended",
    RemedyCode.RAISE_MAX_DELETES: "use --max-deletes {count} if that is intended",
    RemedyCode.REPLACE: "repair it with `sandboxer apply --replace {sandbox}`",
    RemedyCode.COMPARE_CONTENTS: "compare its files with `sandboxer drift --deep --target {sandbox}`",
    RemedyCode.RAISE_TTL: "raise ttl.max, and recreate the sandbox with `sandboxer apply --replace {sandbox}`",
    RemedyCode.DESTROY_UNRECORDED: "remove it with `sandboxer destroy --without-record {id}`",
    RemedyCode.PLAN_AGAIN: "plan again with `sandboxer plan --out FILE`",
    RemedyCode.PLAN_FEWER: "plan fewer sandboxes at once with --target NAME",
    RemedyCode.PLANNED_COMMIT: "plan again, or apply the commit that was planned, {commit}: check it out, "
    "or use --ref {commit}",
}
"""For whoever runs a command."""

COMMENT: Wording = {
    **TERMINAL,
    RemedyCode.PROVIDE_SECRET: "provide the secret to the job that plans, then plan again",
    RemedyCode.ALLOW_ROLLBACK: "update the branch, or apply with --allow-rollback",
    RemedyCode.ADOPT_FLEET: "rename one of the fleets, or apply with --adopt-fleet",
    RemedyCode.ALLOW_RENAME: "restore the name {fleet} and remove its sandboxes first, "
    "or apply with --allow-rename if that is intended",
    RemedyCode.ALLOW_EMPTY: "apply with --allow-empty if that is intended",
    RemedyCode.RAISE_MAX_DELETES: "apply with --max-deletes {count} if that is intended",
}
"""For whoever reads a plan beside a change of the manifests."""

LIBRARY: Wording = {
    **TERMINAL,
    RemedyCode.FORGET_HOST: "restore the Host document of {host}, or forget the host with `sandboxer apply`",
    RemedyCode.CHECK_HOST: "check {host} with `sandboxer doctor {host}`, and try again",
    RemedyCode.CHECK_INPUT: "check the repository of the inputs and that this machine may read it, then try again",
    RemedyCode.CHANGE_INPUT: "correct the input and commit it, then try again",
    RemedyCode.PROVIDE_SECRET: "provide the secret to this process, then try again",
    RemedyCode.AWAIT_LOCK: "raise lock_timeout, or try again when the other client is done",
    RemedyCode.ALLOW_ROLLBACK: "check out the commit that was applied on {host}",
    RemedyCode.ADOPT_FLEET: "rename one of the fleets",
    RemedyCode.ALLOW_RENAME: "restore the name {fleet} in sandboxer.yaml",
    RemedyCode.ALLOW_EMPTY: "set guards.allowEmpty in sandboxer.yaml if that is intended",
    RemedyCode.RAISE_MAX_DELETES: "raise guards.maxDeletes in sandboxer.yaml to {count} if that is intended",
    RemedyCode.REPLACE: "repair {sandbox} with Client.recreate",
    RemedyCode.COMPARE_CONTENTS: "compare the files of {sandbox} with `sandboxer drift`, in depth",
    RemedyCode.RAISE_TTL: "raise ttl.max in the profile, and recreate {sandbox} with Client.recreate",
    RemedyCode.DESTROY_UNRECORDED: "remove {id} with Client.destroy_unrecorded",
    RemedyCode.PLAN_AGAIN: "plan again",
    RemedyCode.PLAN_FEWER: "plan fewer sandboxes at once",
    RemedyCode.PLANNED_COMMIT: "plan again, or check out {commit}, the commit that was planned",
}
"""For the hints of exceptions."""

_OF_THE_OWNER = "ask the owner of the fleet for the reason, which `sandboxer plan` shows"

API: Wording = {
    **dict.fromkeys(RemedyCode, _OF_THE_OWNER),
    RemedyCode.CHECK_HOST: "try again later",
    RemedyCode.START_ENGINE: "try again later",
    RemedyCode.ALLOW_ENGINE: "try again later",
    RemedyCode.MAKE_ROOM: "destroy a sandbox, request another host, or try again later",
    RemedyCode.CHECK_INPUT: "check inputs, and that this server may read the repository",
    RemedyCode.CHANGE_INPUT: "correct the input and commit it, then try again",
    RemedyCode.PROVIDE_SECRET: "request another secret, or have it provided to this server",
    RemedyCode.AWAIT_LOCK: "try again later",
    RemedyCode.RAISE_TTL: "recreate the sandbox, or have ttl.max of its profile raised",
}
"""For clients of the HTTP API, who see neither the fleet nor its hosts."""

SELECTORS = {"targets": "--target", "excluded": "--exclude", "replaced": "--replace", "hosts": "--host"}
"""The options that set the selectors of a plan."""

# Where a plan's JSON has no hint, its messages have always contained these remedies.
_IN_MESSAGES = frozenset(
    {
        RemedyCode.FORGET_HOST,
        RemedyCode.DRAIN_HOST,
        RemedyCode.RENAME,
        RemedyCode.ALLOW_ROLLBACK,
        RemedyCode.ADOPT_FLEET,
        RemedyCode.ALLOW_RENAME,
        RemedyCode.ALLOW_EMPTY,
        RemedyCode.RAISE_MAX_DELETES,
        RemedyCode.REPLACE,
        RemedyCode.DESTROY_UNRECORDED,
    }
)


def worded(remedy: Remedy | None, wording: Wording) -> str:
    """Return a remedy in one of these wordings; empty without one."""
    if remedy is None:
        return ""
    values = {name: value or f"its {name}" for name, value in remedy.values}
    return wording[remedy.code].format_map(values)


def in_json(message: str, remedy: Remedy | None) -> str:
    """Return a message for a plan's JSON: with its remedy, where the message alone would not say what to do."""
    return f"{message}: {worded(remedy, TERMINAL)}" if remedy and remedy.code in _IN_MESSAGES else message


def from_json(message: str, remedy: Remedy | None) -> str:
    """Return the message that ``in_json`` was given, without the remedy that it may end with.

    Raise KeyError for a remedy that lacks a value, and so cannot be worded.
    """
    words = worded(remedy, TERMINAL)
    return message.removesuffix(f": {words}") if remedy and remedy.code in _IN_MESSAGES else message
