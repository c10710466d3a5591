"""The end of an apply on a host: a leftover that the login may not remove goes by the means of a backend."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.extensions.compose_ssh.extension import ComposeSsh
from sandboxer.hosts.cleanup import PendingCleanup, clean_up

if TYPE_CHECKING:
    from pathlib import Path

# A login that is not root, for which `rm` fails on the leftover until Podman has removed what is in it.
PROGRAMS = {
    "id": 'uid=$({id} "$@"); [ "$uid" = 0 ] && uid=1000; echo "$uid"',
    "rm": 'case $* in *.trash-*) [ -e {mark} ] || exit 1 ;; esac; exec {rm} "$@"',
    "podman": '[ "$1" = unshare ] && shift && : >{mark} && exec "$@"',
}


@pytest.mark.parametrize(
    ("scripts", "engine", "there"),
    [(ComposeSsh().removal_scripts(), "podman", False), ((), "podman", True)]
    + [(ComposeSsh().removal_scripts(), engine, True) for engine in ("", "firecracker")],
)
def test_the_backends_scripts_remove_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: tuple[str, ...], engine: str, *, there: bool
) -> None:
    programs, root = tmp_path / "bin", tmp_path / "root"
    programs.mkdir()
    for name, line in PROGRAMS.items():
        values = {"id": shutil.which("id"), "rm": shutil.which("rm"), "mark": tmp_path / "mark"}
        (programs / name).write_text("#!/bin/sh\n" + line.format(**values) + "\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    leftover = root / "acme/.trash-0a"
    (leftover / "workspace/deep").mkdir(parents=True)
    (leftover / "record.json").write_text('{"id":"0badcafe"}')
    with closing(LocalTransport("here")) as transport:
        clean_up([PendingCleanup("here", str(root), engine)], lambda _host: transport, "acme", None, scripts)
    assert leftover.exists() is there
