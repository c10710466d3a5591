"""What a request over the API may use of the server: which repositories, which secrets, and which names.

The library is the real one, over a fleet without a host: what may be had ends as "no host", what may not before that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from sandboxer.api.server import client_of
from sandboxer.client import Client
from sandboxer.errors import InputUnavailable, ManifestError, SandboxError
from tests.support.gitrepo import GitRepo
from tests.support.problems import assert_problem
from tests.unit.api.apis import ALL, BOUND, Library, RunningApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

COMPOSE = "services: {a: {image: busybox}}\n"
SECRETS = [
    "env:PLAIN",
    {"ref": "env:OF_PROFILE", "profiles": ["profile.web"]},
    {"ref": "env:OF_CONSUMER", "consumers": ["atm/one"]},
    {"ref": "env:BOUND", "profiles": ["profile.web"], "consumers": ["atm/one", "adm/ops"]},
    {"ref": "file:/etc/hostname", "profiles": ["profile.other"], "consumers": ["atm/one"]},
    {"ref": "env:TWICE", "profiles": ["profile.other"], "consumers": ["atm/one"]},
    {"ref": "env:TWICE", "profiles": ["profile.web"], "consumers": ["atm/two"]},
]


class _Real(Library):
    """The library itself."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.connect = client_of(root)  # type: ignore[method-assign]  # the very one that a server has


def _document(kind: str, name: str, spec: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fleet, repositories in `allowed`, and others that are nobody's business."""
    base = tmp_path_factory.mktemp("server")
    for name in ("allowed/shop", "allowed-not/shop", "secret/code"):
        repo = GitRepo.create(base / name)
        repo.write("compose.yaml", COMPOSE)
        repo.commit()
    (base / "allowed/way-out").symlink_to(base / "secret")
    (base / "allowed/shop-too").symlink_to(base / "allowed/shop")
    (base / "allowed/circle").symlink_to(base / "allowed/circle")
    (base / "allowed/no-repository").mkdir()
    (base / "secret/no-repository").mkdir()
    fleet = GitRepo.create(base / "fleet")
    roots = [str(base / "allowed"), "https://git.example/team", "ssh://git@git.example/srv", "git@git.example:team"]
    spec = {"secrets": {"allow": SECRETS}, "api": {"repoRoots": roots}}
    fleet.write("sandboxer.yaml", _document("Fleet", "acme", spec))
    fleet.write("manifests/web.yaml", _document("Profile", "profile.web", {"extension": "ext.compose-ssh"}))
    fleet.write("manifests/other.yaml", _document("Profile", "profile.other", {"extension": "ext.compose-ssh"}))
    fleet.write("manifests/of-git.yaml", _document("Sandbox", "of-git", {"profile": "profile.web"}))
    fleet.write("compose.yaml", COMPOSE)
    fleet.write("nested/compose.yaml", COMPOSE)
    fleet.commit()
    return base


@pytest.fixture(scope="module")
def real(base: Path) -> Iterator[RunningApi]:
    with RunningApi(_Real(base / "fleet"), root=base / "fleet") as running:
        yield running


def _of(api: RunningApi, repo: str | None, **more: Any) -> httpx.Response:
    inputs = {"inputs": {"repo": repo, **more.pop("inputs", {})}} if repo is not None else {}
    return api.create(token=more.pop("token", ALL), **inputs, **more)


OUTSIDE = [
    "{base}/secret/code",
    "{base}/secret/code/",
    "{base}/secret/code/.git",
    "{base}/secret/no-repository",
    "{base}/secret/not-there",
    "{base}/secret",
    "{base}/not-there/at/all",
    "{base}",
    "{base}/allowed-not/shop",
    "{base}/allowed/../secret/code",
    "{base}/allowed/./../secret/code",
    "{base}/allowed//../secret/code",
    "{base}/allowed/way-out/code",
    "{base}/allowed/way-out/not-there",
    "{base}/allowed/circle/x",
    "{base}/fleet",
    "{base}/fleet/nested",
    "../secret/code",
    "../allowed/shop",
    "../not-there",
    "nested",
    "./",
    "./nested/..",
    "nested/../../secret/code",
    "/",
    "/etc",
    "/etc/shadow",
    "/proc/self/cwd",
    "/proc/1/root",
    "~/.ssh",
    "~root",
    "$HOME",
    ".git",
    "https://git.example/team-other/shop",
    "https://git.example/teams",
    "https://git.example/",
    "https://git.example",
    "https://git.example/other/../team/shop",
    "https://git.example/team/../other/shop",
    "https://git.example/team/%2e%2e/other/shop",
    "https://git.example/team/..%2fother",
    "https://git.example/team//shop",
    "https://git.example/team\\..\\other",
    "https://git.example/team/shop?x=1",
    "https://git.example/team/shop#main",
    "https://git.example:8443/team/shop",
    "https://git.example.evil.example/team/shop",
    "https://evil.example/git.example/team/shop",
    "https://[::1]/team/shop",
    "https://169.254.169.254/latest/meta-data",
    "ssh://git.example/srv/shop",
    "ssh://root@git.example/srv/shop",
    "ssh://git@git.example:2222/srv/shop",
    "ssh://git@git.example/team/shop",
    "git@git.example:other/shop",
    "git@git.example:/team/shop",
    "root@git.example:team/shop",
    "git.example:team/shop",
    "git@git.example:team/../other",
]


def test_one_answer_for_all_that_is_outside(real: RunningApi, base: Path) -> None:
    """Whether it is there, a repository, or a folder at all."""
    answers = set()
    for repo in OUTSIDE:
        answer = _of(real, repo.format(base=base))
        problem = assert_problem(answer, 422, "inputs.repo")
        answers.add(answer.text)
        assert str(base) not in problem["detail"], repo
    assert len(answers) == 1, answers


@pytest.mark.parametrize("repo", ["file:///etc", "ext::sh -c id", "http://git.example/team", "git://git.example/team"])
def test_what_is_never_fetched_is_refused_as_everywhere(real: RunningApi, repo: str) -> None:
    errors = assert_problem(_of(real, repo), 422)["errors"]
    assert [one["code"] for one in errors] == ["bad-value"]


def test_what_is_inside_may_be_used_and_no_folder_of_the_server_is_revealed(real: RunningApi, base: Path) -> None:
    for repo in (None, ".", f"{base}/allowed/shop", f"{base}/allowed/shop/", f"{base}/allowed/shop-too"):
        problem = assert_problem(_of(real, repo), 409)
        assert "host" in problem["detail"], "the input was found, and there is no host"
    for repo, inputs in (
        (f"{base}/allowed/no-repository", {}),
        (f"{base}/allowed/not-there", {}),
        (f"{base}/allowed/shop", {"ref": "no-such-branch"}),
        (f"{base}/allowed/shop", {"ref": "0" * 40}),
    ):
        problem = assert_problem(_of(real, repo, inputs=inputs), 409)
        text = problem["detail"].replace(repo, "")
        assert "no such repository, branch, tag, commit" in text
        assert str(base) not in text
    problem = assert_problem(_of(real, ".", inputs={"ref": "no-such-branch"}), 409)
    assert "no branch, tag or commit 'no-such-branch'" in problem["detail"]
    assert str(base) not in problem["detail"]


def test_without_roots_only_the_fleets_own_repository_may_be_used(base: Path, tmp_path: Path) -> None:
    fleet = GitRepo.create(tmp_path / "fleet")
    fleet.write("sandboxer.yaml", _document("Fleet", "acme", {}))
    fleet.write("manifests/web.yaml", _document("Profile", "profile.web", {"extension": "ext.compose-ssh"}))
    fleet.write("compose.yaml", COMPOSE)
    fleet.commit()
    remote, local = Client(fleet.path, remote=True), Client(fleet.path)
    for repo in (f"{base}/allowed/shop", "https://git.example/team/shop", "manifests"):
        with pytest.raises(InputUnavailable, match=r"spec\.api\.repoRoots"):
            remote.create("profile.web", inputs={"repo": repo})
    for client, repo in ((remote, "."), (local, "."), (local, f"{base}/allowed/shop")):
        with pytest.raises(SandboxError, match="host"):
            client.create("profile.web", inputs={"repo": repo})


SECRET_CASES = [
    # source, profile, consumer, whether it may be had
    ("env:PLAIN", "profile.web", "atm/one", False),
    ("env:PLAIN", "profile.web", None, False),
    ("env:OF_PROFILE", "profile.web", "atm/one", False),
    ("env:OF_CONSUMER", "profile.web", "atm/one", False),
    ("env:BOUND", "profile.web", "atm/one", True),
    ("env:BOUND", "profile.web", "adm/ops", True),
    ("env:BOUND", "profile.web", "agt/one", False),
    ("env:BOUND", "profile.web", "atm/one/more", False),
    ("env:BOUND", "profile.web", None, False),
    ("env:BOUND", "profile.other", "atm/one", False),
    ("file:/etc/hostname", "profile.other", "atm/one", True),
    ("file:/etc/hostname", "profile.web", "atm/one", False),
    ("file:/etc/./hostname", "profile.other", "atm/one", False),
    ("file:/etc//hostname", "profile.other", "atm/one", False),
    ("file:/etc/shadow", "profile.web", "atm/one", False),
    ("file:/not/there", "profile.web", "atm/one", False),
    ("file:../../etc/hostname", "profile.other", "atm/one", False),
    ("env:PATH", "profile.web", "atm/one", False),
    ("env:bound", "profile.web", "atm/one", False),
    ("env:NO_SUCH", "profile.web", "atm/one", False),
    ("env:TWICE", "profile.other", "atm/one", True),
    ("env:TWICE", "profile.web", "atm/two", True),
    ("env:TWICE", "profile.web", "atm/one", False),
    ("env:TWICE", "profile.other", "atm/two", False),
]


def test_a_secret_is_for_the_profiles_and_consumers_that_it_is_bound_to(real: RunningApi, base: Path) -> None:
    """A refusal is the same whether there is such a secret, whether it is listed, or for whom."""
    answers = set()
    for source, profile, consumer, allowed in SECRET_CASES:
        actor, _, project = (consumer or "").partition("/")
        requested: dict[str, Any] = {"consumer": {"actor": actor, "project": project}} if consumer else {}
        answer = real.create(**{"profile": profile, "secret_refs": {"S": source}, **requested})
        if allowed:
            assert answer.status_code == 409, (source, profile, consumer, answer.text)
            continue
        (error,) = assert_problem(answer, 422)["errors"]
        assert (error["field"], error["code"]) == ("secret_refs.S", "secret-not-allowed"), (source, answer.text)
        answers.add(answer.text)
        with pytest.raises(ManifestError):  # also for callers on this machine
            Client(base / "fleet").create(profile, secret_refs={"S": source}, consumer=consumer)
    assert len(answers) == 1, answers


def test_a_token_cannot_claim_another_consumer(real: RunningApi) -> None:
    own = real.create(token=BOUND, secret_refs={"S": "env:BOUND"})
    assert own.status_code == 409, "of atm/one, and no host"
    requested = {"actor": "adm", "project": "ops"}
    assert_problem(real.create(token=BOUND, secret_refs={"S": "env:BOUND"}, consumer=requested), 403, "consumer")


def test_a_name_that_git_has_is_taken_and_no_more_is_revealed(real: RunningApi) -> None:
    problem = assert_problem(real.create(name="of-git"), 409, "name")
    assert "manifests" not in cast("str", problem["detail"])


@pytest.mark.parametrize(
    "repo",
    [
        "https://TOKEN-0123@git.example/team/shop",
        "https://user:TOKEN-0123@git.example/team/shop",
        "https://git.example/team/shop?access_token=TOKEN-0123",
        "ssh://git:TOKEN-0123@git.example/srv/shop",
    ],
)
def test_a_token_in_a_url_is_refused_and_never_repeated(real: RunningApi, repo: str) -> None:
    answer = _of(real, repo)
    (error,) = assert_problem(answer, 422)["errors"]
    assert (error["field"], error["code"]) == ("inputs.repo", "literal-secret")
    assert "TOKEN-0123" not in answer.text
