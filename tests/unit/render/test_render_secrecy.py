"""What no rendering of a plan shows: secrets, and values of the environment that it may not show."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden
from sandboxer.model.lifecycle import Action, Reason, Sync
from sandboxer.model.observed import EngineObservation, Reachable
from sandboxer.model.plan import FieldChange, Plan
from sandboxer.model.protocols import InputTree, Revision, TreeEntry
from sandboxer.profiles.loader import load
from sandboxer.profiles.resolve import resolve
from sandboxer.reconcile.planner import plan
from sandboxer.render.picture import export_svg
from sandboxer.render.plan_markdown import plan_markdown
from sandboxer.render.plan_text import plan_text
from sandboxer.render.words import value_text
from tests.support.cases import piped
from tests.support.plans import change, plan_of

SUSPENDED = change("paused", Reason.NO_OP_SUSPENDED, sync=Sync.OUT_OF_SYNC, message="suspend: true")
PLAIN = ("s3cr3t-password", "plain-value", "12345678")


@pytest.mark.parametrize(
    "path", ["spec.env.A", "spec.secrets.A", "spec.secrets.A.hmac", "spec.env", "env.A", "spec.env.A.B"]
)
def test_no_plain_environment_or_secret_value_is_ever_shown(path: str) -> None:
    values: list[Any] = [*PLAIN, int(PLAIN[2]), {"A": PLAIN[0]}, [PLAIN[0]], Hidden(PLAIN[0]), f"hmac:{PLAIN[0]}"]
    found = tuple(FieldChange(path, old, new) for old in values for new in values)
    decided = plan_of(
        change("web", Reason.UPDATE_CHANGED, pending=found, drift=found),
        change("api", Reason.CREATE_ABSENT, pending=found),
        replace(SUSPENDED, pending=found),
    )
    shown = (
        piped(plan_text(decided, show_all=True)),
        plan_markdown(decided),
        export_svg(plan_text(decided), title="plan"),
    )
    assert not [value for value in PLAIN for text in shown if value in text]


def test_a_hidden_value_is_hidden_under_any_path() -> None:
    assert value_text("spec.setup.a", Hidden(PLAIN[0])) == "(hidden)"
    assert PLAIN[0] not in value_text("spec.setup", {"a": [Hidden(PLAIN[0])]})


def test_a_source_may_be_shown_and_a_digest_not() -> None:
    assert value_text("spec.env.A", "hmac:0a1b2c3d4e5f") == "(hidden)"
    assert value_text("spec.secrets.A.from", "env:A") == "env:A"
    assert value_text("spec.secrets.A.version", 2) == "2"


def test_no_secret_of_a_planned_manifest_is_in_any_face_of_its_plan() -> None:
    decided = _planned(env="plain-value", secret="s3cr3t-password")
    assert decided.summary[Action.CREATE] == 1
    shown = [
        piped(plan_text(decided, show_all=True)),
        plan_markdown(decided),
        export_svg(plan_text(decided), title="plan"),
    ]
    shown.append(json.dumps(decided.to_json()))
    assert not [value for value in PLAIN for text in shown if value in text]
    assert all("LOG_LEVEL" in text and "DB_PASSWORD" in text for text in shown)


class _Inputs:
    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        return InputTree(repo, ref, "c" * 40, path, "d" * 64, {"compose.yaml": TreeEntry("compose.yaml", "b" * 40)})


def _planned(*, env: str, secret: str) -> Plan:
    head = "apiVersion: sandboxer.dev/v1\nkind: "
    files = {
        "sandboxer.yaml": f"{head}Fleet\nmetadata: {{name: acme}}\nspec: {{secrets: {{allow: ['env:DB_PASSWORD']}}}}\n"
        f"---\n{head}Host\nmetadata: {{name: lab-1}}\nspec: {{address: 198.18.0.11}}\n",
        "profiles/p.yaml": f"{head}Profile\nmetadata: {{name: p}}\nspec:\n  extension: ext.compose-ssh\n"
        "  compose: {files: [compose.yaml]}\n  ttl: {default: 4h, max: 24h}\n",
        "manifests/web.yaml": f"{head}Sandbox\nmetadata: {{name: web}}\nspec:\n  profile: p\n"
        f"  inputs: {{repo: ../web, ref: main}}\n  env: {{LOG_LEVEL: {env}}}\n"
        "  secretRefs: [{name: DB_PASSWORD, from: env:DB_PASSWORD}]\n",
    }
    fleet = resolve(
        load({path: text.encode() for path, text in files.items()}),
        Revision({}, commit="a" * 40),
        _Inputs(),  # type: ignore[arg-type]
        lambda ref: SecretValue(ref.name, ref.from_, present=True, value=Hidden(secret)),
    )
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    observation = Reachable(
        "lab-1", now, "boot", 1 << 40, 2.0, 1 << 34, "docker", {"docker": EngineObservation("docker")}, {}
    )
    return plan(fleet, {"lab-1": observation}, now)
