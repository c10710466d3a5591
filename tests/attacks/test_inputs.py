"""What a tenant's repositories and secrets do to an apply: each is reported, and none stops it or reveals a secret."""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, Result, service, stack, until
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lab

HOSTS = {"docker": "lab-1", "podman": "lab-4"}
LINES = [base64.b64encode(random.Random(line).randbytes(36)).decode() for line in range(4)]
READY = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60}


def test_hostile_inputs_a_secret_in_pieces_and_a_record_that_goes(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet(*HOSTS.values(), secrets={"allow": ["env:KEY"]})
    fleet.env["KEY"] = "-----BEGIN KEY-----\n" + "\n".join(LINES) + "\n-----END KEY-----"
    for engine, host in HOSTS.items():
        script = "sed -n 3p /run/secrets/KEY; sed -n 4p /run/secrets/KEY | base64; base64 /run/secrets/KEY; exit 3"
        loud = stack(a=service("sh", "-c", script, secrets=["KEY"])) | {"secrets": {"KEY": {"environment": "KEY"}}}
        fleet.sandbox(f"loud-{engine}", loud, secretRefs=[{"name": "KEY", "from": "env:KEY"}], host=host)
        slow = service("sh", "-c", "sleep 1; touch /tmp/go; sleep 9999", healthcheck=READY)
        late = service(depends_on={"a": {"condition": "service_healthy"}})
        fleet.sandbox(f"hand-{engine}", stack(a=slow, b=late), host=host)
    fleet.sandbox("huge", stack(a=service()), host="lab-4", files={"zeros": "\0" * 24 * 1024 * 1024})
    stranger = GitRepo.create(fleet.repo.path.parent / "stranger")
    stranger.commit({"compose.yaml": "services: {}\n", "data": "x"})
    blob = stranger.git("rev-parse", "HEAD:data")
    (stranger.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    profile = {"workspace": {"path": "."}}
    fleet.sandbox("lacking", None, host="lab-1", profile_spec=profile, inputs={"repo": "../stranger", "ref": "main"})
    fleet.commit()

    with fleet.start("apply", "-y", "-o", "json") as process:
        for engine, host in HOSTS.items():
            name = f"hand-{engine}"
            until(lambda name=name, host=host: fleet.ids(host, name), f"a container of {name}")
            fleet.sh(host, f"rm -f {fleet.folder(name)}/record.json")
        stdout, stderr = process.communicate(timeout=120)
    fleet.output += [stdout, stderr]
    assert "Traceback" not in stderr, stderr
    assert process.returncode == 1, stderr

    outcomes = {change["sandbox"]: change for change in Result(json.loads(stdout)).changes}
    assert outcomes["lacking"]["reason"] == "blocked_because_input_unavailable"
    for engine in HOSTS:
        assert "exited (3)" in outcomes[f"loud-{engine}"]["error"]
        assert "(hidden)" in outcomes[f"loud-{engine}"]["error"]
    assert outcomes["huge"]["outcome"] == "created"
    size = fleet.sh("lab-4", f"cat {fleet.folder('huge')}/workspace/tree/*/zeros | wc -c")
    assert int(size) == 24 * 1024 * 1024
    for line in LINES:
        for form in (line, base64.b64encode(line.encode()).decode().rstrip("=")):
            assert not any(form[at : at + 12] in text for text in fleet.output for at in range(len(form) - 12))
    for engine in HOSTS:
        fleet.remove(f"loud-{engine}")
    fleet.remove("lacking")
    fleet.commit()
    fleet.apply(drifts=True)  # what was left is found by its labels, and continues to run
    fleet.assert_synced()
