"""A compose file with one meaning for our reader and another for Compose gets no file of its host, and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, until
from tests.support.unjudged import UNJUDGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("host", ["lab-1", "lab-4"], scope="module")]

HOSTILE = Path(__file__).parents[1] / "cases" / "hostile"
CANARY = "canary-of-another-fleet"
WEB = f"services:\n  web:\n    image: {IMAGE}\n    command: [sleep, '3600']\n    stop_signal: SIGKILL\n"
# Each connection is noted, and gets no answer.
LISTENER = """
import socket
listener = socket.create_server(("0.0.0.0", 18999))
open("/tmp/listening", "w").close()
while True:
    listener.accept()[0].close()
    open("/tmp/somebody-came", "w").close()
"""
GIVEN = ("yaml-binary-extends", "yaml-binary-include-git", "yaml-binary-key-envfile", "yaml-spin", "priv-merge",
         "priv-reset-trick")  # fmt: skip
OWN = {
    "str-key": WEB + "    !!str env_file: [/etc/shadow]\n",
    "merged-env": "x-a: &a {env_file: /etc/shadow}\n" + WEB + "    <<: [*a]\n",
    "merge-tag": WEB + "    !!merge <<: {env_file: /etc/shadow}\n",
    "reset-env": WEB + "    env_file: !override [/etc/shadow]\n",
    "label-file": WEB + "    label_file: ../../../../../../etc/shadow\n",
    "git-extends": WEB + "    extends: {file: 'http://127.0.0.1:18999/x.git', service: db}\n",
}


@pytest.fixture(scope="module")
def attacked(lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """A fleet whose sandboxes are hostile but for two, after one apply."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("attacked") / "fleet", hosts=[host])
    fleet.program = UNJUDGED  # what a plan refuses already, the host must refuse too
    victim = {"services": {"db": {"image": IMAGE, "environment": {"SECRET": CANARY}}}}
    lab.exec(host, ["sh", "-c", f"echo '{yaml.safe_dump(victim, width=1000)}' >/tmp/victim-compose.json"])
    lab.exec(host, ["sh", "-c", 'python3 -c "$1" >/dev/null 2>&1 & echo $! >/tmp/listener', "sh", LISTENER])
    until(lambda: fleet.exists(host, "/tmp/listening"), "the listener")
    for name in GIVEN:
        text = (HOSTILE / f"{name}.yaml").read_text().replace("198.18.1.12", "127.0.0.1")
        fleet.sandbox(name, files={"compose.yaml": text})
    for name, text in OWN.items():
        fleet.sandbox(name, files={"compose.yaml": text})
    other = fleet.id("everyday")
    theirs = f"{{file: ../../{other}/compose.json, service: web}}"
    fleet.sandbox("folder", files={"compose.yaml": WEB + f"    extends: {theirs}\n"})
    everyday = f"x-d: &d {{image: {IMAGE}, stop_signal: SIGKILL, environment: &e {{A: {CANARY}}}}}\n"
    everyday += "services: {web: {<<: *d, command: [sleep, '3600'], environment: {<<: *e, B: yes}, env_file: a.env}}\n"
    fleet.sandbox("everyday", files={"compose.yaml": everyday, "a.env": "C=${UNSET:-c}\n"})
    fleet.commit()
    try:
        fleet.apply(code=None)
        yield fleet
    finally:
        fleet.clean_up()
        lab.exec(host, ["sh", "-c", "kill $(cat /tmp/listener); rm -f /tmp/listen* /tmp/victim* /tmp/somebody-came"])


def test_no_file_of_the_host_and_nobodys_secret_gets_into_a_container(attacked: FleetRepo, host: str) -> None:
    shadow = attacked.sh(host, "head -n 1 /etc/shadow").split(":")[1]
    for name, container in attacked.containers(host).items():
        given = str(container["Config"])
        assert "root:" not in given, name
        assert f":{shadow}:" not in given, name
        assert CANARY not in given or name == "everyday/web", name
        assert not container["HostConfig"]["Privileged"], name
    output = "".join(attacked.output)
    assert CANARY not in output
    assert "root:" not in output


def test_no_address_is_contacted(attacked: FleetRepo, host: str) -> None:
    assert not attacked.exists(host, "/tmp/somebody-came")


def test_what_is_hostile_is_refused_and_what_is_harmless_runs(attacked: FleetRepo, host: str) -> None:
    running = {name.split("/")[0] for name in attacked.containers(host)}
    assert running == {"everyday", "priv-reset-trick", "yaml-spin"}
    environment = attacked.containers(host, "everyday")["web"]["Config"]["Env"]
    assert {f"A={CANARY}", "B=yes" if host == "lab-1" else "B=true", "C=c"} <= set(environment)
    assert "Traceback" not in "".join(attacked.output)


def test_nothing_of_the_reading_is_left_and_nobody_else_may_read_it(attacked: FleetRepo, host: str) -> None:
    folder = attacked.folder("everyday")
    assert attacked.sh(host, f"stat -c %a {folder} {folder}/compose.json {folder}/workspace").split() == [
        "700", "600", "700"
    ]  # fmt: skip
    assert ".compose" not in attacked.sh(host, f"ls -A {folder}")


def test_no_lock_is_held_and_no_compose_continues(attacked: FleetRepo, host: str) -> None:
    locks = f"{attacked.root}/{attacked.name}/.locks"
    assert attacked.sh(host, f"for lock in {locks}/*; do flock -n $lock true || echo $lock; done") == ""
    assert attacked.sh(host, "grep -a -l '[.]compose/variables' /proc/[0-9]*/cmdline", check=False) == ""
