"""A change of a file that no build sees changes nothing: neither the place of the context nor the service."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.labels import LABEL_INPUTS
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Bind, Hardened, Policy
from sandboxer.extensions.compose_ssh.workspace import Workspace
from sandboxer.model.observed import FileSums
from sandboxer.model.protocols import InputTree, TreeEntry

POLICY = Policy("shop", "sbx-shop-1f2e3d4c", "/s/w", "/s/w/tree/d", 4.0, 8 << 30, egress="allow")
FILES = {
    "app/Dockerfile": "FROM scratch\nCOPY . /app\n",
    "app/.dockerignore": "docs\n*.md\nDockerfile\n.dockerignore\n",
    "app/main.c": "1",
    "app/README.md": "1",
    "app/docs/a": "1",
}
BUILD = {"services": {"web": {"build": {"context": "./app"}}}}


def hardened(files: dict[str, str], model: dict[str, object] = BUILD, *, podman: bool = False) -> Hardened:
    entries = {path: TreeEntry(path, f"blob {text}") for path, text in files.items()}
    policy = replace(POLICY, entries=entries, read=lambda path: files[path].encode(), podman=podman)
    return harden(normalise(model, policy.tree_dir), policy)


def differs(files: dict[str, str], path: str, model: dict[str, object] = BUILD, *, podman: bool = False) -> bool:
    """Return whether a change of one file changes the compose file that runs."""
    before, after = (
        hardened(one, model, podman=podman).to_json() for one in (files, files | {path: files.get(path, "") + "\n#\n"})
    )
    return before != after


@pytest.mark.parametrize("podman", [False, True])
@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("app/main.c", True),
        ("app/new.c", True),
        ("app/README.md", False),
        ("app/docs/a", False),
        ("app/docs/new", False),
        ("app/Dockerfile", True),
        ("app/.dockerignore", True),
        ("other", False),
    ],
)
def test_only_what_a_build_may_see_counts(path: str, counts: bool, podman: bool) -> None:
    assert differs(FILES, path, podman=podman) == counts


def test_the_rules_beside_the_dockerfile_come_first() -> None:
    files = FILES | {"app/Dockerfile.dockerignore": "main.c\n"}
    assert not differs(files, "app/main.c")
    assert differs(files, "app/README.md")
    assert differs(files, "app/Dockerfile.dockerignore")


def test_the_rules_of_a_dockerfile_elsewhere() -> None:
    model = {"services": {"web": {"build": {"context": "./app", "dockerfile": "../build/Dockerfile"}}}}
    files = FILES | {"build/Dockerfile": "FROM scratch\n", "build/Dockerfile.dockerignore": "*.c\n"}
    assert not differs(files, "app/main.c", model)
    assert differs(files, "app/README.md", model)


def test_a_dockerfile_in_the_compose_file_has_the_rules_of_its_context() -> None:
    model = {"services": {"web": {"build": {"context": "./app", "dockerfile_inline": "FROM scratch\n"}}}}
    assert not differs(FILES, "app/README.md", model)
    assert differs(FILES, "app/main.c", model)


def test_podman_with_two_files_of_rules_counts_everything() -> None:
    files = FILES | {"app/.containerignore": "*.md\n"}
    assert differs(files, "app/README.md", podman=True)
    assert not differs(files, "app/README.md")


def test_without_rules_everything_counts_and_the_place_is_as_before() -> None:
    files = {path: text for path, text in FILES.items() if path != "app/.dockerignore"}
    assert differs(files, "app/docs/a")
    (bind,) = hardened(files).binds
    assert (bind.destination, bind.left_out) == (f"/s/w/bind/{bind.digest}/app", frozenset())


def test_a_mount_of_the_same_folder_is_not_concerned() -> None:
    model = {"services": {"web": {"build": {"context": "./app"}, "volumes": ["./app:/src:ro"]}}}
    assert differs(FILES, "app/README.md", model)
    context, mount = sorted(hardened(FILES, model).binds, key=lambda bind: not bind.left_out)
    assert context.left_out == {"README.md", "docs/a"}
    assert context.destination == f"/s/w/context/{context.digest}/app"
    assert mount.destination == f"/s/w/bind/{mount.digest}/app"


def test_each_build_has_its_own_rules() -> None:
    files = FILES | {"app/b.Dockerfile": "FROM scratch\n", "app/b.Dockerfile.dockerignore": "main.c\n"}
    builds = {"a": {"context": "./app"}, "b": {"context": "./app", "dockerfile": "b.Dockerfile"}}
    model: dict[str, object] = {"services": {name: {"build": build} for name, build in builds.items()}}
    before, after = (json.loads(hardened(one, model).to_json()) for one in (files, files | {"app/main.c": "2"}))
    labels = [{name: one["services"][name]["labels"].get(LABEL_INPUTS) for name in builds} for one in (before, after)]
    assert labels[0]["a"] != labels[1]["a"]
    assert labels[0]["b"] == labels[1]["b"]


def test_a_context_with_such_files_is_never_put_in_place_again_for_them() -> None:
    entries = {path: TreeEntry(path, "b") for path in FILES}
    tree = InputTree("r", "main", "c" * 40, ".", "d" * 64, entries)
    place = {"context/x": [Bind("app", "x", "/s/w/context/x/app", False, ("web",), left_out=frozenset({"README.md"}))]}
    assert Workspace(files={"tree/d": FileSums(5, 5, 5)}).damaged(tree, place) == []
