"""Why a sandbox failed stands everywhere that shows it, for every client and State Hub, until a success clears it.

Each failure is a real one: a build that fails, a registry that refuses, a kernel that kills, an engine that is killed.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.harm import engine_ended, small_disk
from tests.lab import IMAGE
from tests.support.api import ServedApi
from tests.support.e2e import FleetRepo, service, stack, until
from tests.support.hubs import TOKEN, ServedHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab import Lab

    NewFleet = Callable[..., FleetRepo]

pytestmark = pytest.mark.lab

HOST, PORT, SECRET = "lab-1", 5017, "s3cr3t-value-nobody-may-see"
QUICK = {"readiness": {"timeout": "20s"}}
# Refuses every pull, as a registry does that wants a login.
REGISTRY = """
import http.server
class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_HEAD = do_GET
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", %d), Refusing).serve_forever()
"""
SICK = {"test": ["CMD", "sh", "-c", "echo no moon yet; exit 1"], "interval": "1s", "retries": 2}
DONE = {"a": {"condition": "service_completed_successfully"}}
# By sandbox: its services, its files, and the code, the service at fault and the words of the cause.
BROKEN: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, str | None, str]]] = {
    "build": (
        {"a": {"build": "."}},
        {"Dockerfile": f"FROM {IMAGE}\nRUN echo building; ls /nowhere; exit 3\n"},
        ("build-failed", "a", "exit code: 3"),
    ),
    "pull": ({"a": service() | {"image": f"127.0.0.1:{PORT}/not/yours:1"}}, {}, ("pull-denied", "a", "not/yours")),
    "port": (
        {
            "a": service("sh", "-c", "httpd -p 80; sleep 9999"),
            "b": service("sh", "-c", "sleep 0.3; httpd -f -p 80", network_mode="service:a"),
            "c": service("sh", "-c", "sleep 9999", healthcheck=SICK | {"retries": 9}),
        },
        {},
        ("port-in-use", "b", "Address already in use"),
    ),
    "memory": (
        {"a": service("sh", "-c", "tail /dev/zero", healthcheck=SICK | {"retries": 15})},
        {},
        ("out-of-memory", "a", "out of memory"),
    ),
    "sick": ({"a": service(healthcheck=SICK)}, {}, ("service-unhealthy", "a", "no moon yet")),
    "loop": (
        {"a": service("sh", "-c", "echo dying; exit 5", restart="always")},
        {},
        ("crash-loop", "a", "exited with code 5"),
    ),
    "command": ({"a": service("/no/such/program")}, {}, ("bad-command", "a", "/no/such/program")),
    "secret": ({"a": service(secrets=["TOKEN"])}, {}, ("secret-missing", None, "TOKEN (from env:TOKEN)")),
    "once": (
        {"a": service("sh", "-c", "echo no database; exit 4", restart="no"), "b": service(depends_on=DONE)},
        {},
        ("service-exited", "a", 'one-shot service "a" exited with code 4: no database'),
    ),
}
SECRETS = {"secrets": {"TOKEN": {"environment": "TOKEN"}}}
REFS = [{"name": "TOKEN", "from": "env:TOKEN"}]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ServedHub]:
    with ServedHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def reporting(new_fleet: NewFleet, hub: ServedHub) -> NewFleet:
    """Return a factory of fleets that report to the hub."""

    def make(*hosts: str, **options: Any) -> FleetRepo:
        stated = {"stateHub": {"url": hub.url, "token": "env:STATE_HUB_TOKEN"}, "secrets": {"allow": ["env:TOKEN"]}}
        fleet = new_fleet(*hosts, **stated, **options)
        fleet.env["STATE_HUB_TOKEN"] = TOKEN
        return fleet

    return make


def shown_everywhere(fleet: FleetRepo, hub: ServedHub, **causes: tuple[str, str | None, str]) -> None:
    """Fail unless record, get, list, events, plan and hub name each cause, to programs that did not see it happen."""
    wide = fleet.run("list", "-o", "wide").splitlines()
    errors = {handle["name"]: handle["error"] for handle in json.loads(fleet.run_here("list", "-o", "json"))}
    planned = fleet.plan(code=None, drifts=True)
    for name, (code, service_at_fault, words) in causes.items():
        error = errors[name]
        assert (error["code"], error["service"]) == (code, service_at_fault), error
        assert words in error["message"], error
        assert error["hint"]
        assert fleet.record(fleet.hosts[0], name)["error"] == error
        text = fleet.run_here("get", name)
        assert f"error         {code}  in step {error['step']}" in text
        assert words in " ".join(text.split())
        assert f"{code}: " in next(line for line in wide if line.startswith(f"{name} "))
        events = [json.loads(line) for line in fleet.run_here("events", name, "-o", "json").splitlines()]
        assert [event["data"]["error"] for event in events if event["type"].endswith(".failed")][-1] == error
        assert planned.of(name)["error"] == error
        received = hub.events(fleet=fleet.name, sandbox=fleet.id(name), type="dev.sandboxer.sandbox.failed")
        assert [event["data"]["error"] for event in received][-1:] == [error]


def cleared(fleet: FleetRepo, *names: str) -> None:
    """Fail unless each is ready and nothing shows a cause any more."""
    for handle in json.loads(fleet.run_here("list", "-o", "json")):
        assert (handle["phase"], handle["error"]) == ("ready", None), handle
    for name in names:
        assert "error" not in fleet.record(fleet.hosts[0], name)
        assert not fleet.exists(fleet.hosts[0], f"{fleet.folder(name)}/last-error.txt")
    fleet.assert_synced()


@contextmanager
def refusing_registry(lab: Lab) -> Iterator[None]:
    start = f"setsid /usr/bin/python3 -c '{(REGISTRY % PORT).replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'"
    pid = lab.exec(HOST, ["sh", "-c", f"{start} </dev/null >/dev/null 2>&1 & echo $!"]).stdout.strip()
    try:
        yield
    finally:
        lab.exec(HOST, ["kill", pid], check=False)


def test_nine_failures_of_stacks(reporting: NewFleet, lab: Lab, hub: ServedHub) -> None:
    fleet = reporting(HOST)
    fleet.sandbox("secret", stack(a=service(secrets=["TOKEN"])) | SECRETS, secretRefs=REFS)
    fleet.commit()
    fleet.apply(env={"TOKEN": SECRET})
    fleet.sh(HOST, f"rm -r {fleet.folder('secret')}/secrets")
    for name, (services, files, _) in BROKEN.items():
        more = {"secretRefs": REFS, "env": {"LEVEL": "debug"}} if name == "secret" else {}
        fleet.sandbox(name, stack(**services) | (SECRETS if more else {}), files=files, profile_spec=QUICK, **more)
    fleet.commit()
    with refusing_registry(lab):
        applied = fleet.apply(code=1)
    assert {change["sandbox"]: change["outcome"] for change in applied.changes} == dict.fromkeys(BROKEN, "failed")
    shown_everywhere(fleet, hub, **{name: cause for name, (_, _, cause) in BROKEN.items()})
    assert "ls: /nowhere: No such file or directory" in fleet.run("get", "build")
    assert "ls: /nowhere: No such file or directory" in applied.of("build")["error"]
    reasons = fleet.plan(code=None, drifts=True).reasons
    assert {name: reasons[name] for name in BROKEN if name != "secret"} == dict.fromkeys(
        [name for name in BROKEN if name != "secret"], "repair_because_failed"
    )
    with ServedApi(fleet) as api:
        there = {handle["name"]: handle["error"] for handle in api.there().values()}
    assert {name: error["code"] for name, error in there.items()} == {name: one[2][0] for name, one in BROKEN.items()}

    for name in BROKEN:
        fleet.sandbox(name, stack(a=service(), b=service()))
    fleet.commit()
    fleet.apply(env={"TOKEN": SECRET})
    cleared(fleet, *BROKEN)
    assert all(SECRET not in output for output in fleet.output)


def test_a_disk_that_is_full(reporting: NewFleet, lab: Lab, hub: ServedHub) -> None:
    root = "/tmp/sandboxer-small"
    with small_disk(lab, HOST, root, "size=2m"):
        fleet = reporting(HOST, root=root)
        fleet.sandbox("full", stack(a=service(volumes=["./big:/big:ro"])), files={"big": "x" * 3_000_000})
        fleet.commit()
        fleet.apply(code=1)
        shown_everywhere(fleet, hub, full=("disk-full", None, "No space left on device"))
        fleet.sandbox("full", stack(a=service(volumes=["./big:/big:ro"])), files={"big": "x"})
        fleet.commit()
        fleet.apply()
        cleared(fleet, "full")
        fleet.clean_up()


def test_no_address_pool_is_left_for_a_network(reporting: NewFleet, lab: Lab, hub: ServedHub) -> None:
    fleet = reporting(HOST)
    fleet.sandbox("crowded", stack(a=service()))
    fleet.commit()
    fill = (
        'for n in $(seq 99); do docker network create --internal "sbx-full-$n" >/dev/null 2>&1 || exit 0; done; exit 1'
    )
    try:
        lab.exec(HOST, ["sh", "-c", fill], timeout=120)
        fleet.apply(code=1)
        shown_everywhere(fleet, hub, crowded=("no-network", "a", "address pool"))
    finally:
        lab.exec(HOST, ["sh", "-c", "docker network rm $(docker network ls -q -f name=sbx-full-)"], timeout=120)
    fleet.apply()
    cleared(fleet, "crowded")


def test_an_engine_that_is_killed_in_the_middle(reporting: NewFleet, lab: Lab, hub: ServedHub) -> None:
    host = "lab-2"
    fleet = reporting(host)
    waits = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60}
    fleet.sandbox("gone", stack(a=service(healthcheck=waits)), profile_spec=QUICK)
    fleet.commit()
    with fleet.start("apply", "-y") as process:
        until(lambda: fleet.ids(host), "a container")
        with engine_ended(lab, host):
            stdout, stderr = process.communicate()
            fleet.output += [stdout, stderr]
            assert process.returncode == 1, stdout + stderr
            assert fleet.get("gone")["error"]["code"] == "engine-down"
    shown_everywhere(fleet, hub, gone=("engine-down", None, "does not answer"))
    fleet.sandbox("gone", stack(a=service()))
    fleet.commit()
    fleet.apply()
    cleared(fleet, "gone")
