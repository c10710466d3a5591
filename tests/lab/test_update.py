"""An update is in place: what changed is recreated, and nothing else; named volumes survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab

OTHER_IMAGE = "sandboxer-lab/busybox:2"


FILES = {"conf/site.conf": "old\n", "one.txt": "old\n", "app.env": "A=old\n", "config.ini": "old\n", "rw/x": "old\n"}


def _compose(*, definition: str = "old", image: str = IMAGE) -> dict[str, object]:
    return {
        "services": {
            "untouched": service(volumes=["data:/data"]),
            "folder": service(volumes=["./conf:/conf:ro"]),
            "file": service(volumes=["./one.txt:/one.txt:ro"]),
            "variable": service(environment={"MODE": "${MODE:-unset}"}),
            "envfile": service(env_file=["app.env"]),
            "config": service(configs=[{"source": "ini", "target": "/config.ini"}]),
            "secret": service(secrets=["TOKEN"]),
            "image": service() | {"image": image},
            "definition": service(environment={"D": definition}),
            "writable": service(volumes=["./rw:/rw"]),
        },
        "volumes": {"data": None},
        "configs": {"ini": {"file": "./config.ini"}},
        "secrets": {"TOKEN": {"environment": "TOKEN"}},
    }


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_a_service_that_left_the_compose_file_goes_and_its_volume_with_the_sandbox(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    fleet.sandbox("one", stack(stays=service(), goes=service(volumes=["/anonymous"])))
    fleet.commit()
    fleet.apply()
    running = fleet.ids(host, "one")
    fleet.sandbox("one", stack(stays=service()))
    fleet.commit()
    fleet.apply()
    assert fleet.ids(host, "one") == {"stays": running["stays"]}
    fleet.assert_synced()
    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked(host, before) == {}


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_only_what_changed_is_recreated(new_fleet: Callable[..., FleetRepo], lab: Lab, host: str) -> None:
    fleet = new_fleet(host, secrets={"allow": ["env:TOKEN"]})
    fleet.env["TOKEN"] = "old-secret-value"
    lab.load_image(host, OTHER_IMAGE, {"other": "yes"})
    secrets = [{"name": "TOKEN", "from": "env:TOKEN"}]

    def write(compose: object = None, files: dict[str, str] | None = None, mode: str = "old") -> None:
        fleet.sandbox("one", compose, files=files, env={"MODE": mode}, secretRefs=secrets)
        fleet.commit()

    write(_compose(), FILES)
    fleet.apply()
    fleet.inside(host, "one", "untouched", "sh", "-c", "echo kept >/data/file")
    fleet.inside(host, "one", "writable", "sh", "-c", "echo mine >/rw/written")
    uid = fleet.record(host, "one")["uid"]

    def changed(*services: str) -> None:
        before = fleet.ids(host, "one")
        assert fleet.apply().reasons == {"one": "update_because_changed"}
        after = fleet.ids(host, "one")
        assert {name for name in before if before[name] != after[name]} == set(services)

    write(files={"conf/site.conf": "new\n", "one.txt": "new\n", "app.env": "A=new\n", "config.ini": "new\n"})
    changed("folder", "file", "envfile", "config")
    assert fleet.inside(host, "one", "folder", "cat", "/conf/site.conf") == "new\n"
    assert fleet.inside(host, "one", "file", "cat", "/one.txt") == "new\n"
    assert "A=new" in fleet.inside(host, "one", "envfile", "env")
    assert fleet.inside(host, "one", "config", "cat", "/config.ini") == "new\n"

    fleet.env["TOKEN"] = "new-secret-value"
    write(_compose(definition="new", image=OTHER_IMAGE), mode="new")
    changed("variable", "secret", "definition", "image")
    assert "MODE=new" in fleet.inside(host, "one", "variable", "env")
    assert fleet.inside(host, "one", "secret", "cat", "/run/secrets/TOKEN") == "new-secret-value"

    assert fleet.record(host, "one")["uid"] == uid
    assert fleet.inside(host, "one", "untouched", "cat", "/data/file") == "kept\n"
    assert fleet.inside(host, "one", "writable", "cat", "/rw/written") == "mine\n"
    write(files={"rw/x": "new\n"}, mode="new")
    changed("writable")
    assert fleet.inside(host, "one", "writable", "sh", "-c", "cat /rw/*") == "new\n"
    fleet.assert_synced()

    planned = fleet.plan("--replace", "one").of("one")
    assert planned["reason"] == "replace_because_requested"
    assert [volume.rsplit("_", 1)[-1] for volume in planned["volumes"]] == ["data"]
    before = fleet.ids(host, "one")
    fleet.apply("--replace", "one")
    assert not set(before.values()) & set(fleet.ids(host, "one").values())
    assert fleet.inside(host, "one", "untouched", "ls", "/data") == ""
    assert fleet.record(host, "one")["uid"] != uid
    fleet.assert_synced()
    assert not any("secret-value" in output for output in fleet.output)


def test_a_service_that_is_taken_out_or_put_in(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service(), b=service()))
    fleet.commit()
    fleet.apply()
    before = fleet.ids("lab-1", "one")
    fleet.sandbox("one", stack(b=service(), c=service()))
    fleet.commit()
    fleet.apply()
    after = fleet.ids("lab-1", "one")
    assert set(after) == {"b", "c"}
    assert after["b"] == before["b"]
    fleet.assert_synced()


def test_what_touches_the_record_alone_touches_no_container(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    before, record = fleet.ids("lab-1"), fleet.record("lab-1", "one")
    fleet.sandbox("one", ttl="2h", labels={"team": "new"}, consumer={"actor": "agt", "project": "p"})
    fleet.commit()
    assert fleet.apply().reasons == {"one": "update_because_changed"}
    after = fleet.record("lab-1", "one")
    assert (after["labels"], after["consumer"]) == ({"team": "new"}, {"actor": "agt", "project": "p"})
    assert after["expires_at"] < record["expires_at"]
    assert after["generation"] > record["generation"]
    assert fleet.ids("lab-1") == before
    fleet.assert_synced()


def test_suspend_stops_updates_and_repairs(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service(), b=service()))
    fleet.commit()
    fleet.apply()
    fleet.sandbox("one", stack(a=service("sleep", "8888"), b=service()), suspend=True)
    fleet.commit()
    before = fleet.ids("lab-1", "one")
    fleet.engine("lab-1", "stop", "-t", "0", before["b"])
    assert fleet.plan().reasons == {"one": "no_op_because_suspended"}
    assert fleet.apply().changes == []
    assert fleet.ids("lab-1", "one") == before
