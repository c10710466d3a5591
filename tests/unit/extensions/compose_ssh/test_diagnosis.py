"""Why a stack is not up: the code, the cause in one line, and a text in which nothing stands twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandboxer.extensions.compose_ssh.diagnosis import LOG_LINES, Symptom, diagnose
from sandboxer.extensions.compose_ssh.engine_output import built_service, last_line, of_build, without_noise
from sandboxer.extensions.compose_ssh.failure_patterns import code_of, code_of_build, hint_of
from sandboxer.model.observed import Container
from tests.support.fleet import ROOT

CASES = ROOT / "tests/cases/failures"
WEB = Container("a" * 64, "sbx-web-1", "docker", "shop:1", "b" * 64, "exited", 3, None, {}, service="web")
IMAGES = {"web": "shop:1", "db": "localhost:5000/db:2"}

# As the engines of the lab printed it, or as their sources have it.
PRINTED = {
    "write /var/lib/docker/tmp/x: no space left on device": "disk-full",
    "Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to "
    "assign to the network": "no-network",
    "failed to create network x: Error response from daemon: all predefined address pools have been fully "
    "subnetted": "no-network",
    "Error: could not find free subnet from subnet pools": "no-network",
    "Error response from daemon: driver failed programming external connectivity on endpoint x: Bind for "
    "127.0.0.1:8080 failed: port is already allocated": "port-in-use",
    "httpd: bind: Address already in use": "port-in-use",
    "Error response from daemon: pull access denied for nothere/x, repository does not exist or may require 'docker "
    "login': denied: requested access to the resource is denied": "pull-denied",
    'Error response from daemon: Head "https://r.example/v2/x/manifests/1": no basic auth credentials': "pull-denied",
    'Error response from daemon: Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection '
    "refused": "pull-failed",
    "Error response from daemon: manifest for localhost:5000/db:2 not found: manifest unknown: manifest "
    "unknown": "image-missing",
    'Error: initializing source docker://localhost/x:1: pinging container registry localhost: Get "https://localhost/'
    'v2/": dial tcp 127.0.0.1:443: connect: connection refused': "pull-failed",
    "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to "
    'start container process: exec: "nothere": executable file not found in $PATH: unknown': "bad-command",
    'Error: unable to start container "7d0c": runc: runc create failed: unable to start container process: exec: '
    '"nothere": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not '
    "found": "bad-command",
    "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to "
    'start container process: exec: "/etc/passwd": permission denied: unknown': "bad-command",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": "engine-down",
    "something else": None,
}


@pytest.mark.parametrize("text", PRINTED)
def test_the_words_of_engines_have_a_code(text: str) -> None:
    assert code_of(text) == PRINTED[text]
    assert PRINTED[text] is None or hint_of(str(PRINTED[text]))


def test_noise_is_left_out_and_nothing_stands_twice() -> None:
    refused = 'Error response from daemon: Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: '
    assert without_noise((CASES / "up-noise.txt").read_text()) == f"{refused}connection refused"


@pytest.mark.parametrize(
    ("builder", "first", "last"),
    [
        ("buildkit", "[web 2/2] RUN echo building; for", "ERROR: executor failed running"),
        ("podman", "STEP 2/2: RUN echo building", "Error: building at STEP"),
        ("classic", "Step 2/2 : RUN echo building", "The command '/bin/sh -c echo building"),
    ],
)
def test_a_failed_build_shows_its_step_once(builder: str, first: str, last: str) -> None:
    text = (CASES / f"build-{builder}.txt").read_text()
    lines = of_build(text).splitlines()
    assert lines[0].startswith(first)
    assert lines[-1].startswith(last)
    assert lines.count("ls: /nothere: No such file or directory") == 1
    assert lines.count("building") == 1
    assert not any("good" in line for line in lines)
    assert code_of_build(text, last_line(text)) == "build-failed"
    assert of_build(text, 2).splitlines() == lines[-2:]


def test_the_service_of_a_build_is_known_from_its_step() -> None:
    text = (CASES / "build-buildkit.txt").read_text()
    assert built_service(text, ["api", "web"]) == "web"
    assert built_service(text, ["api", "other"]) is None
    assert built_service("no output", ["web"]) == "web"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "#5 0.1 cp: write error: No space left on device\n#5 ERROR: exit code: 1\nfailed to solve: exit code: 1",
            "disk-full",
        ),
        (
            "#5 ERROR: pull access denied\nfailed to solve: x: pull access denied, repository does not exist",
            "pull-denied",
        ),
        ("#5 0.1 curl: unauthorized: go away\nfailed to solve: exit code: 22", "build-failed"),
        (
            'STEP 2/2: RUN x\nbind: address already in use\nError: building at STEP "RUN x": exit status 1',
            "build-failed",
        ),
    ],
)
def test_what_a_step_prints_is_its_own_business(text: str, code: str) -> None:
    assert code_of_build(text, last_line(text)) == code


def test_a_build_shows_at_most_forty_lines() -> None:
    text = "".join(f"#5 0.{n} line {n}\n" for n in range(100)) + "#5 ERROR: exit code: 2\n"
    lines = of_build(text).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (40, "line 61", "ERROR: exit code: 2")


def symptom(**given: Any) -> Symptom:
    own = {key: given.pop(key) for key in list(given) if key in ("state", "exit_code", "health", "service")}
    return Symptom(replace(WEB, **own), **given)


@pytest.mark.parametrize(
    ("found", "code", "message"),
    [
        (symptom(log="a\nthe last words"), "service-exited", 'service "web" exited with code 3: the last words'),
        (symptom(one_shot=True), "service-exited", 'one-shot service "web" exited with code 3'),
        (symptom(exit_code=137), "service-exited", 'service "web" exited with code 137 (killed)'),
        (symptom(exit_code=137, oom=True), "out-of-memory", 'service "web" was killed: out of memory (exit code 137)'),
        (
            symptom(exit_code=127, log="sh: x: not found"),
            "bad-command",
            'service "web" exited with code 127: sh: x: not found',
        ),
        (symptom(state="restarting", restarts=4), "crash-loop", 'service "web" exited with code 3 after 4 restarts'),
        (symptom(state="restarting"), "crash-loop", 'service "web" exited with code 3 again and again'),
        (
            symptom(log="bind: Address already in use"),
            "port-in-use",
            'service "web" exited with code 3: bind: Address already in use',
        ),
        (symptom(log="Address already in use\nbye"), "service-exited", 'service "web" exited with code 3: bye'),
        (
            symptom(state="running", exit_code=0, health="unhealthy", check="curl: no\nrefused"),
            "service-unhealthy",
            'service "web" is unhealthy: refused',
        ),
        (
            symptom(state="created", exit_code=127, error='OCI: exec: "x": executable file not found in $PATH'),
            "bad-command",
            'service "web" cannot be started: OCI: exec: "x": executable file not found in $PATH',
        ),
        (
            symptom(state="running", exit_code=0, health="starting"),
            None,
            'service "web" is not ready: health check starting',
        ),
    ],
)
def test_a_container_has_its_cause(found: Symptom, code: str | None, message: str) -> None:
    assert (found.code, found.message) == (code, message)
    _, cause = diagnose("", [found], {}, IMAGES, timeout=30)
    late = "" if code else " after 30 s"
    assert (cause.code, cause.message, cause.service) == (code or "timeout", message + late, "web")


def test_the_words_of_an_engine_count_before_a_container_that_it_could_not_start() -> None:
    text = "Error response from daemon: pull access denied for localhost:5000/db, denied: requested access"
    shown, cause = diagnose(
        text, [], {"db": 'service "db" was not created; image localhost:5000/db:2'}, IMAGES, timeout=30
    )
    why = text.removeprefix("Error response from daemon: ")
    message = f'the image localhost:5000/db:2 of service "db" cannot be pulled: {why}'
    assert (cause.code, cause.message, cause.service) == ("pull-denied", message, "db")
    assert shown.splitlines() == [text, 'service "db" was not created; image localhost:5000/db:2']


def test_what_an_engine_printed_of_a_container_stands_once() -> None:
    error = (
        'OCI runtime create failed: unable to start container process: exec: "x": executable file not found in $PATH'
    )
    found = symptom(state="created", exit_code=127, error=error)
    shown, cause = diagnose(f"Error response from daemon: {error}\n", [found], {}, IMAGES, timeout=30)
    assert cause.code == "bad-command"
    assert cause.service == "web"
    assert shown.count("executable file not found") == 1


def test_a_failure_counts_before_a_service_that_waits_for_it() -> None:
    waiting = symptom(service="api", state="created", exit_code=0)
    _, cause = diagnose("", [waiting, symptom()], {}, IMAGES, timeout=30)
    assert (cause.code, cause.service) == ("service-exited", "web")


def test_a_message_has_the_end_of_a_log_and_the_whole_text_more_of_it() -> None:
    shown, cause = diagnose("", [symptom(log="\n".join(map(str, range(90))))], {}, IMAGES, timeout=30)
    assert "\n77\n" not in shown
    assert "\n78\n" in shown
    assert len(shown.splitlines()) == LOG_LINES + 2
    assert cause.text.splitlines()[2:] == [str(n) for n in range(90)]


def test_without_any_word_it_is_a_timeout() -> None:
    assert diagnose("", [], {}, IMAGES, timeout=30)[1].message == "the services are not ready after 30 s"
    absent = {"db": 'service "db" was not created; image db:2'}
    assert diagnose("", [], absent, IMAGES, timeout=30)[1].service == "db"
