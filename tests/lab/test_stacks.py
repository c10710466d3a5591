"""What people's compose files hold, run by both engines' Compose: values, builds, several files, replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("host", ["lab-1", "lab-4"], scope="module")]

VALUES = {
    "PLAIN": "plain",
    "SPACES": "  two  words ",
    "QUOTES": 'it\'s "quoted"',
    "SINGLE": "it's",
    "DOLLAR": "$HOME ${PATH} $$ $",
    "BACKSLASH": "C:\\new\\table\\",
    "QUOTED": "'${X}'\\'",
    "BOTH": 'it\'s a \\ and "$x"',
    "HASH": "a # b",
    "UNICODE": "grün ✓",
    "LINES": "one\ntwo\n",
    "EMPTY": "",
    "EQUALS": "a=b=c",
    "YAML": "{a: [b, *c]}: &d",
}


KEY = '-----BEGIN-----\nit\'s $a \\ "key"\n-----END-----'


@pytest.fixture(scope="module")
def seen(lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """Stacks that come up in one apply and are only inspected."""
    path = tmp_path_factory.mktemp("seen") / "fleet"
    fleet = FleetRepo.create(lab, path, hosts=[host], secrets={"allow": ["env:KEY"]})
    environment = {name: f"${{{name}}}" for name in VALUES}
    literal = {"LITERAL": "$$HOME costs $$5", "UNSET": "${NOWHERE:-default}", "PATHS": "${PATH:-none} ${HOME:-none}"}
    fleet.sandbox("values", stack(a=service(environment=environment | literal)), env=VALUES)

    fleet.env["KEY"] = KEY
    compose = stack(a=service(secrets=["KEY"])) | {"secrets": {"KEY": {"environment": "KEY"}}}
    fleet.sandbox("secret", compose, secretRefs=[{"name": "KEY", "from": "env:KEY"}])

    base = stack(a=service(volumes=["./conf:/conf:ro"]), off=service(profiles=["off"]), on=service(profiles=["on"]))
    more = stack(a={"environment": {"MORE": "yes"}})
    files = {"e2e/base.yaml": yaml.safe_dump(base), "e2e/more.yaml": yaml.safe_dump(more), "e2e/conf/x": "x\n"}
    several = {"compose": {"files": ["e2e/base.yaml", "e2e/more.yaml"], "profiles": ["on"]}}
    fleet.sandbox("several", files=files, profile_spec=several)

    bare = {"workspace": {"mode": "none", "path": "stacks/bare"}}
    fleet.sandbox("bare", stack(a=service()), files={"big/file": "x\n"}, profile_spec=bare)
    fleet.commit()
    try:
        fleet.apply()
        fleet.assert_synced()
        yield fleet
    finally:
        fleet.clean_up()


def test_values_reach_the_containers_as_they_are(seen: FleetRepo, host: str) -> None:
    given = dict(item.split("=", 1) for item in seen.containers(host, "values")["a"]["Config"]["Env"])
    assert {name: given[name] for name in VALUES} == VALUES
    # Of the host's own environment a compose file sees nothing.
    assert (given["LITERAL"], given["UNSET"]) == ("$HOME costs $5", "default")
    assert given["PATHS"] == "none none"


def test_a_secret_of_several_lines_reaches_the_container_as_it_is(seen: FleetRepo, host: str) -> None:
    assert seen.inside(host, "secret", "a", "cat", "/run/secrets/KEY") == KEY


def test_several_files_profiles_and_a_project_directory_below(seen: FleetRepo, host: str) -> None:
    assert set(seen.ids(host, "several")) == {"a", "on"}
    assert seen.inside(host, "several", "a", "cat", "/conf/x") == "x\n"
    assert "MORE=yes" in seen.inside(host, "several", "a", "env")


def test_without_a_workspace_only_what_compose_reads_is_delivered(seen: FleetRepo, host: str) -> None:
    assert seen.sh(host, f"cd {seen.folder('bare')}/workspace/tree/* && find . -type f").split() == ["./compose.yaml"]


def test_an_image_is_built_from_the_input_and_goes_with_the_sandbox(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    build = {"build": ".", "command": ["sleep", "9999"], "stop_signal": "SIGKILL"}
    files = {"Dockerfile": f"FROM {IMAGE}\nCOPY file /file\n", "file": "old\n"}
    fleet.sandbox("one", stack(a=build, b=service()), files=files)
    fleet.commit()
    fleet.apply()
    assert fleet.inside(host, "one", "a", "cat", "/file") == "old\n"
    fleet.assert_synced()
    kept = fleet.ids(host, "one")["b"]
    fleet.sandbox("one", files={"file": "new\n"})
    fleet.commit()
    fleet.apply()
    assert fleet.inside(host, "one", "a", "cat", "/file") == "new\n"
    assert fleet.ids(host, "one")["b"] == kept
    fleet.assert_synced()
    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    leaked = lab.leaked(host, before)
    # Layers that the engine keeps for the next build have no tag; a tagged image would be one of ours left behind.
    leaked["images"] = [image for image in leaked.get("images", []) if not image.endswith("<none>:<none>")]
    assert not any(leaked.values())


def test_replicas_come_up_and_one_that_goes_missing_comes_back(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(a=service(deploy={"replicas": 2}), none=service(deploy={"replicas": 0})))
    fleet.commit()
    fleet.apply()
    before = fleet.ids(host, "one")
    assert set(before) == {"a", "a#2"}
    fleet.assert_synced()
    fleet.engine(host, "rm", "-f", before["a#2"])
    assert fleet.apply(drifts=True).reasons == {"one": "repair_because_drift"}
    after = fleet.ids(host, "one")
    assert set(after) == {"a", "a#2"}
    assert before["a"] in after.values()
    fleet.assert_synced()


def test_services_start_after_those_that_they_wait_for(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    check = {"test": ["CMD", "test", "-e", "/d/ready"], "interval": "1s", "retries": 30}
    volumes = ["data:/d"]
    first = service("sh", "-c", "sleep 1; touch /d/ready; sleep 9999", volumes=volumes, healthcheck=check)
    second = service(
        "sh",
        "-c",
        "ls /d >/d/seen; sleep 9999",
        volumes=volumes,
        depends_on={"first": {"condition": "service_healthy"}},
    )

    def write(**keys: object) -> None:
        services = stack(first=first | keys, second=second, third=service(depends_on=["second"]))
        fleet.sandbox("one", services | {"volumes": {"data": None}})
        fleet.commit()

    write()
    fleet.apply()
    assert "ready" in fleet.inside(host, "one", "second", "cat", "/d/seen")
    fleet.assert_synced()
    before = fleet.ids(host, "one")
    write(environment={"A": "b"})
    fleet.apply()
    after = fleet.ids(host, "one")
    assert {name for name in after if after[name] != before[name]} == {"first"}
    fleet.assert_synced()


def test_updates_leave_one_image_per_built_service_and_nothing_of_it_when_it_ends(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    tag = f"sandboxer-lab/{fleet.name}:1"
    lab.load_image(host, tag, {"dev.example": "unrelated"})
    build = {"build": ".", "command": ["sleep", "9999"], "stop_signal": "SIGKILL"}
    fleet.sandbox("one", stack(a=build), files={"Dockerfile": f"FROM {IMAGE}\nCOPY file /file\n", "file": "0\n"})
    fleet.commit()
    fleet.apply()
    for update in ("1\n", "2\n", "3\n"):
        fleet.sandbox("one", files={"file": update})
        fleet.commit()
        fleet.apply()
        assert fleet.inside(host, "one", "a", "cat", "/file") == update
        assert len(_built(fleet, host)) == 1
    fleet.assert_synced()
    foreign = f"sandboxer-lab/{fleet.name}-kept:1"
    fleet.engine(host, "tag", *_built(fleet, host), foreign)
    fleet.sandbox("one", files={"file": "4\n"})
    fleet.commit()
    fleet.apply()
    assert len(_built(fleet, host)) == 2, "what somebody else gave a name stays"
    fleet.engine(host, "rmi", foreign)
    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert _built(fleet, host) == []
    assert fleet.engine(host, "image", "ls", "-q", tag), "an unrelated image stays"
    fleet.engine(host, "rmi", tag)


def test_images_of_a_life_that_no_record_is_about_go_with_the_next_commit(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    labels = {"dev.sandboxer.fleet": fleet.name, "dev.sandboxer.uid": "f" * 32, "dev.sandboxer.root": str(fleet.root)}
    other = f"sandboxer-lab/{fleet.name}-other:1"
    lab.load_image(host, "sbx-gone-0a0b0c0d-a:latest", labels)
    lab.load_image(host, other, {**labels, "dev.sandboxer.root": "/elsewhere"})
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    assert fleet.engine(host, "image", "ls", "-q", "sbx-gone-0a0b0c0d-a") == ""
    assert len(_built(fleet, host)) == 1
    fleet.engine(host, "rmi", other)


def _built(fleet: FleetRepo, host: str) -> list[str]:
    """Return the IDs of the host's images that carry the labels of the fleet."""
    return fleet.engine(host, "image", "ls", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}").split()
