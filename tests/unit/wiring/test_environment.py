"""The values of the environment in a plan: those that git has and that were applied, and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.adapters.git import FleetRepository
from sandboxer.model.plan import EnvValues
from sandboxer.reconcile.planner import plan
from sandboxer.wiring.environment import with_environment
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.planning import Planned
from tests.support.gitrepo import GitRepo, isolate
from tests.support.planning import NOW, fleet_of, observations_of

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.plan import Plan

HEAD = "apiVersion: sandboxer.dev/v1\nkind: "
FLEET = f"{HEAD}Fleet\nmetadata: {{name: acme}}\n"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def manifests(env: dict[str, str], sensitive: tuple[str, ...] = (), of_profile: tuple[str, ...] = ()) -> dict[str, str]:
    sandbox = {"profile": "e2e", "env": env, "sensitive": [*sensitive]}
    profile = {"extension": "ext.compose-ssh", "sensitive": [*of_profile]}
    return {
        "sandboxer.yaml": FLEET,
        "manifests/web.yaml": f"{HEAD}Sandbox\nmetadata: {{name: web}}\nspec: {json.dumps(sandbox)}\n",
        "profiles/e2e.yaml": f"{HEAD}Profile\nmetadata: {{name: e2e}}\nspec: {json.dumps(profile)}\n",
    }


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    return GitRepo.create(tmp_path / "fleet")


def planned(commit: str | None, applied: dict[str, str], env: dict[str, str], **more: Any) -> Planned:
    """Return the plan of a sandbox whose environment was applied at a commit, and is another one now."""
    copies = [{"name": "web", "spec": {"env": applied, "sensitive": []}, "record": {"fleet_commit": commit}}]
    case = {
        "sandboxes": {"web": {"env": env, "sensitive": more.get("sensitive", [])}},
        "profile": {"sensitive": more.get("of_profile", [])},
        "found": {"lab-1": {"copies": copies if commit != "none" else []}},
    }
    fleet, by_host = fleet_of(case), observations_of(case)
    return Planned(plan(fleet, by_host, NOW), FleetObservations(fleet, by_host))


def values(found: Plan) -> dict[str, EnvValues | None]:
    (change,) = found.changes
    return {field.path.removeprefix("spec.env."): field.env for field in change.pending if field.env}


def test_both_values_are_shown_as_git_has_them(repo: GitRepo) -> None:
    before, after = {"A": "old", "B": "same", "GONE": ""}, {"A": "new", "B": "same", "MADE": "x"}
    commit = repo.commit(manifests(before))
    repo.commit(manifests({"A": "later"}))
    decided = planned(commit, before, after)
    assert values(with_environment(decided, FleetRepository(repo.path))) == {
        "A": EnvValues("old", "new"),
        "GONE": EnvValues("", None),
        "MADE": EnvValues(None, "x"),
    }


def test_a_created_sandbox_has_new_values_alone(repo: GitRepo) -> None:
    repo.commit(manifests({}))
    decided = planned("none", {}, {"A": "new", "API_TOKEN": "t0ken"})
    found = values(with_environment(decided, FleetRepository(repo.path)))
    assert found == {"A": EnvValues(None, "new"), "API_TOKEN": EnvValues(None, "(sensitive)")}


def test_a_sensitive_name_hides_both_values(repo: GitRepo) -> None:
    before, after = {"DB_PASSWORD": "1", "PIN": "2", "CODE": "3"}, {"DB_PASSWORD": "4", "PIN": "5", "CODE": "6"}
    commit = repo.commit(manifests(before))
    decided = planned(commit, before, after, sensitive=["PIN"], of_profile=["CODE"])
    masked = EnvValues("(sensitive)", "(sensitive)")
    found = with_environment(decided, FleetRepository(repo.path))
    assert values(found) == dict.fromkeys(before, masked)


def test_the_credentials_of_a_url_are_hidden_whatever_its_name(repo: GitRepo) -> None:
    before = {"DATABASE_URL": "postgres://shop:hunter2@db/shop", "CACHE": "redis://cache:6379"}
    after = {"DATABASE_URL": "postgres://shop:hunter3@db/shop", "CACHE": "redis://other:6379"}
    commit = repo.commit(manifests(before))
    assert values(with_environment(planned(commit, before, after), FleetRepository(repo.path))) == {
        "CACHE": EnvValues("redis://cache:6379", "redis://other:6379"),
        "DATABASE_URL": EnvValues("(sensitive)", "(sensitive)"),
    }
    created = values(with_environment(planned("none", {}, after), FleetRepository(repo.path)))
    assert created["DATABASE_URL"] == EnvValues(None, "(sensitive)")


@pytest.mark.parametrize("listed", [{"sensitive": ("PIN",)}, {"of_profile": ("PIN",)}])
def test_what_was_sensitive_at_the_applied_commit_stays_hidden(repo: GitRepo, listed: dict[str, Any]) -> None:
    commit = repo.commit(manifests({"PIN": "1"}, **listed))
    found = values(with_environment(planned(commit, {"PIN": "1"}, {"PIN": "2"}), FleetRepository(repo.path)))
    assert found == {"PIN": EnvValues("(sensitive)", "(sensitive)")}


def test_a_value_that_was_not_applied_is_not_shown_as_if_it_was(repo: GitRepo) -> None:
    commit = repo.commit(manifests({"A": "in git"}))
    found = values(
        with_environment(planned(commit, {"A": "applied", "B": "1"}, {"A": "new"}), FleetRepository(repo.path))
    )
    assert found == {
        name: EnvValues(
            "(unknown)",
            new,
            f"the applied value is not that of commit {commit[:12]} of the fleet: "
            "it was applied with uncommitted changes",
        )
        for name, new in (("A", "new"), ("B", None))
    }


def test_a_commit_that_git_lost_is_named_with_what_would_help(repo: GitRepo, tmp_path: Path) -> None:
    before = {"A": "old"}
    commit = repo.commit(manifests(before))
    repo.commit(manifests({"A": "new"}))
    clone = GitRepo(tmp_path / "shallow")
    repo.git("clone", "-q", "--depth=1", f"file://{repo.path}", str(clone.path))
    reason = f"the repository does not have the applied commit {commit[:12]}"
    for path, gone, hint in (
        (clone.path, commit, "fetch the full history: `git fetch --unshallow`; in CI, fetch-depth: 0"),
        (repo.path, "d" * 40, "fetch the branch that had it; after a rebase, the commit may be gone for good"),
    ):
        found = values(with_environment(planned(gone, before, {"A": "new"}), FleetRepository(path)))
        assert found == {"A": EnvValues("(unknown)", "new", reason.replace(commit[:12], gone[:12]), hint)}


def test_a_fleet_without_git_has_no_applied_values(tmp_path: Path) -> None:
    found = values(with_environment(planned(None, {"A": "1"}, {"A": "2"}), FleetRepository(tmp_path)))
    assert found == {
        "A": EnvValues("(unknown)", "2", "the applied values are not in git: the fleet was applied without a commit")
    }


def test_json_has_the_values_and_no_digest(repo: GitRepo) -> None:
    commit = repo.commit(manifests({"A": "old", "B_TOKEN": "t0ken-1", "C": "x"}))
    decided = planned(commit, {"A": "old", "B_TOKEN": "t0ken-1", "C": "y"}, {"A": "new", "B_TOKEN": "t0ken-2"})
    content = with_environment(decided, FleetRepository(repo.path)).to_json()
    text = json.dumps(content)
    assert not [word for word in ("hmac", "t0ken") if word in text]
    (change,) = content["changes"]  # type: ignore[misc]
    assert (
        [one for one in change["pending"] if one["path"].startswith("spec.env")]
        == [  # type: ignore[call-overload,index]
            {"path": "spec.env.A", "old": "old", "new": "new"},
            {"path": "spec.env.B_TOKEN", "old": "(sensitive)", "new": "(sensitive)"},
            {
                "path": "spec.env.C",
                "old": "(unknown)",
                "new": None,
                "unknown": f"the applied value is not that of commit {commit[:12]} of the fleet: it was applied with "
                "uncommitted changes",
                "hint": None,
            },
        ]
    )


def test_a_value_that_is_not_read_from_git_is_hidden(repo: GitRepo) -> None:
    decided = planned("c" * 40, {"A": "old"}, {"A": "new"})
    text = json.dumps(decided.plan.to_json())
    assert "hmac" not in text
    assert '{"path": "spec.env.A", "old": "(hidden)", "new": "(hidden)"}' in text


def test_nothing_that_was_decided_changes(repo: GitRepo) -> None:
    decided = planned(repo.commit(manifests({"A": "old"})), {"A": "old"}, {"A": "new"})
    found = with_environment(decided, FleetRepository(repo.path))
    (before,), (after,) = decided.plan.changes, found.changes
    assert [field.decided() for field in before.pending] == [field.decided() for field in after.pending]
    assert (before.fingerprint, before.action) == (after.fingerprint, after.action)
