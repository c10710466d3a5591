"""What is mounted lies in folders of the login's alone, shares no inode with what containers write, and is no link."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandboxer.hosts.scripts import script

SHELLS = [shell for shell in ("dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]
RO, RW, AS = "bind/d1", "bind-rw/d2", "bind-as/d3"


@dataclass
class Folder:
    """A sandbox's folder with a delivered tree, and the verbs that a host session would call on it."""

    path: Path
    shell: str

    def verb(self, name: str, *arguments: str) -> tuple[int, str]:
        text = f'umask 077; directory=$1; shift; {script("sandboxer.extensions.compose_ssh:verbs.sh")}\n"$@"\n'
        words = [*self.shell.split(), "-c", text, "sh", str(self.path), name, *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def must(self, name: str, *arguments: str) -> str:
        code, output = self.verb(name, *arguments)
        assert code == 0, output
        return output

    def bind(self, path: str, source: str, mode: str, *access: str) -> Path:
        self.must("do_bind", path, "t", source, mode, *access)
        return self.path / "workspace" / path


@pytest.fixture(params=SHELLS)
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Folder:
    tree = tmp_path / "fleet 1/sandbox/workspace/tree/t"
    (tree / "data/sub").mkdir(parents=True)
    (tree / "data/sub/file").write_text("delivered")
    (tree / "data/more").write_text("delivered too")
    for path in (tmp_path / "fleet 1/sandbox").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (tree, *tree.parents[:3]):
        path.chmod(0o700)
    return Folder(tmp_path / "fleet 1/sandbox", request.param)


def inodes(path: Path) -> set[int]:
    return {one.stat().st_ino for one in path.rglob("*") if one.is_file()} | {path.stat().st_ino}


def test_only_what_nobody_may_write_to_shares_inodes_with_the_tree(folder: Folder) -> None:
    tree = inodes(folder.path / "workspace/tree/t/data")
    copy = folder.bind(f"{RW}/data", "data", "rw")
    inner = folder.bind("bind-rw/d5/sub", "data/sub", "rw")
    file = folder.bind("bind-rw/d4/more", "data/more", "rw")
    secret_files = folder.bind(f"{AS}/more", "data/more", "as", "podman", "400", "-", "-")
    shared = folder.bind(f"{RO}/data", "data", "ro")
    assert not (inodes(copy) | inodes(inner) | inodes(file) | inodes(secret_files)) & tree
    assert len(inodes(copy) | inodes(inner)) == len(inodes(copy)) + len(inodes(inner))
    assert inodes(shared) & tree
    assert folder.verb("do_bind", f"{RW}/data", "t", "data", "rw") == (0, "made\n")


PATHS = (f"workspace/{RO}/data", f"workspace/{RW}/sub", "secrets/KEY.1")


@pytest.fixture
def placed(folder: Folder) -> Folder:
    folder.bind(f"{RO}/data", "data", "ro")
    folder.bind(f"{RW}/sub", "data/sub", "rw")
    (folder.path / "secrets").mkdir(mode=0o700)
    (folder.path / "secrets/KEY.1").write_text("x")
    assert folder.verb("unswapped", "3", *PATHS, "up", "-d") == (0, "")
    return folder


def swap(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize(
    "way", ["workspace", "workspace/bind", f"workspace/{RO}", f"workspace/{RO}/data", f"workspace/{RW}",
            f"workspace/{RW}/sub", "secrets", "secrets/KEY.1"]
)  # fmt: skip
def test_a_link_anywhere_on_the_way_stops_it(placed: Folder, way: str) -> None:
    swap(placed.path / way)
    code, output = placed.verb("unswapped", "3", *PATHS)
    assert code != 0
    assert f"{way} is a link" in output
    (placed.path / "compose.json").touch()
    assert placed.verb("do_compose", "docker-compose", "touch started", "p", "3", *PATHS, "up")[0] == 71
    assert not list(placed.path.rglob("started"))


def test_a_sandbox_folder_that_is_a_link_stops_it(placed: Folder) -> None:
    swap(placed.path)
    assert "is a link" in placed.verb("unswapped", "3", *PATHS)[1]


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o722, 0o777])
@pytest.mark.parametrize("way", [".", "workspace", f"workspace/{RW}", "secrets"])
def test_a_folder_on_the_way_that_others_may_write_to_stops_it(placed: Folder, way: str, mode: int) -> None:
    (placed.path / way).chmod(mode)
    assert "is not owned by the login user alone" in placed.verb("unswapped", "3", *PATHS)[1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_folder_on_the_way_that_is_anothers_stops_it_and_a_containers_copy_may_be(placed: Folder) -> None:
    os.chown(placed.path / f"workspace/{RW}/sub", 12345, 12345)
    (placed.path / f"workspace/{RW}/sub").chmod(0o777)
    assert placed.verb("unswapped", "3", *PATHS) == (0, "")
    os.chown(placed.path / f"workspace/{RW}", 12345, 12345)
    assert "is not owned by the login user alone" in placed.verb("unswapped", "3", *PATHS)[1]


@pytest.mark.parametrize("path", [f"workspace/{RO}/data/sub", f"workspace/{RW}/sub/file", "/etc/passwd",
                                   f"workspace/{RO}/../d2/x", "workspace/a b/c", f"workspace/{RO}/gone"])  # fmt: skip
def test_what_is_no_path_of_a_mount_is_given_to_no_engine(placed: Folder, path: str) -> None:
    code, output = placed.verb("unswapped", "1", path)
    assert (code, output.strip() != "") == (1, True)


def test_a_path_that_became_a_link_is_recreated_and_a_parent_that_did_is_refused(
    placed: Folder, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    path = placed.path / f"workspace/{RW}/sub"
    shutil.rmtree(path)
    path.symlink_to(victim)
    placed.bind(f"{RW}/sub", "data/sub", "rw")
    assert not path.is_symlink()
    assert (path / "file").read_text() == "delivered"
    shutil.rmtree(path.parent)
    path.parent.symlink_to(victim)
    assert placed.verb("do_bind", f"{RW}/sub", "t", "data/sub", "rw")[0] == 1
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_source_behind_a_link_is_not_copied(folder: Folder, tmp_path: Path, mode: str) -> None:
    (folder.path / "workspace/tree/t/out").symlink_to(tmp_path)
    for source in ("out", "out/fleet 1"):
        code, output = folder.verb("do_bind", f"{RO}/x", "t", source, mode)
        assert (code, "tree/t/out is a link" in output) == (1, True)


# --- secrets


def put_secret_file(folder: Folder, copy: str, *access: str) -> tuple[int, str]:
    return folder.verb("do_secret_file", "secrets/KEY.1", copy, "podman", *access)


def mode_and_owner(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return f"{stat.S_IMODE(found.st_mode):o}", found.st_uid, found.st_gid


def test_a_secret_is_readable_for_all_or_a_copy_for_some(placed: Folder) -> None:
    secret, copy = placed.path / "secrets/KEY.1", placed.path / "secrets/KEY.1.440.-.-"
    secret.chmod(0o600)
    assert put_secret_file(placed, "secrets/KEY.1.440.-.-", "440", "-", "-") == (0, "")
    assert mode_and_owner(secret)[0] == "600"
    assert mode_and_owner(copy) == ("440", os.getuid(), os.getgid())
    assert put_secret_file(placed, "secrets/KEY.1", "444", "-", "-") == (0, "")
    assert mode_and_owner(secret)[0] == "444"
    assert copy.read_text() == "x"
    assert not inodes(copy) & inodes(secret)
    assert put_secret_file(placed, "secrets/KEY.1.440.-.-", "440", "-", "-") == (0, "")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_root_hands_a_secret_to_a_user_of_the_container(placed: Folder) -> None:
    put_secret_file(placed, "secrets/KEY.1.400.7.-", "400", "7", "-")
    put_secret_file(placed, "secrets/KEY.1.444.-.9", "444", "-", "9")
    assert mode_and_owner(placed.path / "secrets/KEY.1.400.7.-") == ("400", 7, 0)
    assert mode_and_owner(placed.path / "secrets/KEY.1.444.-.9") == ("444", 0, 9)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("mapping", "owner"),
    [
        ("name=seccomp,profile=default /var/lib/docker", (7, 8)),
        ("name=seccomp name=userns /var/lib/docker/231072.300000", (231079, 300008)),
        ("name=userns /var/lib/docker", None),
    ],
)
def test_where_docker_maps_users_the_files_owner_is_mapped_too(
    placed: Folder, tmp_path: Path, mapping: str, owner: tuple[int, int] | None
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\necho '{mapping}'\n")
    program.chmod(0o755)
    placed.shell = f"env PATH={program.parent}:{os.environ['PATH']} {placed.shell}"
    code, output = placed.verb("do_secret_file", "secrets/KEY.1", "secrets/KEY.1.400.7.8", "docker", "400", "7", "8")
    if owner is None:
        assert (code, "the mapping is not known" in output) == (1, True)
        assert not (placed.path / "secrets/KEY.1.400.7.8").exists()
    else:
        assert mode_and_owner(placed.path / "secrets/KEY.1.400.7.8") == ("400", *owner)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_login_that_is_not_root_honours_the_mode_and_refuses_an_owner(placed: Folder) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:  # where another user may come to
        home = Path(elsewhere)
        home.chmod(0o755)
        mine = Folder(home / "box", f"setpriv --reuid 12345 --regid 12345 --clear-groups {placed.shell}")
        shutil.copytree(placed.path, mine.path)
        for path in (mine.path, *mine.path.rglob("*")):
            os.chown(path, 12345, 12345)
        code, output = put_secret_file(mine, "secrets/KEY.1.400.7.-", "400", "7", "-")
        assert (code, "giving a file to user 7" in output) == (1, True)
        assert put_secret_file(mine, "secrets/KEY.1.440.-.-", "440", "-", "-") == (0, "")
        assert mode_and_owner(mine.path / "secrets/KEY.1.440.-.-") == ("440", 12345, 12345)
        assert not (mine.path / "secrets/KEY.1.400.7.-").exists()
