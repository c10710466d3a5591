"""Sandboxes that want to be too much: for whoever looks at their host, for whoever ends them, for the host itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lab import IMAGE
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.lab import Lab
    from tests.lab.conftest import NewFleet
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

# Made with the engine, for no compose file may say so much: the containers of labels-blind.yaml and net-expose.yaml, as
# of the sandbox whose labels they carry, and one of a stranger's.
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
"$engine" create --name "$(basename "$folder")-stranger" --label-file "$file" "$image" sleep 9999
rm "$file"
"""
SECONDS = 60.0  # for a `destroy`, on machines that do much else


def _forge(fleet: FleetRepo, lab: Lab, host: str, name: str) -> str:
    record = fleet.record(host, name)
    keys = ("fleet", "id", "uid", "name", "origin")
    labels = [f"dev.sandboxer.{key}={record[key]}" for key in keys]
    labels += [f"dev.sandboxer.root={fleet.root}", "dev.sandboxer.until=2099-01-01T00:00:00Z"]
    engine, folder = lab.host(host).engine, fleet.folder(name)
    lab.exec(host, ["sh", "-c", _FORGE, "sh", engine, IMAGE, folder, *labels])
    return f"{fleet.id(name)}-stranger"


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_what_is_too_much_blinds_nobody_and_is_ended(new_fleet: NewFleet, lab: Lab, host: str) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(a=service()))
    fleet.sandbox("other", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids(host, "other")
    stranger = _forge(fleet, lab, host, "one")
    try:
        plan = fleet.plan(drifts=True)
        assert plan.data["complete"], plan.data
        assert plan.reasons == {"one": "repair_because_drift", "other": "no_op_because_synced"}
        began = time.monotonic()
        fleet.run("destroy", "one", "-y")
        assert time.monotonic() - began < SECONDS
        assert fleet.ids(host, "one") == {}
        assert not fleet.exists(host, fleet.folder("one"))
        assert fleet.ids(host, "other") == running
        assert fleet.engine(host, "inspect", "--format", "{{.State.Status}}", stranger).strip() == "created"
    finally:
        fleet.engine(host, "rm", "-f", stranger, check=False)
