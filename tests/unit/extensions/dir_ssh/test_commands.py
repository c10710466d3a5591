"""What runs in a directory sandbox, and what is copied out of it and into it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.e2e import OWN_SESSION, until

if TYPE_CHECKING:
    from tests.unit.extensions.dir_ssh.local_fleet import LocalFleet

SECRET = "s3cr$t `id`\nsecond line\n"


def test_commands_have_limits_environment_and_secrets(fleet: LocalFleet) -> None:
    limits = {"seconds": 2, "cpuSeconds": 60, "memoryMiB": 512, "fileSizeMiB": 1, "openFiles": 64}
    (fleet.repo.path / "secret").write_text(SECRET)
    spec = {"secrets": {"allow": [{"ref": "file:secret"}]}}
    fleet.document("sandboxer.yaml", "Fleet", "acme", spec)
    env = {"PLAIN": "two\nlines\\n $(id) %s\n", "value": "v", "PPID": "1"}
    fleet.declare({"limits": limits}, env=env, secretRefs=[{"name": "TOKEN", "from": "file:secret"}])
    fleet.apply()
    output = fleet.ssh("sh", "-c", "ulimit -t; ulimit -v; ulimit -f; ulimit -n")
    assert output.split() == ["60", str(512 * 1024), "2048", "64"]
    shown = fleet.ssh("sh", "-c", 'printf "%s|%s|%s" "$PLAIN" "$TOKEN" "$SANDBOXER_SANDBOX"')
    assert shown == f"{env['PLAIN']}|{SECRET.removesuffix(chr(10))}|{fleet.now['uid']}"
    assert fleet.ssh("sleep", "30", code=124) == ""
    fleet.run("ssh", "work", "--", "dd", "if=/dev/zero", "of=big", "bs=1M", "count=3", code=None)
    assert (fleet.directory / "work/big").stat().st_size == 1 << 20
    fleet.run("ssh", "work", "--", "sh", "-c", "exit 7", code=7)
    assert (fleet.directory / "env").stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (fleet.directory / "secrets").iterdir())
    assert SECRET.split("\n")[0] not in (fleet.directory / "record.json").read_text()
    (fleet.repo.path / "secret").unlink()
    fleet.declare({"limits": limits}, secretRefs=[{"name": "TOKEN", "from": "file:secret"}], ttl="3h")
    fleet.apply()
    assert fleet.ssh("sh", "-c", 'printf "%s" "$TOKEN$PLAIN"') == SECRET.removesuffix("\n")
    fleet.declare()
    fleet.apply()
    assert fleet.ssh("sh", "-c", 'echo "$TOKEN$PLAIN"') == "\n"
    assert list((fleet.directory / "secrets").iterdir()) == []


def test_files_are_copied_out_of_the_working_copy_and_into_it(fleet: LocalFleet, tmp_path: Path) -> None:
    fleet.apply()
    fleet.ssh("sh", "-c", "mkdir -p 'out/it is'; echo 1 >'out/it is/-x'; ln -s out to-out")
    fleet.run("cp", "work:/to-out", str(tmp_path / "got"))
    assert (tmp_path / "got/it is/-x").read_text() == "1\n"
    fleet.run("cp", "work:/link", str(tmp_path / "script"))
    assert "echo ran" in (tmp_path / "script").read_text()
    fleet.run("cp", str(tmp_path / "got"), "work:/out")
    assert (fleet.directory / "work/out/got/it is/-x").read_text() == "1\n"
    fleet.run("cp", str(tmp_path / "script"), "work:/new.sh")
    assert fleet.ssh("./new.sh") == "ran\n"
    fleet.run("cp", "work:/missing", str(tmp_path / "x"), code=1)
    assert "there is no /missing" in fleet.output[-1]
    fleet.run("cp", str(tmp_path / "script"), "work:/missing/x", code=1)
    assert "there is no folder /missing" in fleet.output[-1]


def test_what_it_lacks_is_reported(fleet: LocalFleet) -> None:
    fleet.apply()
    for words, missing in {("logs", "work"): "logs", ("forward", "work", "80"): "forwarding ports"}.items():
        fleet.run(*words, code=1)
        assert f'sandbox "work": extension ext.dir-ssh does not support {missing}' in fleet.output[-1]
    fleet.run("ssh", "work", "--service", "web", "--", "true", code=None)
    shutil.rmtree(fleet.directory / "work")
    fleet.ssh("true", code=1)
    assert "the working copy" in fleet.output[-1]
    fleet.declare(ttl="2h")
    fleet.apply()
    assert fleet.ssh("cat", "a.txt") == "a\n"


def test_its_processes_end_with_it_and_no_others(fleet: LocalFleet) -> None:
    fleet.apply()
    stubborn = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &"
    fleet.ssh("sh", "-c", f"cd /; trap '' TERM HUP; {stubborn} {OWN_SESSION}")
    mark = f"SANDBOXER_SANDBOX={fleet.now['uid']}".encode()

    def ours() -> set[int]:
        found = set()
        for file in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in file.read_bytes().split(b"\0"):
                    found.add(int(file.parent.name))
            except OSError:
                continue
        return found

    until(lambda: len(ours()) >= 2, "the detached processes")
    with (
        subprocess.Popen(["sleep", "999"], cwd=fleet.directory / "work") as visitor,
        subprocess.Popen(["sleep", "999"], env={"SANDBOXER_SANDBOX": "0" * 32, "PATH": os.environ["PATH"]}) as other,
    ):
        fleet.remove("work")
        fleet.commit()
        fleet.apply("--allow-empty")
        assert ours() == set()
        assert (visitor.poll(), other.poll()) == (None, None)
        visitor.kill()
        other.kill()
    assert not Path(fleet.root).exists()


def test_a_client_within_the_sandbox_can_destroy_it(fleet: LocalFleet) -> None:
    fleet.apply()
    fleet.remove("work")
    fleet.commit()
    record = fleet.now
    fleet.starts = True  # the client carries the mark itself
    fleet.apply("--allow-empty", env={"SANDBOXER_SANDBOX": record["uid"]})
    assert not Path(fleet.root).exists()


def test_engines_that_do_not_run_leave_an_absent_sandbox_absent(fleet: LocalFleet, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for engine in ("docker", "podman"):
        program = programs / engine
        program.write_text("#!/bin/sh\necho cannot connect to the daemon >&2\nexit 1\n")
        program.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    assert fleet.outcome(["plan", "-o", "json"], {"PATH": path}, 60).returncode == 0
    assert 'no sandbox "wbe"' in fleet.outcome(["get", "wbe"], {"PATH": path}, 60).stderr
    done = fleet.outcome(["destroy", "wbe"], {"PATH": path}, 60)
    assert (done.returncode, done.stdout) == (0, "wbe: absent\n")
    for words in (["logs"], ["ssh"], ["forward"], ["recreate"], ["resume"]):
        done = fleet.outcome([*words, "wbe"], {"PATH": path}, 60)
        assert done.returncode == 1
        assert 'no sandbox "wbe"' in done.stderr


def test_a_wait_in_vain_reports_the_phase(fleet: LocalFleet) -> None:
    fleet.apply()
    fleet.run("wait", "work", "--for", "destroyed", "--timeout", "1s", code=1)
    assert 'sandbox "work" is not destroyed after 1 s: its phase is ready' in fleet.output[-1]
