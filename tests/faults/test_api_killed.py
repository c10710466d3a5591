"""The API's server is killed amid requests: what it accepted is made all the same, and nothing is made twice."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.matrix import size
from tests.support.api import ServedApi
from tests.support.e2e import stack, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "`kill -9` of the API's server amid 40 requests on four hosts, at a random moment, and its restart",
        "each accepted request ends as a ready sandbox or a reported failure; none twice",
    ),
]

ROUNDS = size(1, 5)
REQUESTS = size(12, 40)
LATEST = size(4.0, 20.0)  # seconds after the first request


def test_nothing_accepted_is_lost_or_doubled(new_fleet: Callable[..., FleetRepo], lab: Lab, row: Row) -> None:
    fleet = new_fleet(*(host.name for host in lab.hosts))
    fleet.sandbox("web", stack(a=web()), profile_spec={"ttl": {"default": "1h", "max": "2h"}})
    fleet.remove("web")
    fleet.commit()
    before = {host: lab.snapshot(host) for host in fleet.hosts}
    accepted = 0
    for number in range(ROUNDS):
        with ServedApi(fleet) as api:
            accepted += _round(fleet, api, row, number)
        leaked = {host: found for host in fleet.hosts if (found := lab.leaked(host, before[host]))}
        row.leaked += len(leaked)
        assert leaked == {}
    row.measured(f"{accepted} of {ROUNDS * REQUESTS} requests accepted before the kill, 0 lost")


def _round(fleet: FleetRepo, api: ServedApi, row: Row, number: int) -> int:
    """Send requests, kill and restart the server, repeat the requests; return how many were accepted before it."""
    moment = random.uniform(0.3, LATEST)

    def ask(which: int) -> str | None:
        try:
            answer = api.create(key=f"key-{number}-{which}")
        except httpx.TransportError:
            return None
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(REQUESTS) as pool:
        request = [pool.submit(ask, which) for which in range(REQUESTS)]
        time.sleep(moment)  # the fault itself: whenever that is
        api.end(signal.SIGKILL)
        row.broke(f"killed after {moment:.2f} s")
        accepted = {which: found for which, one in enumerate(request) if (found := one.result(120)) is not None}
        api.start()
        api.until_over(*accepted.values())
        again = {which: ask(which) for which in range(REQUESTS)}
        assert {which: again[which] for which in accepted} == accepted, moment
        ids = [one for one in again.values() if one is not None]
        assert len(set(ids)) == REQUESTS
        found = api.until_over(*ids)
        assert sorted(found) == sorted(ids), f"none that nobody requested; killed after {moment:.2f} s"
        failed = [one for one in ids if found[one]["phase"] == "failed"]
        assert all(api.phases_reported(one)[-1] == "failed" for one in failed)
        assert failed == [], (moment, api.output)
        running = _running(fleet)
        row.doubled += len(running) - len(set(running))
        assert sorted(running) == sorted(ids), f"each once; killed after {moment:.2f} s"
        gone = list(pool.map(lambda one: api.ask_until("DELETE", f"/v1/sandboxes/{one}?wait=240", timeout=300), ids))
        assert [answer.text for answer in gone if answer.status_code != 204] == []
    return len(accepted)


def _running(fleet: FleetRepo) -> list[str]:
    """Return the sandbox's id of each container that runs, on all hosts."""
    found: list[str] = []
    for host in fleet.hosts:
        containers = fleet.engine(host, "ps", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}").split()
        form = '{{index .Config.Labels "dev.sandboxer.id"}}'
        found += fleet.engine(host, "inspect", "--format", form, *containers).split() if containers else []
    return found
