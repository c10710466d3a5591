"""A sandbox that does what it can to stay, or to make its host unreadable: whatever it does, it ends within a bound."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.matrix import FULL
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.faults.matrix import Row
    from tests.lab.conftest import NewFleet

pytestmark = pytest.mark.lab
MOST_SECONDS = 150.0
DEAF = "trap '' TERM INT HUP; while :; do sleep 1; done"
SERVICES = {
    "deaf": service("sh", "-c", DEAF, stop_signal="SIGTERM", stop_grace_period="45m"),
    "again": service("sh", "-c", DEAF, restart="always"),
    "forks": service("sh", "-c", "f() { f | f & }; while :; do f; sleep 1; done", restart="always"),
    "held": service(restart="always"),
    "loud": service("yes", "more of it"),
    "shared": service(network_mode="service:deaf"),
    "volumes": service(volumes=[f"/v{number}" for number in range(8)]),
    "twins": service(scale=4),
}


@pytest.mark.fault("a sandbox that does what it can to stay", "destroyed within a bound, 0 leaked")
@pytest.mark.parametrize("host", ["lab-1", "lab-4"] if FULL else ["lab-1"])
def test_a_sandbox_that_will_not_go(new_fleet: NewFleet, row: Row, host: str) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(**SERVICES))
    fleet.commit()
    fleet.apply(code=None)
    ids = fleet.ids(host, "one")
    fleet.engine(host, "pause", ids["held"], check=False)
    row.broke(f"{len(ids)} containers that ignore signals, restart, fork, wait for ever, or are paused")
    began = time.monotonic()
    fleet.run("destroy", "one", "-y", timeout=MOST_SECONDS)
    row.most("{:.0f} s", time.monotonic() - began)
    assert fleet.ids(host, "one") == {}
    assert not fleet.exists(host, f"{fleet.root}/{fleet.name}")
    for kind in ("volume", "network"):
        assert not fleet.engine(host, kind, "ls", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}").strip()
