"""A failure on a host is reported with its cause, stops nothing else, and is over once the cause is fixed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.api import ServedApi
from tests.support.e2e import FleetRepo, service, stack, until
from tests.support.hubs import TOKEN, ServedHub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.lab

SECRET = "s3cr3t-value-nobody-may-see"
VALUE, MASKED, LISTED, OWN = "a-plain-value", "tulip-bulb-4711", "0815-4242", "own-value-of-the-file"
NAME = "postgres-main"


def test_a_failure_reports_its_reason_and_the_others_continue(new_fleet: Callable[..., FleetRepo]) -> None:
    host = "lab-4"  # that Docker does the same is a row of the fault matrix
    fleet = new_fleet(host)
    fleet.sandbox("crash", stack(a=service("sh", "-c", "echo the last words; exit 3"), b=service()))
    fleet.sandbox("image", stack(a=service() | {"image": "localhost/not/there:1"}))
    fleet.sandbox("good", stack(a=service()))
    fleet.commit()
    applied = fleet.apply(code=1)
    outcomes = {change["sandbox"]: change["outcome"] for change in applied.changes}
    assert outcomes == {"crash": "failed", "image": "failed", "good": "created"}
    error = applied.of("crash")["error"]
    assert 'service "a" is exited (3)' in error
    assert "the last words" in error
    assert "not/there" in applied.of("image")["error"]
    assert "good/a" in fleet.ids(host)
    assert fleet.record(host, "crash")["phase"] == "failed"

    text = fleet.run("apply", "-y", code=1)
    assert "the last words" in text
    for name in ("crash", "image"):
        fleet.sandbox(name, stack(a=service(), b=service()))
    fleet.commit()
    fleet.apply()
    assert {key for key in fleet.ids(host) if not key.startswith("good")} == {
        f"{name}/{each}" for name in ("crash", "image") for each in "ab"
    }
    fleet.assert_synced()


def _loud_and_quiet(fleet: FleetRepo) -> None:
    """Commit a sandbox whose only service prints all that it got and ends, and one that runs with the same."""
    (fleet.repo.path / ".git/info/exclude").write_text("token.txt\n")
    fleet.repo.write("token.txt", f"file-{SECRET}")
    refs = [{"name": "TOKEN", "from": "env:TOKEN"}, {"name": "PASS", "from": "file:token.txt"}]
    env = {"MODE": VALUE, "DB_PASSWORD": MASKED, "PIN": LISTED, "API_KEY": NAME, "ON": "1"}
    script = "cat /run/secrets/*; echo; echo $MODE; echo $DB_PASSWORD $PIN $OWN_KEY; echo is ready 1; exit 4"
    variables = {"environment": {key: f"${{{key}}}" for key in env} | {"OWN_KEY": OWN}}
    shouts = service("sh", "-c", script, secrets=["TOKEN", "PASS"], **variables)
    tops = {"secrets": {"TOKEN": {"environment": "TOKEN"}, "PASS": {"environment": "PASS"}}}
    spec = {"env": env, "sensitive": ["PIN"], "secretRefs": refs}
    fleet.sandbox("loud", stack(**{NAME: shouts}) | tops, **spec)
    fleet.sandbox("quiet", stack(a=service(secrets=["TOKEN", "PASS"], **variables)) | tops, **spec)
    fleet.repo.git("add", "-A")
    fleet.repo.git("commit", "-q", "-m", "x")


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_secrets_and_sensitive_values_are_shown_nowhere(
    new_fleet: Callable[..., FleetRepo], host: str, tmp_path: Path
) -> None:
    """Plain values may be seen, and the name of a service stays whole even if it is a hidden value."""
    with ServedHub(tmp_path / "hub") as hub:
        stated = {"stateHub": {"url": hub.url, "token": "env:STATE_HUB_TOKEN"}}
        fleet = new_fleet(host, secrets={"allow": ["env:TOKEN", "file:token.txt"]}, **stated)
        fleet.env |= {"TOKEN": SECRET, "STATE_HUB_TOKEN": TOKEN}
        _loud_and_quiet(fleet)
        seen: list[str] = []

        def watch() -> bool:
            seen.append(fleet.sh(host, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '", check=False))
            return process.poll() is not None

        with fleet.start("apply", "-y", "-o", "json") as process:
            until(watch, "the end of the apply", 60)
            stdout, stderr = process.communicate()
        fleet.output += [stdout, stderr]
        assert process.returncode == 1
        assert f'service \\"{NAME}\\" is exited (4)' in stdout
        assert "is ready 1" in stdout
        assert VALUE in stdout
        assert "(hidden)" in stdout
        given = fleet.inside(host, "quiet", "a", "cat", "/run/secrets/TOKEN", "/run/secrets/PASS")
        assert given == f"{SECRET}file-{SECRET}"
        assert f'service "{NAME}" is exited (4)' in fleet.run("apply", "-y", code=1)
        for command in (["plan", "--all"], ["plan", "-o", "json"], ["plan", "-o", "markdown"], ["list", "-o", "wide"],
                        ["get", "quiet", "-o", "json"], ["get", "loud"], ["render", "quiet"], ["logs", "loud"],
                        ["events", "loud"], ["events", "loud", "-o", "json"],
                        ["render", "quiet", "--explain"]):  # fmt: skip
            fleet.run_here(*command, code=None)
        assert VALUE in fleet.run_here("logs", "loud")
        assert f'service "{NAME}" exited with code 4' in fleet.run_here("get", "loud")
        with ServedApi(fleet) as api:
            seen.append(json.dumps(list(api.there().values())))
            path = f"/v1/sandboxes/{fleet.id('loud')}"
            seen += [api.ask("GET", f"{path}/{part}").raise_for_status().text for part in ("events", "logs")]
            assert VALUE in seen[-1]
        seen.append(json.dumps(hub.events(fleet=fleet.name)))
        kept = ("record.json", "last-error.txt", "journal.jsonl")
        seen += [fleet.sh(host, f"cat {fleet.folder('loud')}/{name}") for name in kept]
        for text in (*fleet.output, *seen):
            assert SECRET not in text
        # In a host's process list a container's environment can be seen: podman-compose gives it on a command line, and
        # /proc shows it for a moment while a process takes another's place.
        for text in (*fleet.output, *seen[-7:]):
            assert MASKED not in text
            assert LISTED not in text
            assert OWN not in text
        private = fleet.sh(host, f"grep -rl -F {SECRET} {fleet.root}/{fleet.name}; true").split()
        assert private
        assert all("/secrets/" in path for path in private)
        assert set(fleet.sh(host, f"stat -c %a {' '.join(private)}").split()) <= {"444", "600"}


def test_a_missing_secret_blocks_its_sandbox_and_a_kept_one_does_not(fleet: FleetRepo) -> None:
    fleet.document("sandboxer.yaml", "Fleet", fleet.name, {"secrets": {"allow": ["env:TOKEN"]}})
    refs = [{"name": "TOKEN", "from": "env:TOKEN"}]
    compose = stack(a=service(secrets=["TOKEN"])) | {"secrets": {"TOKEN": {"environment": "TOKEN"}}}
    fleet.sandbox("one", compose, secretRefs=refs)
    fleet.sandbox("two", stack(a=service()))
    fleet.commit()
    assert fleet.apply(code=1).reasons["one"] == "blocked_because_secret_missing"
    assert set(fleet.ids("lab-1")) == {"two/a"}
    fleet.apply(env={"TOKEN": SECRET})
    before = fleet.ids("lab-1")
    assert fleet.apply().changes == []
    fleet.sandbox("one", compose, env={"NEW": "value"}, secretRefs=refs)
    fleet.commit()
    assert fleet.apply().reasons == {"one": "update_because_changed"}
    assert fleet.ids("lab-1") == before
    assert fleet.inside("lab-1", "one", "a", "cat", "/run/secrets/TOKEN") == SECRET
