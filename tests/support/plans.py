"""Plans, outcomes and handles as values, for tests of their rendering."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandboxer.errors.remedy import Notice
from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.plan import Change, EnvValues, FieldChange, HostSummary, Plan, Unmanaged
from sandboxer.reconcile.change import blocked

COMMIT = "1f2e3d4c5b6a79880f1e2d3c4b5a69788796a5b4"


def change(name: str, reason: Reason, **more: Any) -> Change:
    """Return a change with the action that its reason names."""
    word = reason.value.split("_because_")[0].replace("_", "-")
    action = Action(word)
    values: dict[str, Any] = {
        "id": f"{len(name):08x}",
        "host": "lab-1",
        "sync": Sync.SYNCED if action is Action.NO_OP else Sync.OUT_OF_SYNC,
        "health": Health.HEALTHY,
        **more,
    }
    made = Change(sandbox=name, action=action, reason=reason, **values)
    blocks = action is Action.BLOCKED
    return replace(blocked(made, reason, made.message, made.remedy), volumes=made.volumes) if blocks else made


def fields(**values: tuple[Any, ...]) -> tuple[FieldChange, ...]:
    """Return field changes by path, double underscores for dots: old, new, and the values of a variable."""
    return tuple(FieldChange(path.replace("__", "."), *given) for path, given in values.items())


def plan_of(*changes: Change, hosts: dict[str, str | None] | None = None, **more: Any) -> Plan:
    """Return a plan of these changes.

    ``hosts`` maps the observed hosts to their errors, where ``engine: …`` stands for a host that answered in part.
    """
    hosts_observed = {"lab-1": None, "lab-2": None} if hosts is None else hosts
    summaries = tuple(
        HostSummary(
            name, "reachable" if error is None else "unknown" if error.startswith("engine:") else "unreachable", error
        )
        for name, error in hosts_observed.items()
    )
    return Plan(**{"fleet": "acme", "commit": COMMIT, "dirty": False, "hosts": summaries, "changes": changes, **more})


CREATED = fields(
    spec__compose__files=(None, ["e2e/compose.yaml"]),
    spec__consumer__actor=(None, "atm"),
    spec__consumer__project=(None, "wise-validator"),
    spec__costClass=(None, None),
    spec__env__LOG_LEVEL=(None, "(hidden)", EnvValues(None, "info")),
    spec__extension=(None, "ext.compose-ssh"),
    spec__inputs__ref=(None, "main"),
    spec__inputs__repo=(None, "../checkout"),
    spec__labels__team=(None, "payments"),
    spec__network__egress=(None, "deny"),
    spec__profile=(None, "profile.compose-e2e"),
    spec__secrets__DB_PASSWORD=(None, "env:DB_PASSWORD"),
    spec__suspend=(None, False),
    spec__ttl=(None, "8h"),
)

EVERYTHING = plan_of(
    change("checkout-e2e", Reason.CREATE_ABSENT, message="not found on any host", pending=CREATED),
    change(
        "preview",
        Reason.UPDATE_CHANGED,
        message="env.LOG_LEVEL, ttl",
        pending=fields(
            spec__env__LOG_LEVEL=("hmac:0a1b2c3d4e5f", "hmac:5f4e3d2c1b0a", EnvValues("info", "debug")),
            spec__ttl=("4h", "8h"),
            spec__labels__note=("", None),
        ),
        drift=fields(services__web__state=("running", "exited (137)"), services__extra=(None, "extra")),
    ),
    change("labels", Reason.UPDATE_CHANGED, message="ttl", pending=fields(spec__ttl=("4h", "8h"))),
    change(
        "sealed",
        Reason.REPLACE_CHANGED,
        message="isolation, ttl",
        pending=fields(spec__isolation=("container", "vm"), spec__ttl=("4h", "8h")),
        volumes=("sbx-sealed-00000006_data", "sbx-sealed-00000006_cache"),
    ),
    change(
        "moved",
        Reason.REPLACE_MOVED,
        message="lab-2 is draining",
        from_host="lab-2",
        volumes=("sbx-moved-00000005_db",),
    ),
    change(
        "healed",
        Reason.REPAIR_DRIFT,
        message="services.web.state",
        drift=fields(services__web__state=("running", "running (unhealthy)")),
    ),
    change("old", Reason.DELETE_ORPHANED, message="its manifest is gone from git", host="lab-2"),
    change(
        "far",
        Reason.BLOCKED_UNREACHABLE,
        host="lab-3",
        sync=Sync.UNKNOWN,
        health=Health.UNKNOWN,
        message="may exist on lab-3, which could not be fully inspected: 198.18.0.13:22 does not answer within 10 s",
    ),
    change("wide", Reason.BLOCKED_NO_HOST, host=None, message="no host matches its placement: see spec.placement"),
    change(
        "needy", Reason.BLOCKED_SECRET, host=None, message="this machine has no value for DB (from env:DB_PASSWORD)"
    ),
    change("calm", Reason.NO_OP_SYNCED, message="in sync with git"),
    change(
        "paused",
        Reason.NO_OP_SUSPENDED,
        message="suspend: true",
        sync=Sync.OUT_OF_SYNC,
        pending=fields(spec__ttl=("4h", "8h")),
    ),
    change("gone", Reason.NO_OP_EXPIRED, host=None, message="it expired, and its manifest has not changed since"),
    hosts={
        "lab-1": None,
        "lab-2": None,
        "lab-3": "198.18.0.13:22 does not answer within 10 s",
        "lab-4": "engine: docker does not answer:\nCannot connect to the Docker daemon",
    },
    dirty=True,
    warnings=(Notice("the clock of lab-2 is 90 s ahead of this machine's"),),
    unmanaged=(
        Unmanaged("lab-1", "compose_project", "other"),
        Unmanaged("lab-1", "directory", "someone/else"),
        Unmanaged("lab-2", "container", "registry"),
        Unmanaged("lab-2", "ambiguous", "lost (0a0b0c0d)"),
    ),
    imperative=(change("agent-x", Reason.NO_OP_SYNCED, origin="api"),),
)
"""A plan with something of everything."""
