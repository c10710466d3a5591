"""Contents compared file by file: what a host lists, against the tree that the record names."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import ObservationIncomplete
from sandboxer.extensions.compose_ssh.contents import delivered
from sandboxer.extensions.compose_ssh.tree import Tree
from sandboxer.hosts.contents import Listing, contents_command, differences, read_contents
from sandboxer.model.protocols import CommandResult, InputTree
from tests.support.gitrepo import GitRepo, archive_of
from tests.support.planning import fleet_of, record_of

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.record import Record

FILES = {"compose.yaml": "services: {}\n", "conf/a": "a\n", "conf/sub/b": "b\n", "odd \\ name": "odd\n", "big": "x" * 9}
IDENTIFIER = "0a0b0c0d"


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[GitInputs, InputTree]:
    """A repository with some files and a link."""
    repo = GitRepo.create(tmp_path / "input")
    for path, text in FILES.items():
        repo.write(path, text)
    (repo.path / "alias").symlink_to("conf/a")
    repo.commit()
    found = GitInputs(tmp_path)
    return found, found.resolve("input", "HEAD", ".")


@pytest.fixture
def home(tmp_path: Path, inputs: tuple[GitInputs, InputTree]) -> Path:
    """A sandbox's workspace as it is delivered: the tree, and a folder and a file of it as they are mounted."""
    source, tree = inputs
    workspace = tmp_path / "root/acme" / IDENTIFIER / "workspace"
    delivered = workspace / "tree" / tree.digest
    delivered.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(delivered)], input=archive_of(source, tree), check=True, timeout=60)
    for path in ("conf", "big"):
        target = workspace / "bind" / Tree(tree.entries).digest(path) / path
        target.parent.mkdir(parents=True)
        subprocess.run(["cp", "-al", str(delivered / path), str(target)], check=True, timeout=60)
    return workspace


def record(mode: str = "copy") -> Record:
    (desired,) = fleet_of({"sandboxes": {"web": {}}, "profile": {"workspace": {"mode": mode}}}).sandboxes.values()
    return record_of(desired, "lab-1")


def listing(tmp_path: Path) -> Listing:
    command, nonce = contents_command(str(tmp_path / "root"), "acme", [IDENTIFIER])
    transport = LocalTransport("here")
    try:
        return read_contents("here", nonce, transport.run(command))[IDENTIFIER]
    finally:
        transport.close()


def changes_of(
    tmp_path: Path, inputs: tuple[GitInputs, InputTree], mode: str = "copy"
) -> dict[str, tuple[object, object]]:
    source, tree = inputs
    there = listing(tmp_path)
    found = differences(there, tree, delivered(record(mode), there, tree, source), source)
    return {change.path.removeprefix("workspace.files."): (change.old, change.new) for change in found}


def short(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:12]


def test_what_was_delivered_differs_in_nothing(tmp_path: Path, home: Path, inputs: tuple[GitInputs, InputTree]) -> None:
    assert changes_of(tmp_path, inputs) == {}


def test_files_that_are_changed_missing_and_extra_are_named(
    tmp_path: Path, home: Path, inputs: tuple[GitInputs, InputTree]
) -> None:
    tree = home / "tree" / inputs[1].digest
    (tree / "compose.yaml").write_text("services: {x}")
    (tree / "odd \\ name").unlink()
    (tree / "conf/more").write_text("more")
    (tree / "alias").unlink()
    (tree / "alias").symlink_to("conf/sub/b")
    assert changes_of(tmp_path, inputs) == {
        "compose.yaml": (short("services: {}\n"), short("services: {x}")),
        "odd \\ name": ("present", "missing"),
        "conf/more": (None, "extra"),
        "alias": ("link to conf/a", "link to conf/sub/b"),
    }


def test_a_change_that_keeps_size_and_time_is_found(
    tmp_path: Path, home: Path, inputs: tuple[GitInputs, InputTree]
) -> None:
    file = home / "tree" / inputs[1].digest / "big"
    before = file.stat()
    file.write_text("y" * 9)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changes_of(tmp_path, inputs) == {"big": (short("x" * 9), short("y" * 9))}


def test_what_is_mounted_is_compared_too(tmp_path: Path, home: Path, inputs: tuple[GitInputs, InputTree]) -> None:
    (folder,) = (path for path in home.glob("bind/*/conf") if path.is_dir())
    (folder / "a").unlink()
    (folder / "sub/b").unlink()
    (folder / "sub/b").write_text("another\n")
    (folder / "more").write_text("more")
    digest = folder.parent.name
    assert changes_of(tmp_path, inputs) == {
        "conf/a": ("present", "missing"),
        "conf/sub/b": (short("b\n"), short("another\n")),
        f"bind/{digest}/conf/more": (None, "extra"),
    }


def test_without_a_workspace_only_what_compose_reads_is_missed(
    tmp_path: Path, home: Path, inputs: tuple[GitInputs, InputTree]
) -> None:
    tree = home / "tree" / inputs[1].digest
    (tree / "big").unlink()
    assert "big" in changes_of(tmp_path, inputs)
    assert changes_of(tmp_path, inputs, "none") == {}
    (tree / "compose.yaml").unlink()
    (tree / "conf/a").write_text("changed\n")
    assert set(changes_of(tmp_path, inputs, "none")) == {"compose.yaml", "conf/a"}


def test_a_file_instead_of_a_link_is_reported(tmp_path: Path, home: Path, inputs: tuple[GitInputs, InputTree]) -> None:
    alias = home / "tree" / inputs[1].digest / "alias"
    alias.unlink()
    alias.write_text("a\n")
    assert changes_of(tmp_path, inputs) == {"alias": ("link to conf/a", short("a\n"))}


def test_a_list_that_broke_off_is_no_list() -> None:
    with pytest.raises(ObservationIncomplete, match=r"was interrupted \(exit code 137\): Killed"):
        read_contents("lab-1", "n", CommandResult(137, b"\n@n files\n", b"Killed\n"))


def test_a_sandbox_whose_directory_is_gone_has_an_empty_list(tmp_path: Path, home: Path) -> None:
    command, nonce = contents_command(str(tmp_path / "root"), "acme", ["11111111"])
    transport = LocalTransport("here")
    try:
        assert read_contents("here", nonce, transport.run(replace(command))) == {}
    finally:
        transport.close()
