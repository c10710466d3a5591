"""The image without content that removes files on a Docker host: made again here, byte by byte."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.extensions.compose_ssh.directory import REMOVAL_SCRIPTS, VERBS
from sandboxer.hosts.scripts import script

if TYPE_CHECKING:
    from pathlib import Path

SESSION = script("prelude.sh", "session.sh")
CLEANER = script("sandboxer.extensions.compose_ssh:cleaner.sh")
LAYER = b"\0" * 1024  # a tar of nothing
OCI = "application/vnd.oci.image"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob(data: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def _described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": f"{OCI}.{kind}", "digest": _digest(data), "size": len(data)}


CONFIG = _json(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [_digest(LAYER)]},
    }
)
MANIFEST = _json(
    {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": _described("config.v1+json", CONFIG),
        "layers": [_described("layer.v1.tar", LAYER)],
    }
)


def _archive() -> bytes:
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [_described("manifest.v1+json", MANIFEST)]}),
        "manifest.json": _json([{"Config": _blob(CONFIG), "Layers": [_blob(LAYER)]}]),
        _blob(CONFIG): CONFIG,
        _blob(MANIFEST): MANIFEST,
        _blob(LAYER): LAYER,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("shell", [["sh"], ["busybox", "sh"]], ids=["sh", "busybox"])
def test_the_image_is_the_one_that_is_described(shell: list[str]) -> None:
    printed = subprocess.run([*shell, "-c", f"{CLEANER}\nempty_image"], capture_output=True, check=True).stdout
    assert len(printed) < 1024
    assert gzip.decompress(printed) == _archive()


def test_its_digests_are_the_constants() -> None:
    constants = dict(re.findall(r"^(EMPTY_\w+)=(\S+)$", CLEANER, re.MULTILINE))
    assert constants == {"EMPTY_CONFIG": _digest(CONFIG), "EMPTY_MANIFEST": _digest(MANIFEST)}


def test_no_image_of_the_host_is_used() -> None:
    assert "image ls" not in CLEANER
    assert re.findall(r"--entrypoint /bin/rm (\S+)", CLEANER) == ['"$image"']


# A login that is not root, on a machine where an engine is what the test defines.
_FORCE = """
id() { echo 1000; }
rm() { if [ -e "$folder/cleaned" ]; then command rm "$@"; else echo "rm: cannot remove" >&2; return 1; fi; }
timeout() { shift; "$@"; }
podman() { echo "podman $*" >>"$folder/calls"; : >"$folder/cleaned"; }
docker() { echo "docker $*" >>"$folder/calls"; case $1-$2 in image-inspect) %s ;; run-*) : >"$folder/cleaned" ;; esac; }
"""


def _force_remove(folder: Path, engine: str, *, inspected: str = 'echo "$5"') -> tuple[int, str, list[str]]:
    gone = folder / "gone"
    (gone / "sub").mkdir(parents=True)
    program = (
        f'folder=$1 engine=$2 id=0badcafe\n{SESSION}\n{_FORCE % inspected}\n{CLEANER}\nforce_remove "$folder/gone"'
    )
    done = subprocess.run(
        ["sh", "-c", program, "sh", str(folder), engine], capture_output=True, text=True, check=False, timeout=30
    )
    assert gone.exists() is (done.returncode != 0)
    request = folder / "calls"
    return done.returncode, done.stdout, request.read_text().splitlines() if request.exists() else []


def test_podman_removes_by_its_own_means(tmp_path: Path) -> None:
    code, _, request = _force_remove(tmp_path, "podman")
    assert (code, request) == (0, [f"podman unshare rm -rf -- {tmp_path}/gone"])


def test_docker_removes_by_the_empty_image_alone(tmp_path: Path) -> None:
    code, _, request = _force_remove(tmp_path, "docker")
    assert code == 0
    (run,) = [line for line in request if line.startswith("docker run")]
    assert f"-v {tmp_path}/gone:/gone --entrypoint /bin/rm {_digest(CONFIG)} -rf -- /gone" in run
    for option in ("--network none", "--cap-drop ALL", "--read-only", "no-new-privileges", "--pids-limit", "--memory"):
        assert option in run
    assert not [line for line in request if line.startswith(("docker load", "docker image rm"))]


def test_an_image_that_answers_with_another_digest_is_not_run(tmp_path: Path) -> None:
    code, output, request = _force_remove(tmp_path, "docker", inspected="echo sha256:0000")
    assert code == 1
    assert "docker cannot load the empty image" in output
    assert not [line for line in request if line.startswith("docker run")]


def test_an_engine_of_another_extension_is_not_queried(tmp_path: Path) -> None:
    code, output, request = _force_remove(tmp_path, "firecracker")
    assert (code, request) == (1, [])
    assert "gone cannot be removed: it holds files of another user" in output


def test_a_session_removes_as_the_end_of_an_apply_does() -> None:
    assert set(REMOVAL_SCRIPTS) <= set(VERBS)
    assert script(REMOVAL_SCRIPTS[0]) == CLEANER
