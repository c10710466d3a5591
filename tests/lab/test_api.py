"""``sandboxer serve`` on real hosts: made once, never lost, never doubled, and gone without a trace."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.faults.matrix import size
from tests.support.api import ServedApi
from tests.support.e2e import service, stack, until, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.snapshot import Snapshot
    from tests.support.e2e import FleetRepo

    NewFleet = Callable[..., FleetRepo]

pytestmark = pytest.mark.lab

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
# `follow` and long waits would hold each of its questions up; what they do is tested above.
PARAMETERS = '[parameters]\n"query.follow" = false\n"query.wait" = 2\n"path.ref" = "{ref}"\n'
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)


def _fleet(new_fleet: NewFleet, *hosts: str, **services: Any) -> FleetRepo:
    """Return a fleet with the profile `profile.web` for requests, and no sandbox in git."""
    fleet = new_fleet(*hosts)
    ports = [{"name": "http", "service": "a", "port": 8080}]
    profile = {"reachability": {"ports": ports}, "ttl": {"default": "1h", "max": "2h"}}
    fleet.sandbox("web", stack(**(services or {"a": web()})), profile_spec=profile)
    fleet.remove("web")
    fleet.commit()
    return fleet


def _before(fleet: FleetRepo) -> dict[str, Snapshot]:
    return {host: fleet.lab.snapshot(host) for host in fleet.hosts}


def _assert_gone(fleet: FleetRepo, before: dict[str, Snapshot]) -> None:
    assert {host: found for host in fleet.hosts if (found := fleet.lab.leaked(host, before[host]))} == {}


def _running(fleet: FleetRepo) -> list[str]:
    """Return the ids of the sandboxes that have a container, one for each container on any host."""
    found = [item for host in fleet.hosts for item in fleet.containers(host).values()]
    return sorted(item["Config"]["Labels"]["dev.sandboxer.id"] for item in found)


def _at_once(count: int, ask: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_one_key_makes_one_sandbox_which_lives_and_goes(new_fleet: NewFleet) -> None:
    fleet = _fleet(new_fleet, "lab-1", "lab-2")
    before = _before(fleet)
    consumer = {"actor": "atm", "project": "wise-validator"}
    with ServedApi(fleet) as api:
        answers = _at_once(4, lambda _: api.create(key="run-1", consumer=consumer, labels={"team": "a"}))
        assert [answer.status_code for answer in answers] == [202] * 4
        identifier = answers[0].json()["id"]
        assert {answer.json()["id"] for answer in answers} == {identifier}
        ready = api.create("?wait=60", key="run-1", consumer=consumer, labels={"team": "a"})
        assert (ready.status_code, ready.json()["phase"]) == (201, "ready")
        assert api.create(key="run-1", consumer=consumer).status_code == 422, "another body"
        other = api.create("?wait=60", name="other", consumer={"actor": "agt", "project": "x"}).json()
        assert _running(fleet) == sorted([identifier, other["id"]])
        assert other["reachability"][0]["port"] == 8080

        page = api.get("/v1/sandboxes?limit=1")
        assert [one["name"] for one in page["items"]] == ["other"]
        assert [one["id"] for one in api.get(f"/v1/sandboxes?after={page['next']}")["items"]] == [identifier]
        assert [one["id"] for one in api.get("/v1/sandboxes?label=team=a&phase=ready")["items"]] == [identifier]
        assert api.get("/v1/plan")["summary"]["delete"] == 0

        assert api.phases_reported(identifier) == ["requested", "provisioning", "ready"]
        longer = api.ask("POST", "/v1/sandboxes/other/extend-ttl", json={"by": "30m"}).json()
        assert longer["expires_at"] > other["expires_at"]
        assert api.ask("POST", "/v1/sandboxes/other/activity").json()["phase"] == "active"
        recreated = api.ask("POST", "/v1/sandboxes/other/recreate?wait=60")
        assert (recreated.status_code, recreated.json()["id"], recreated.json()["phase"]) == (200, other["id"], "ready")

        for _ in range(2):
            assert api.ask("DELETE", f"/v1/sandboxes/{identifier}").status_code == 204
        assert api.ask("DELETE", "/v1/sandboxes/other").status_code == 204
        assert api.there() == {}
    _assert_gone(fleet, before)


def test_events_and_logs_follow_a_life_to_its_end(new_fleet: NewFleet) -> None:
    fleet = _fleet(new_fleet, "lab-1", a=service("sh", "-c", "echo one; echo two; sleep 9999"))
    accept = {"Accept": "text/event-stream"}
    with ServedApi(fleet) as api:
        identifier = api.create("?wait=60").json()["id"]
        until(lambda: "two" in api.ask("GET", f"/v1/sandboxes/{identifier}/logs").text, "it printed")
        text = api.ask("GET", f"/v1/sandboxes/{identifier}/logs?service=a&tail=1").text
        assert text == "a | two\n"
        assert api.ask("GET", f"/v1/sandboxes/{identifier}/logs?service=none").status_code == 404
        headers = {"Authorization": f"Bearer {api.token}", **accept}
        with ThreadPoolExecutor(2) as pool:

            def follow(path: str) -> str:
                url = f"{api.url}/v1/sandboxes/{identifier}/{path}"
                return httpx.get(url, headers=headers, timeout=120, trust_env=False).text

            streams = [pool.submit(follow, path) for path in ("events", "logs?follow=true")]
            until(lambda: "sandboxer_api_streams 2.0" in api.ask("GET", "/metrics").text, "both follow")
            assert api.ask("DELETE", f"/v1/sandboxes/{identifier}").status_code == 204
            events, lines = (stream.result(120) for stream in streams)
        assert "event: dev.sandboxer.sandbox.ready\n" in events
        assert '"text": "one"' in lines
        until(lambda: "sandboxer_api_streams 0.0" in api.ask("GET", "/metrics").text, "nothing follows any more")


def test_two_servers_of_one_fleet_do_each_other_no_harm(new_fleet: NewFleet) -> None:
    fleet = _fleet(new_fleet, "lab-1", "lab-2")
    before = _before(fleet)
    with ServedApi(fleet) as one, ServedApi(fleet) as other:
        request = _at_once(8, lambda n: (one, other)[n % 2].create(key=f"key-{n // 2}"))
        assert [answer.status_code for answer in request] == [202] * 8, [answer.text for answer in request]
        ids = sorted({answer.json()["id"] for answer in request})
        assert len(ids) == 4
        found = one.until_over(*ids)
        assert [found[identifier]["phase"] for identifier in ids] == ["ready"] * 4
        assert _running(fleet) == ids
        gone = _at_once(8, lambda n: (other, one)[n % 2].ask("DELETE", f"/v1/sandboxes/{ids[n // 2]}?wait=120"))
        assert {answer.status_code for answer in gone} == {204}, [answer.text for answer in gone]
    _assert_gone(fleet, before)


def test_what_has_expired_goes_by_itself(new_fleet: NewFleet) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    before = _before(fleet)
    with ServedApi(fleet, "--reap-every", "1s") as api:
        api.create("?wait=60", ttl="5s")
        kept = api.create("?wait=60", ttl="1h").json()["id"]
        until(lambda: list(api.there()) == [kept], "the other has expired")
        api.ask("DELETE", f"/v1/sandboxes/{kept}")
    _assert_gone(fleet, before)


def test_a_signal_hands_over_what_does_not_finish_and_the_next_server_ends_it(new_fleet: NewFleet) -> None:
    """One runs when the server ends, one waits, and that one's secret is gone with the server."""
    healthy = {"test": ["CMD", "test", "-e", "/tmp/healthy"], "interval": "1s", "retries": 30}
    slow = service("sh", "-c", "sleep 6; mkdir -p /tmp; touch /tmp/healthy; sleep 9999", healthcheck=healthy)
    fleet = new_fleet("lab-1")
    bound = {"ref": "env:API_SECRET", "profiles": ["profile.web"], "consumers": ["atm/checks"]}
    fleet.document("sandboxer.yaml", "Fleet", fleet.name, {"secrets": {"allow": [bound]}})
    fleet.sandbox("slow", stack(a=slow))
    fleet.sandbox("web", stack(a=service()))
    fleet.remove("slow")
    fleet.remove("web")
    fleet.commit()
    before = _before(fleet)
    secret = {"API_SECRET": "not-to-be-seen"}
    with ServedApi(fleet, "--operations", "1", "--grace", "1s", env=secret) as api:
        runs = api.create(profile="profile.slow").json()["id"]
        whose = {"actor": "atm", "project": "checks"}
        waits = api.create(secret_refs={"API_SECRET": "env:API_SECRET"}, consumer=whose).json()["id"]
        until(lambda: api.there()[runs]["phase"] == "provisioning", "the first is being made")
        api.end()
        assert "2 operations are not finished" in api.output
        api.env = {}
        api.start()
        found = api.until_over(runs, waits)
        assert (found[runs]["phase"], found[waits]["phase"]) == ("ready", "failed")
        assert api.phases_reported(waits)[-1] == "failed"
        assert _running(fleet) == [runs]
        assert "not-to-be-seen" not in api.output
        for identifier in (runs, waits):
            assert api.ask("DELETE", f"/v1/sandboxes/{identifier}").status_code == 204
    _assert_gone(fleet, before)


def test_a_signal_lets_what_runs_finish(new_fleet: NewFleet) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    with ServedApi(fleet) as api:
        identifier = api.create().json()["id"]
        api.end()
        assert "not finished" not in api.output
        assert fleet.get(identifier)["phase"] == "ready"


def test_schemathesis_finds_nothing_outside_of_the_description(new_fleet: NewFleet, tmp_path: Path) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    fleet.profile("profile.compose-e2e", workspace={"path": "stacks/web"})
    fleet.commit()
    with ServedApi(fleet) as api:
        identifier = api.create("?wait=60").json()["id"]
        config = tmp_path / "schemathesis.toml"
        config.write_text(PARAMETERS.replace("{ref}", identifier))
        words = ["--config-file", str(config), "run", f"{api.url}/openapi.json", "--checks", CHECKS, "--no-shrink"]
        words += ["--phases", size("examples,fuzzing", "examples,coverage,fuzzing,stateful")]
        words += ["--header", f"Authorization: Bearer {api.token}", "--request-timeout", "60", "--no-color"]
        words += ["--max-examples", "5", "--seed", str(size(1, random.randrange(1 << 16)))]
        done = subprocess.run(
            [SCHEMATHESIS, *words], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        for handle in api.there():
            api.ask("DELETE", f"/v1/sandboxes/{handle}?wait=60")
        assert "internal server error; see the server's output" not in api.output
        assert "Traceback" not in api.output
