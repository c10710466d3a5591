"""`sandboxer validate` judges the compose files of each sandbox's commit, offline, beside the manifests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.gitrepo import GitRepo
from tests.support.program import run
from tests.support.unreachable import FLEET

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = """\
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.web}
spec:
  extension: ext.compose-ssh
  reachability: {ports: [{name: http, service: web, port: 80}]}
"""
SANDBOX = """\
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: NAME}
spec: {profile: profile.web, inputs: {repo: REPO, ref: REF}}
"""


def sandbox(name: str, repo: str = "../shop", ref: str = "main") -> str:
    return SANDBOX.replace("NAME", name).replace("REPO", repo).replace("REF", ref)


@pytest.fixture
def shop(tmp_path: Path) -> GitRepo:
    repo = GitRepo.create(tmp_path / "shop")
    repo.commit({"compose.yaml": "services:\n  web:\n    image: x\n    privileged: true\n"})
    return repo


@pytest.fixture
def fleet(tmp_path: Path) -> GitRepo:
    repo = GitRepo.create(tmp_path / "fleet")
    repo.commit({"sandboxer.yaml": FLEET, "profiles/web.yaml": PROFILE, "manifests/web.yaml": sandbox("web")})
    return repo


@pytest.mark.usefixtures("shop")
def test_a_finding_has_its_line_and_the_repository_that_it_is_in(fleet: GitRepo) -> None:
    fleet.write("manifests/more.yaml", sandbox("more"))  # of the same input: it is reported once
    done = run("-C", fleet.path, "validate")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        "error[compose-refused]: services.web.privileged: gives rights over the host\n"
        " --> compose.yaml:4:17 in ../shop\n"
        "  |\n"
        "4 |     privileged: true\n"
        "  |                 ^^^^ remove it\n"
        "\n"
        "1 error\n"
        "4 documents in 4 files are valid\n"
    )
    (found,) = json.loads(run("-C", fleet.path, "validate", "-o", "json").stdout)["diagnostics"]
    assert (found["repo"], found["file"], found["line"], found["column"]) == ("../shop", "compose.yaml", 4, 17)


def test_the_commit_of_the_input_counts_and_not_its_work_tree(fleet: GitRepo, shop: GitRepo) -> None:
    shop.write("compose.yaml", "services: {web: {image: x}}\n")
    assert run("-C", fleet.path, "validate").returncode == 1
    shop.commit()
    assert run("-C", fleet.path, "validate").returncode == 0


def test_a_finding_in_the_fleets_own_repository_has_its_path_there(fleet: GitRepo) -> None:
    fleet.commit({"manifests/web.yaml": sandbox("web", ".", "HEAD"), "compose.yaml": "services: {web: {imge: x}}\n"})
    done = run("-C", fleet.path, "validate", "-o", "github")
    assert "::error file=compose.yaml,line=1,col=18,endColumn=22,title=compose-unknown-key::" in done.stdout


def test_a_finding_about_a_profile_is_in_the_manifest(fleet: GitRepo, shop: GitRepo) -> None:
    shop.commit({"compose.yaml": "services: {wep: {image: x}}\n"})
    done = run("-C", fleet.path, "validate")
    assert "--> profiles/web.yaml:6:48\n" in done.stdout
    assert "^^^ did you mean `wep`?" in done.stdout


def test_a_warning_does_not_fail(fleet: GitRepo, shop: GitRepo) -> None:
    shop.commit({"compose.yaml": "services: {web: {image: x, user: '${WHO}'}}\n"})
    done = run("-C", fleet.path, "validate")
    assert done.returncode == 0
    assert "warning[unset-variable]: nothing sets the variable WHO" in done.stdout


def test_what_cannot_be_checked_offline_is_named_with_the_cause(fleet: GitRepo, shop: GitRepo) -> None:
    shop.commit({"compose.yaml": "services: {web: {image: x}}\n"})
    fleet.write("manifests/far.yaml", sandbox("far", "https://git.invalid/shop.git"))
    fleet.write("manifests/gone.yaml", sandbox("gone", "../nowhere"))
    fleet.write("manifests/pinned.yaml", sandbox("pinned", "https://git.invalid/shop.git", "1" * 40))
    done = run("-C", fleet.path, "validate")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        (
            'Not checked: the files of sandbox "far": https://git.invalid/shop.git at main: '
            "it is remote, and only a commit in the cache is found offline"
        ),
        f'Not checked: the files of sandbox "gone": ../nowhere at main: there is no folder {shop.path.parent}/nowhere',
        (
            f'Not checked: the files of sandbox "pinned": https://git.invalid/shop.git at {"1" * 40}: '
            "commit 111111111111 is not in the cache"
        ),
    ]


@pytest.mark.usefixtures("shop")
def test_a_path_limits_the_report_to_what_its_sandboxes_run(fleet: GitRepo) -> None:
    fleet.write("manifests/own.yaml", sandbox("own", ".", "HEAD"))
    fleet.commit({"compose.yaml": "services: {web: {image: x}}\n"})
    assert run("-C", fleet.path, "validate", "manifests/own.yaml").returncode == 0
    assert run("-C", fleet.path, "validate", "manifests/web.yaml").returncode == 1


@pytest.mark.usefixtures("shop")
def test_with_errors_in_the_manifests_these_come_first(fleet: GitRepo) -> None:
    fleet.write("profiles/web.yaml", PROFILE.replace("reachability", "reachabilty"))
    done = run("-C", fleet.path, "validate")
    assert "unknown-key" in done.stdout
    assert "compose-refused" not in done.stdout
