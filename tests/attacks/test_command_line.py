"""Values that would become a word of an engine's command line: nothing that they make runs with more rights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack
from tests.support.unjudged import UNJUDGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("host", ["lab-1", "lab-4"], scope="module")]

HOSTILE = Path(__file__).parents[1] / "cases" / "hostile"
PRIVILEGED = ["--privileged", "--pid=host", "-v", "/:/host", IMAGE, "sleep", "9999"]
MOUNT = {"type": "volume", "source": "d", "target": "/x", "volume": {"subpath": "x,bind-propagation=rshared"}}
REFUSED: dict[str, dict[str, Any]] = {
    "name": stack(a={"image": "--name=x", "command": PRIVILEGED}),
    "word": stack(a={"image": "-v=/:/host", "command": [IMAGE, "sleep", "9999"]}),
    "alias": stack(a=service(networks={"n": {"aliases": ["a,mac=02:42:ac:11:00:02"]}})) | {"networks": {"n": None}},
    "subpath": stack(a=service(volumes=[MOUNT])) | {"volumes": {"d": None}},
    "tmpfs": stack(a=service(tmpfs=["/x:size=1m,suid", "/y:U"])),
    "folder-of-kernel": stack(a=service(working_dir="/proc/self/fd/7")),
    "variables": stack(a=service(environment={"*": ""})),
    "all-variables": stack(a=service(env_file=["all.env"])),
    "tag": stack(a=service(logging={"driver": "json-file", "options": {"tag": "{{pad .Name 2000000000 0}}"}})),
    "build-ulimits": stack(a={"build": {"context": ".", "ulimits": {"rtprio": 99}}}),
}
GIVEN = ("img-opt-command", "labels-blind", "net-expose", "ns-pid-service_host")
TEXT = "--privileged -v /:/host\n--pid=host,x=1\"'\\ $$HOME"
FREE = stack(
    a=service(
        *("sh", "-c", "sleep 9999", "--privileged", "-v/:/host"),
        environment={"A": TEXT, "HOME": None, "B": "${HOME:-none} ${PATH:-none} ${DOCKER_HOST:-none} ${LC_ALL:-none}"},
        labels={"free": TEXT.replace("\n", " ")},
        healthcheck={"test": ["CMD", "true", "--privileged", "-v/:/host"], "interval": "1ms"},
        tmpfs=["/t"],
        shm_size="64g",
        user="0:0",
        working_dir="/tmp",
    )
)

# Nothing of it is in the environment of a sandbox, and all of it in that of whoever starts its containers.
HOST_ENV = "HOME\nPATH\nSSH_CONNECTION\nA=${HOME}${PATH}${PWD}${LC_ALL:-}\nB=1\nC=${B}2\n"
# One volume's name begins another's, and a log has a tag.
FILES = stack(
    a=service(env_file=["host.env"], volumes=["dataset:/x"], logging={"options": {"tag": "{{.Name}}"}}),
    z=service(volumes=["data:/y"]),
) | {"volumes": {"data": {"labels": {"free": "two\nlines"}}, "dataset": None}}


@pytest.fixture(scope="module")
def attacked(
    lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FleetRepo, dict[str, str]]]:
    """Each of them in one apply, and its outcomes."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("words") / "fleet", hosts=[host])
    fleet.program = UNJUDGED  # what a plan refuses already, the host must refuse too
    for name in GIVEN:
        text = (HOSTILE / f"{name}.yaml").read_text().replace("GENERATE_500000", "x" * 500_000)
        fleet.sandbox(f"given-{name.replace('_', '-')}", yaml.safe_load(text))
    for name, compose in REFUSED.items():
        fleet.sandbox(name, compose, files={"all.env": "*\n", "Dockerfile": f"FROM {IMAGE}\n"})
    fleet.sandbox("free", FREE)
    fleet.sandbox("files", FILES, files={"host.env": HOST_ENV})
    fleet.sandbox("log", yaml.safe_load((HOSTILE / "log-buffer-huge.yaml").read_text()))
    fleet.commit()
    try:
        applied = fleet.apply(code=1)
        yield fleet, {change["sandbox"]: change["outcome"] for change in applied.changes}
    finally:
        fleet.clean_up()


def test_nothing_of_them_runs(attacked: tuple[FleetRepo, dict[str, str]], host: str) -> None:
    fleet, outcomes = attacked
    refused = {f"given-{name.replace('_', '-')}" for name in GIVEN} | REFUSED.keys()
    assert outcomes == {**dict.fromkeys(refused, "failed"), "files": "created", "free": "created", "log": "created"}
    assert set(fleet.containers(host)) == {"files/a", "files/z", "free/a", "log/web"}


def test_what_runs_has_no_right_beyond_the_policy(attacked: tuple[FleetRepo, dict[str, str]], host: str) -> None:
    fleet, _ = attacked
    for container in fleet.containers(host).values():
        config = container["HostConfig"]
        assert not config["Privileged"]
        assert config["PidMode"] != "host"
        assert not config["PortBindings"]
        assert all(bind.startswith("sbx-") for bind in config["Binds"] or ())
        assert {mount["Source"] for mount in container["Mounts"] if mount["Type"] == "bind"} == set()


def test_free_text_stays_one_value(attacked: tuple[FleetRepo, dict[str, str]], host: str) -> None:
    fleet, _ = attacked
    free = fleet.containers(host, "free")["a"]
    given = dict(item.split("=", 1) for item in free["Config"]["Env"])
    assert given["A"] == TEXT.replace("$$", "$")
    assert given["B"] == "none none none none"
    assert fleet.lab.host(host).folder not in given.get("HOME", "")
    assert free["Config"]["Labels"]["free"] == TEXT.replace("$$", "$").replace("\n", " ")
    assert free["Config"]["Cmd"] == FREE["services"]["a"]["command"]
    assert free["HostConfig"]["ShmSize"] == 64 << 20


def test_logs_and_memory_have_an_end(attacked: tuple[FleetRepo, dict[str, str]], host: str) -> None:
    fleet, _ = attacked
    assert "size=65536k" in fleet.inside(host, "free", "a", "grep", " /t ", "/proc/mounts")
    log = fleet.containers(host, "log")["web"]["HostConfig"]["LogConfig"]
    if host == "lab-4":
        assert (log["Type"], log["Size"]) == ("k8s-file", "10.49MB")
    else:
        assert log["Config"] == {
            "max-buffer-size": "16777216", "max-file": "3", "max-size": "10485760", "mode": "non-blocking",
        }  # fmt: skip


def test_an_env_file_takes_nothing_of_the_host(attacked: tuple[FleetRepo, dict[str, str]], host: str) -> None:
    fleet, _ = attacked
    given = dict(item.split("=", 1) for item in fleet.containers(host, "files")["a"]["Config"]["Env"])
    assert (given["B"], given["C"], given.get("PATH"), given.get("HOME", "/")) == ("1", "12", "/bin", "/")
    assert "SSH_CONNECTION" not in given
    if host == "lab-4":  # Docker Compose fills in ${PWD}, the folder of the files
        assert given["A"] == ""


def test_every_volume_has_the_labels_by_which_it_ends(attacked: tuple[FleetRepo, dict[str, str]], host: str) -> None:
    fleet, _ = attacked
    project = fleet.project("files")
    labelled = fleet.engine(host, "volume", "ls", "-q", "--filter", f"label=dev.sandboxer.id={fleet.id('files')}")
    assert set(labelled.split()) == {f"{project}_data", f"{project}_dataset"}
