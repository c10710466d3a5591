"""Every refusal of the policy: validate, plan and apply say the same of it, with file and line, and no host is touched.

The cases are collected from the case files and tables that the policy is tested by, so that a new one is among them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.extensions.compose_ssh.rules import REFUSED
from sandboxer.lifecycle.execute import Executor
from sandboxer.model.lifecycle import Action
from sandboxer.model.run_events import ignore
from sandboxer.reconcile.planner import plan
from sandboxer.wiring.source import FleetSource
from tests.support.gitrepo import GitRepo
from tests.support.judging import judged
from tests.support.planning import NOW, copy_with, observation, record_of
from tests.support.program import run
from tests.unit.extensions.compose_ssh.test_compose_harden import cases
from tests.unit.extensions.compose_ssh.test_compose_readers import REFUSED as UNREADABLE
from tests.unit.extensions.compose_ssh.test_judging import TREE, profile_of

if TYPE_CHECKING:
    from sandboxer.model.desired import Fleet
    from sandboxer.model.plan import Change, Plan

Files = dict[str, str | bytes]


def collected() -> dict[str, tuple[Files, dict[str, Any]]]:
    """Return every refusal that is certain without a host: its files, the first one its compose file; its profile."""
    found: dict[str, tuple[Files, dict[str, Any]]] = {}
    for number, case in enumerate(cases("refused.yaml")):
        service = {"image": "web", **case.get("service", {})}
        text = yaml.safe_dump({"services": {"db": {"image": "db:1"}, "web": service}} | case.get("also", {}))
        found[f"policy-{number}"] = ({"compose.yaml": text, **TREE}, profile_of(case.get("policy", {})))
    for number, key in enumerate(sorted(REFUSED)):
        value = "[m]" if key == "models" else "x"
        found[f"key-{number}"] = ({"compose.yaml": f"services: {{web: {{image: x, {key}: {value}}}}}\n"}, {})
    for number, case in enumerate(cases("sources.yaml")):
        found[f"source-{number}"] = (dict(case["files"]), {})
    for number, (text, _) in enumerate(UNREADABLE.values()):
        found[f"text-{number}"] = ({"compose.yaml": text}, {})
    return {name: given for name, given in found.items() if is_certain(*given)}


def is_certain(files: Files, profile: dict[str, Any]) -> bool:
    judgement = judged(files, profile=profile)
    errors = [one for one in judgement.diagnostics if one.severity == "error"]
    return bool(errors or judgement.of_profile)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> GitRepo:
    """A fleet with a sandbox for each of them, and one that is sound."""
    repo = GitRepo.create(tmp_path_factory.mktemp("refused") / "fleet")
    documents = [document("Fleet", "acme", {}), document("Host", "lab-1", {"address": "lab-1.example"})]
    given = {**collected(), "sound": ({"compose.yaml": "services: {web: {image: x}}\n"}, {})}
    for name, (files, profile) in given.items():
        for path, content in files.items():
            if isinstance(content, str) and content.startswith("-> "):
                repo.link(f"stacks/{name}/{path}", content[3:])
            else:
                repo.write(f"stacks/{name}/{path}", content)
        spec = {"workspace": {"path": f"stacks/{name}"}, "compose": {"files": [next(iter(files))]}, **profile}
        documents.append(document("Profile", name, {"extension": "ext.compose-ssh", **spec}))
        documents.append(document("Sandbox", name, {"profile": name, "inputs": {"repo": ".", "ref": "HEAD"}}))
    repo.write("sandboxer.yaml", yaml.safe_dump_all(documents, sort_keys=False))
    repo.commit()
    return repo


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def plans_of(fleet: Fleet) -> list[Plan]:
    """Return the plan where no sandbox exists, and the one where each was applied at another commit."""
    empty = observation({}, "lab-1", {})
    assert empty is not None
    former = {
        name: replace(one, spec={**one.spec, "workspace": {**one.spec["workspace"], "digest": "sha256:former"}})
        for name, one in fleet.sandboxes.items()
    }
    found = {one.id: copy_with(record_of(one, "lab-1")) for one in former.values()}
    return [plan(fleet, {"lab-1": one}, NOW) for one in (empty, replace(empty, found=found))]  # type: ignore[type-var]


def test_validate_plan_and_apply_say_the_same_and_no_host_is_touched(refused: GitRepo) -> None:
    valid = json.loads(run("-C", refused.path, "validate", "-o", "json").stdout)["diagnostics"]
    source = FleetSource(refused.path)
    fleet = source.fleet()
    assert len(fleet.sandboxes) > 150
    unread = {name for name, one in fleet.sandboxes.items() if one.input_error}  # git's own check comes first
    assert all("the link link" in str(fleet.sandboxes[name].input_error) for name in unread)
    for decided in plans_of(fleet):
        changes = {change.sandbox: change for change in decided.changes}
        assert changes.pop("sound").acts
        shown = set()
        for name, change in changes.items():
            if name in unread:
                assert change.reason == "blocked_because_input_unavailable"
                continue
            assert change.reason == "blocked_because_refused", name
            assert [one for one in change.diagnostics if one.severity == "error"], name
            for one in change.diagnostics:
                assert one.to_json() in valid
                assert one.location.file.startswith((f"stacks/{name}/", "sandboxer.yaml"))
                assert one.location.line > 0
                shown.add(one)
        assert len(shown) == len({json.dumps(one) for one in valid})
        apply(decided, fleet)


def apply(decided: Plan, fleet: Fleet) -> None:
    """Apply a plan but for what is sound: nothing reaches a backend or a host."""

    def never(*_: object) -> Any:
        raise AssertionError("a host would be touched")

    executor = Executor(
        desired={one.id: one for one in fleet.sandboxes.values()},
        extension_of=never,
        former_of=never,
        operation_for=never,
        might_live=never,
        plan_again=None,
        emit=ignore,
        parallelism=2,
        hide=lambda _change, text: text,
    )
    changes: list[Change] = [change for change in decided.changes if change.sandbox != "sound"]
    outcomes = executor.run(changes)
    assert {outcome.change.action for outcome in outcomes} == {Action.BLOCKED}
    assert all(outcome.word == "blocked" for outcome in outcomes)


def test_most_of_the_policy_is_certain_without_a_host() -> None:
    every = len(cases("refused.yaml")) + len(REFUSED) + len(cases("sources.yaml")) + len(UNREADABLE)
    assert len(collected()) > 0.9 * every
