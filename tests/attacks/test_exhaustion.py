"""Sandboxes that exceed limits: for the observation of their host, for their removal, and for the host itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.lab import IMAGE
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.lab import Lab
    from tests.lab.conftest import NewFleet
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab
HOSTS = ("lab-1", "lab-4")

# Made with the engine, for no compose file may say so much: the containers of labels-blind.yaml and net-expose.yaml, as
# of the sandbox whose labels they carry, a chain of them, and one of a stranger's.
_FORGE = """
set -e
engine=$1 image=$2 folder=$3; shift 3
file=$(mktemp)
for number in 1 2 3 4 5 6 7 8 9; do # a line may have 64 KiB
  printf 'big%s=' "$number"; head -c 55000 /dev/zero | tr '\\0' x; echo
done >"$file"
ours=; for label in "$@"; do ours="$ours --label $label"; done
for number in 1 2 3 4 5 6 7 8 9 10; do
  "$engine" create $ours --label com.docker.compose.service=big --label-file "$file" "$image" sleep 9999
done
"$engine" create $ours --label com.docker.compose.service=open --expose 1-65535 "$image" sleep 9999
ours="$ours --label com.docker.compose.service=chain"
last=$("$engine" create $ours "$image" sleep 9999)
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do # each hangs on the one before
  last=$("$engine" create $ours --network "container:$last" "$image" sleep 9999)
done
"$engine" create --name "$(basename "$folder")-stranger" --label-file "$file" "$image" sleep 9999
rm "$file"
"""
SECONDS = 60.0  # for a `destroy`, on machines that do much else


def _forge(fleet: FleetRepo, lab: Lab, host: str) -> str:
    name = f"one-{host}"
    record = fleet.record(host, name)
    keys = ("fleet", "id", "uid", "name", "origin")
    labels = [f"dev.sandboxer.{key}={record[key]}" for key in keys]
    labels += [f"dev.sandboxer.root={fleet.root}", "dev.sandboxer.until=2099-01-01T00:00:00Z"]
    lab.exec(host, ["sh", "-c", _FORGE, "sh", lab.host(host).engine, IMAGE, fleet.folder(name), *labels])
    return f"{fleet.id(name)}-stranger"


def test_what_is_too_much_blinds_nobody_and_is_ended(new_fleet: NewFleet, lab: Lab) -> None:
    fleet = new_fleet(*HOSTS)
    for host in HOSTS:
        fleet.sandbox(f"one-{host}", stack(a=service()), host=host)
        fleet.sandbox(f"other-{host}", stack(a=service()), host=host)
    fleet.commit()
    fleet.apply()
    running = {host: fleet.ids(host, f"other-{host}") for host in HOSTS}
    with ThreadPoolExecutor() as pool:
        strangers = dict(zip(HOSTS, pool.map(lambda host: _forge(fleet, lab, host), HOSTS), strict=True))
    try:
        plan = fleet.plan(drifts=True)
        assert plan.data["complete"], plan.data
        for host in HOSTS:
            assert plan.of(f"one-{host}")["reason"] == "repair_because_drift"
            assert plan.of(f"other-{host}")["reason"] == "no_op_because_synced"
        began = time.monotonic()
        fleet.run("destroy", *(f"one-{host}" for host in HOSTS), "-y")
        assert time.monotonic() - began < SECONDS
        for host, stranger in strangers.items():
            assert fleet.ids(host, f"one-{host}") == {}
            assert not fleet.exists(host, fleet.folder(f"one-{host}"))
            assert fleet.ids(host, f"other-{host}") == running[host]
            assert fleet.engine(host, "inspect", "--format", "{{.State.Status}}", stranger).strip() == "created"
    finally:
        for host, stranger in strangers.items():
            fleet.engine(host, "rm", "-f", stranger, check=False)
