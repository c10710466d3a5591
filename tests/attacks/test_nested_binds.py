"""A container swaps a folder that it can write to for a link to the host's: what other services are given stays theirs.

All that a service can name below such a folder is in two stacks, one for each engine. The second apply reads it all
again, with the links in place.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

HOSTS = ("lab-1", "lab-4")
GIVEN = Path(__file__).parents[1] / "cases/hostile/bind-swap.yaml"
PLANTED = "/root/planted"
WRITTEN = ("sub", "sub/deep", "one")


def nested(version: int, host: str) -> dict[str, Any]:
    """Return one service that writes, and swaps all that it finds; and others that read below what it writes."""
    swap = f"cd /data && rm -rf * && for name in sub ctx more one; do ln -s {PLANTED} $$name; done"
    check = {"test": ["CMD", "test", "-e", "/tmp/done"], "interval": "1s", "retries": 20}
    after: dict[str, Any] = {"depends_on": {"a": {"condition": "service_healthy"}}}
    after["environment"] = {"VERSION": str(version)}
    build: dict[str, Any] = {"context": "./data/ctx", "args": [f"VERSION={version}"]}
    if host == "lab-4":  # which Docker before 23 cannot
        build["additional_contexts"] = {"more": "./data/more"}
    services = {
        "a": service(
            "sh", "-c", f"{swap} && touch /tmp/done && sleep 9999", volumes=["./data:/data"], healthcheck=check
        ),
        "reads": service(
            volumes=[*(f"./data/{name}:/{name}" for name in WRITTEN), "./data:/shared:ro", "./data/more:/more:ro"],
            env_file=["data/sub/x.env"],
            configs=[{"source": "c", "target": "/config"}],
            secrets=[{"source": "s", "target": "file"}],
            **after,
        ),
        "built": {**service(**after), "build": build},
    }
    del services["built"]["image"]
    files = {"configs": {"c": {"file": "./data/sub/file"}}, "secrets": {"s": {"file": "./data/sub/file"}}}
    return {"services": services, **files}


def delivered(host: str) -> dict[str, str]:
    """Return the files of the stack."""
    dockerfile = f"FROM {IMAGE}\nARG VERSION\nCOPY file /file\n"
    more = "COPY --from=more file /more\n" if host == "lab-4" else ""
    names = ("one", "sub/file", "sub/deep/file", "ctx/file", "more/file")
    files = {f"data/{name}": "delivered\n" for name in names}
    return files | {"data/ctx/Dockerfile": dockerfile + more, "data/sub/x.env": "FROM=delivered\n"}


def given(**changes: Any) -> dict[str, Any]:
    """Return the hostile stack as a user would write it, with more keys for its reader."""
    compose: dict[str, Any] = yaml.safe_load(GIVEN.read_text())
    for one in compose["services"].values():
        one["stop_signal"] = "SIGKILL"
    compose["services"]["web"].update(changes)
    return compose


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """Both stacks on both hosts, applied twice."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("nested") / "fleet", hosts=HOSTS)
    for host in HOSTS:
        fleet.sh(host, f"mkdir -p {PLANTED}/deep && cd {PLANTED} && echo FROM=host | tee file deep/file x.env")
        fleet.sh(host, f"printf 'FROM {IMAGE}\\nCOPY file /file\\n' >{PLANTED}/Dockerfile")
    try:
        for version in (1, 2):
            for host in HOSTS:
                fleet.sandbox(f"nested-{host}", nested(version, host), files=delivered(host), host=host)
                fleet.sandbox(f"given-{host}", given(), files={"data/sub/x": "delivered\n"}, host=host)
            fleet.commit()
            fleet.apply()
        yield fleet
    finally:
        fleet.clean_up()
        for host in HOSTS:
            fleet.sh(host, f"rm -rf {PLANTED} /root/ESCAPED")


@pytest.mark.parametrize("host", HOSTS)
def test_the_given_stack_reaches_nothing_of_the_host(fleet: FleetRepo, host: str) -> None:
    assert fleet.inside(host, f"given-{host}", "web", "ls", "/m").split() == ["x"]
    assert not fleet.exists(host, "/root/ESCAPED")
    until(lambda: "x" in fleet.engine(host, "logs", fleet.ids(host, f"given-{host}")["web"]), "what web lists")
    assert "root:" not in fleet.engine(host, "logs", fleet.ids(host, f"given-{host}")["web"])


@pytest.mark.parametrize("host", HOSTS)
def test_whatever_is_named_below_a_written_folder_is_as_git_has_it(fleet: FleetRepo, host: str) -> None:
    name = f"nested-{host}"
    assert fleet.inside(host, name, "reads", "readlink", "/shared/sub").strip() == PLANTED  # the attack took place
    files = ("/sub/file", "/sub/deep/file", "/one", "/more/file", "/config", "/run/secrets/file")
    assert fleet.inside(host, name, "reads", "cat", *files) == "delivered\n" * len(files)
    assert {"FROM=delivered", "VERSION=2"} <= set(fleet.inside(host, name, "reads", "env").splitlines())
    built = ["/file", *(["/more"] if host == "lab-4" else [])]
    assert set(fleet.inside(host, name, "built", "cat", *built).split()) == {"delivered"}


@pytest.mark.parametrize("host", HOSTS)
def test_no_engine_holds_a_mount_below_what_a_container_writes(fleet: FleetRepo, host: str) -> None:
    for name, container in fleet.containers(host).items():
        for mount in container["Mounts"]:
            folder, *rest = mount["Source"].split("/workspace/")[-1].split("/")
            assert len(rest) == 2, (name, mount)
            assert mount["RW"] == (folder == "bind-rw" and mount["Destination"] != "/shared"), (name, mount)


def test_a_copy_whose_folder_was_swapped_on_the_host_is_given_to_no_engine(
    new_fleet: Callable[..., FleetRepo],
) -> None:
    fleet = new_fleet("lab-1")  # one of its own: what is moved away here is missing in its containers
    fleet.sandbox("swapped", given(), files={"data/sub/x": "delivered\n"})
    fleet.commit()
    fleet.apply()
    before = fleet.ids("lab-1", "swapped")
    folder = f"{fleet.folder('swapped')}/workspace/bind-rw"
    fleet.sh("lab-1", f"cd {folder} && for one in *; do mv $one /root/moved-$one && ln -s /root/moved-$one $one; done")
    fleet.sandbox("swapped", given(environment={"MORE": "1"}))
    fleet.commit()
    outcome = fleet.apply("--target", "swapped", code=None).of("swapped")
    assert "is a link, which Sandboxer never creates" in str(outcome["error"])
    assert fleet.ids("lab-1", "swapped") == before
    fleet.sh("lab-1", "rm -rf /root/moved-*")
