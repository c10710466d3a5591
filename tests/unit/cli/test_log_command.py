"""The log for programs as the command line writes it: whole runs, errors, interrupts, and other sinks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sandboxer.cli.main import run as main
from tests.support.hubs import TOKEN, LyingHub
from tests.support.program import PROGRAM, run, start
from tests.support.unreachable import FLEET, MANIFESTS, UNREACHABLE_HOST, events_of, lines_of, unreachable_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gitrepo import GitRepo


@pytest.fixture
def fleet(tmp_path: Path) -> GitRepo:
    return unreachable_fleet(tmp_path / "fleet")


@pytest.mark.parametrize("source", ["option", "variable"])
def test_a_plan_is_reported_from_its_start_to_its_end(fleet: GitRepo, source: str) -> None:
    if source == "option":
        done = run("--log-format", "json", "-C", fleet.path, "plan", "-o", "json")
    else:
        done = run("-C", fleet.path, "plan", "-o", "json", SANDBOXER_LOG_FORMAT="json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["fleet"] == "acme"
    started, observation, finished = lines_of(done.stderr)
    assert (started["event"], started["command"]) == ("run.started", "plan")
    assert (observation["event"], observation["host"], observation["outcome"], observation["fleet"]) == (
        "look.done",
        "offline",
        "unreachable",
        "acme",
    )
    assert (finished["event"], finished["exit_code"], finished["level"]) == ("run.finished", 1, "error")
    assert finished["seconds"] >= observation["seconds"] > 0
    assert {line["run_id"] for line in (started, observation, finished)} == {started["run_id"]}
    assert started["time"] <= observation["time"] <= finished["time"]


def test_standard_output_is_the_same_in_both_formats(fleet: GitRepo) -> None:
    for words in (["apply", "-y", "-o", "json"], ["drift"]):
        text, logged = (run("-C", fleet.path, *words, SANDBOXER_LOG_FORMAT=form) for form in ("text", "json"))
        assert text.returncode == logged.returncode
        assert _steady(text.stdout) == _steady(logged.stdout)


def _steady(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if '"seconds"' not in line)


def test_what_is_blocked_from_the_start_is_reported(fleet: GitRepo) -> None:
    done = run("--log-format", "json", "-C", fleet.path, "apply", "-y")
    (ended,) = [line for line in lines_of(done.stderr) if line["event"] == "change.ended"]
    assert (ended["sandbox"], ended["outcome"]) == ("web", "blocked")
    assert "doctor offline" in ended["hint"]


@pytest.mark.parametrize(
    ("words", "command", "says"),
    [
        (["plan", "--frobnicate"], "plan", "--frobnicate"),
        (["frobnicate"], None, "frobnicate"),
        (["--frobnicate", "plan"], None, "--frobnicate"),
        (["-C", "/nowhere", "plan"], "plan", "/nowhere"),
        (["apply"], "apply", "without a terminal"),
        (["apply", "nothing.json"], "apply", "nothing.json"),
        (["hub", "flush"], "hub flush", "no State Hub"),
        (["get", "nothing"], "get", "nothing"),
        (["plan", "--ref", "nowhere"], "plan", "nowhere"),
    ],
)
def test_every_error_is_a_line_with_a_hint(
    fleet: GitRepo,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    command: str | None,
    says: str,
) -> None:
    monkeypatch.chdir(fleet.path)
    before = sys.stderr
    assert main(["--log-format=json", *words]) == 1
    assert sys.stderr is before
    out, err = capsys.readouterr()
    assert out == ""
    (error,) = [line for line in lines_of(err) if line["event"] == "error"]
    assert says in error["message"]
    assert error["hint"]
    assert error.get("command") == command
    assert events_of(err)[0] == "run.started"
    assert events_of(err)[-1] == "run.finished"


def test_findings_are_lines_with_their_position(fleet: GitRepo) -> None:
    fleet.write("manifests/web.yaml", MANIFESTS.replace("profile: profile.web", "profile: profile.wed"))
    done = run("--log-format", "json", "-C", fleet.path, "plan")
    found, error = (line for line in lines_of(done.stderr) if line["event"] in ("manifest.finding", "error"))
    assert (found["file"], found["line"], found["code"]) == ("manifests/web.yaml", 9, "unknown-reference")
    assert error["message"] == "1 error in the manifests"


def test_help_and_version_are_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], ["plan", "--help"]):
        assert main(["--log-format", "json", *words]) == 0
        assert capsys.readouterr().err == ""


def test_another_format_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--log-format", "xml", "list"]) == 1
    assert "'xml' is not one of 'text', 'json'" in capsys.readouterr().err
    monkeypatch.setenv("SANDBOXER_LOG_FORMAT", "xml")
    assert main(["list"]) == 1
    assert "'xml' is not one of 'text', 'json'" in capsys.readouterr().err


def test_an_error_of_the_program_is_a_line_that_repeats_nothing(fleet: GitRepo) -> None:
    code = (
        "import sys, sandboxer.wiring.planning as planning\n"
        "def fails(*_): raise RuntimeError('hunter2')\n"
        "planning.plan_fleet = fails\n"
        "from sandboxer.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    words = ["--log-format", "json", "-C", str(fleet.path), "plan"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    *_, error, finished = lines_of(done.stderr)
    assert error["message"] == "RuntimeError at <string>:2"
    assert (finished["event"], finished["exit_code"]) == ("run.finished", 1)
    assert "hunter2" not in done.stderr


def test_what_a_library_writes_is_a_line_too() -> None:
    code = (
        "import sys, logging, warnings\n"
        "from sandboxer.cli.session import Session\n"
        "session = Session({})\n"
        "session.use_log_format('json')\n"
        "logging.getLogger('some.library').warning('two\\nlines')\n"
        "print('a word', end='', file=sys.stderr)\n"
        "session.close(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    messages = [line for line in lines_of(done.stderr) if line["event"] == "message"]
    assert [line["message"] for line in messages] == ["two", "lines", "a word"]


def _interrupted_plan(fleet: GitRepo) -> tuple[int, str]:
    """Plan against a host that never answers, type Ctrl-C meanwhile, and return the exit code and the log."""
    with LyingHub() as deaf:  # it never sends SSH-2.0, so the observation waits
        port = deaf.url.rpartition(":")[2]
        fleet.commit({"manifests/offline.yaml": UNREACHABLE_HOST.replace("port: 1,", f"port: {port},")})
        process = subprocess.Popen(
            ["env", "--default-signal=INT", PROGRAM, "--log-format", "json", "-C", fleet.path, "plan"],
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 30
        while not deaf._sockets and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_ctrl_c_is_a_line(fleet: GitRepo) -> None:
    for _ in range(5):
        code, stderr = _interrupted_plan(fleet)
        if "Exception ignored" not in stderr:  # Python drops an interrupt that comes while a weak reference ends
            break
    assert code == 130, stderr
    errors = [line for line in lines_of(stderr) if line["event"] == "error"]
    assert [line["message"] for line in errors] == ["Interrupted."], stderr
    assert events_of(stderr)[-1] == "run.finished"


def test_state_hub_gets_the_same_run_id(fleet: GitRepo) -> None:
    settings = "spec: {stateHub: {url: '${STATE_HUB_URL}', token: env:STATE_HUB_TOKEN}}\n"
    fleet.write("sandboxer.yaml", FLEET + settings)
    fleet.commit()
    with LyingHub() as hub:
        environment = {"STATE_HUB_URL": hub.url, "STATE_HUB_TOKEN": TOKEN, "SANDBOXER_LOG_FORMAT": "json"}
        done = start("-C", fleet.path, "apply", "-y", **environment)
        run_ids = {event["subject"] for event in hub.events} | {event["data"]["run_id"] for event in hub.events}
    assert run_ids == {lines_of(done.stderr)[0]["run_id"]}
    assert TOKEN not in done.stderr


def test_each_time_of_a_watch_is_a_run_of_its_own(fleet: GitRepo) -> None:
    process = subprocess.Popen(
        [PROGRAM, "--log-format", "json", "-C", fleet.path, "drift", "--watch", "1s"],
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    output: list[str] = []
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            output.append(line)
            if sum('"run.finished"' in one for one in output) == 2:
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 1
    lines = lines_of("".join(output))
    runs = list(dict.fromkeys(line["run_id"] for line in lines))
    assert len(runs) in (2, 3)
    for one in runs:
        assert [line["event"] for line in lines if line["run_id"] == one] == [
            "run.started",
            "look.done",
            "run.finished",
        ]
