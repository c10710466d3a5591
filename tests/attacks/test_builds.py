"""Builds: the engine's builder reaches and reads nothing that the sandbox could not.

What is refused by reading the Dockerfile has its many cases in
``tests/unit/extensions/compose_ssh/test_dockerfile.py``; here is what a host shows.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, Result, service, stack, until
from tests.support.unjudged import UNJUDGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("host", ["lab-1", "lab-4"], scope="module")]

PORT = 18999
VICTIM = "sbx-victim-0a1b2c3d-web"
TAGGED, TRIGGERS, GOOD_TRIGGERS = "tagged-by-hand:1", "triggers:1", "good-triggers:1"
_LISTEN = f"""
import socket
with socket.create_server(("0.0.0.0", {PORT})) as server:
    print("ready", flush=True)
    while True:
        client, address = server.accept()
        print("heard", address, flush=True)
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nsecret")
        client.close()
"""
# What a step sees of networks and of its ceiling. busybox's wget hangs where nothing answers.
_STEP = (
    f"RUN (for a in 127.0.0.1 172.17.0.1 10.88.0.1 $HOST; do timeout 2 wget -q -O - http://$a:{PORT}/; done;"
    " ls /sys/class/net) >/net 2>&1; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    " >/memory 2>/dev/null; echo done"
)


@dataclass
class Attacked:
    """A host on which all of it was applied once."""

    fleet: FleetRepo
    applied: Result
    host: str
    log: str

    def error(self, sandbox: str) -> str:
        """Return the error for a sandbox that was refused."""
        return str(self.applied.of(sandbox)["error"])


def _inline(dockerfile: str, **build: Any) -> dict[str, Any]:
    sleeps = {"command": ["sleep", "9999"], "stop_signal": "SIGKILL"}
    return stack(web={"build": {"context": ".", "dockerfile_inline": dockerfile, **build}, **sleeps})


def _prepare(lab: Lab, host: str) -> tuple[str, str]:
    """Return another sandbox's image, the same under a neutral name, two bases with triggers; and its id."""
    labels = {"dev.sandboxer.id": "0a1b2c3d"}
    lab.load_image(host, f"{VICTIM}:latest", labels)
    lab.load_image(host, TAGGED, labels)
    more = ["--format=docker"] if lab.host(host).engine == "podman" else []
    for tag, trigger in ((TRIGGERS, f"ADD http://127.0.0.1:{PORT}/ /got"), (GOOD_TRIGGERS, "COPY file /from-trigger")):
        script = (
            f"mkdir -p /tmp/triggers && printf 'FROM {IMAGE}\\nONBUILD {trigger}\\n' >/tmp/triggers/Dockerfile"
            f" && {lab.host(host).engine} build -q {' '.join(more)} -t {tag} /tmp/triggers; rm -r /tmp/triggers"
        )
        lab.exec(host, ["sh", "-c", script])
    found = lab.docker(host, "image", "inspect", "--format", "{{.Id}}", TAGGED).stdout.strip()
    return found.removeprefix("sha256:"), "/tmp/listener.log"


@pytest.fixture(scope="module")
def attacked(lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """Every attack in one apply, and a listener on all the host's addresses that would hear of it."""
    image_id, log = _prepare(lab, host)
    start = f"python3 -c '{_LISTEN}' >{log} 2>&1 </dev/null & echo $!"
    listener = lab.exec(host, ["sh", "-c", start]).stdout.strip()
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("builds") / "fleet", hosts=[host])
    fleet.program = UNJUDGED  # what a plan refuses already, the host must refuse too
    try:
        until(lambda: "ready" in lab.exec(host, ["cat", log]).stdout, "the listener")
        address = f"http://127.0.0.1:{PORT}"
        fleet.sandbox("by-name", stack(web=service() | {"image": VICTIM}))
        fleet.sandbox("by-id", stack(web=service() | {"image": image_id}))
        fleet.sandbox("by-tag", stack(web=service() | {"image": TAGGED}))
        fleet.sandbox("from-name", _inline(f"FROM {VICTIM}"))
        fleet.sandbox("from-tag", _inline(f"FROM {TAGGED}"))
        fleet.sandbox("copy-tag", _inline(f"FROM {IMAGE}\nCOPY --from={TAGGED} /bin /stolen"))
        fleet.sandbox("trigger", _inline(f"FROM {TRIGGERS}"))
        fleet.sandbox("add", stack(web={"build": "."}), files={"Dockerfile": f"FROM {IMAGE}\nADD {address}/a /got\n"})
        fleet.sandbox("add-inline", _inline(f"FROM {IMAGE}\nadd \\\n# no\n {address}/b /got"))
        fleet.sandbox("frontend", _inline(f"# syntax=127.0.0.1:{PORT}/evil\nFROM {IMAGE}"))
        split = f"RUN <<EOF\nAD\\\nD {address}/c /got\nENV A=\\\nEOF"
        fleet.sandbox("add-split", _inline(f"FROM {IMAGE}\n{split}"))
        fleet.sandbox("from-split", _inline(f"FROM {IMAGE}\nRUN <<CMD\nFR\\\nOM {TAGGED}\nCMD"))
        context = _inline("FROM tagged-by-hand", additional_contexts={"tagged-by-hand": "./d"})
        fleet.sandbox("from-context", context, files={"d/file": "x"})
        fleet.sandbox("argument", _inline(f"FROM {IMAGE}", args={"BUILDKIT_SYNTAX": f"127.0.0.1:{PORT}/evil"}))
        everyday = (
            f"ARG BASE={IMAGE}\nFROM ${{BASE}} AS Build\n{_STEP.replace('$HOST', lab.host(host).address)}\n"
            f'FROM {GOOD_TRIGGERS}\nCOPY --from=build /net /memory /\nLABEL made=here\nCMD ["sleep", "9999"]\n'
        )
        built = {"build": ".", "stop_signal": "SIGKILL"}
        files = {"Dockerfile": everyday, "file": "from the input\n"}
        fleet.sandbox("everyday", stack(web=built, again=built), files=files)
        fleet.commit()
        yield Attacked(fleet, fleet.apply(code=1), host, log)
    finally:
        lab.exec(host, ["kill", listener], check=False)
        lab.exec(host, ["rm", "-f", log])
        fleet.clean_up()
        lab.docker(host, "image", "rm", "-f", VICTIM, TAGGED, TRIGGERS, GOOD_TRIGGERS, check=False)


@pytest.mark.parametrize(
    ("sandbox", "says"),
    [
        ("by-name", "was built for another sandbox"),
        ("by-id", "is an id"),
        ("by-tag", f"image {TAGGED}: was built for another sandbox (0a1b2c3d)"),
        ("from-name", "was built for another sandbox"),
        ("from-tag", f"image {TAGGED}: was built for another sandbox (0a1b2c3d)"),
        ("copy-tag", f"image {TAGGED}: was built for another sandbox (0a1b2c3d)"),
        ("trigger", f"image {TRIGGERS}: its trigger `ONBUILD ADD"),
        ("add", "services.web.build.dockerfile: line 2: `ADD http"),
        ("add-inline", "services.web.build.dockerfile_inline: line 2: `ADD http"),
        ("frontend", "selects an external frontend"),
        ("add-split", "is an instruction to builders that know no here-documents"),
        ("from-split", "is an instruction to builders that know no here-documents"),
        ("from-context", "names a context"),
        ("argument", "args.BUILDKIT_SYNTAX: steers the engine's builder"),
    ],
)
def test_it_is_refused_and_nothing_of_it_runs(attacked: Attacked, sandbox: str, says: str) -> None:
    assert says in attacked.error(sandbox)
    assert attacked.fleet.containers(attacked.host, sandbox) == {}
    assert attacked.fleet.project(sandbox) not in attacked.fleet.engine(attacked.host, "image", "ls")


def test_an_everyday_build_works_without_a_network_and_nothing_was_received(attacked: Attacked, lab: Lab) -> None:
    fleet, host = attacked.fleet, attacked.host
    assert not attacked.applied.of("everyday").get("error"), attacked.applied.of("everyday")
    assert fleet.inside(host, "everyday", "web", "cat", "/net").split()[-1:] == ["lo"]
    assert fleet.inside(host, "everyday", "again", "cat", "/from-trigger") == "from the input\n"
    assert "secret" not in fleet.inside(host, "everyday", "web", "cat", "/net")
    assert lab.exec(host, ["cat", attacked.log]).stdout == "ready\n"
    if lab.host(host).engine == "podman":  # Docker's builders know no ceilings
        assert str(64 << 20) in fleet.inside(host, "everyday", "web", "cat", "/memory").split()
    fleet.plan("--target", "everyday", code=0)


def test_nothing_of_a_build_continues_when_its_client_is_gone(attacked: Attacked, lab: Lab) -> None:
    fleet, host = attacked.fleet, attacked.host
    fleet.sandbox("slow", _inline(f"FROM {IMAGE}\nRUN trap '' TERM; sleep 7771"))
    fleet.commit()

    def steps() -> str:
        return lab.exec(host, ["pgrep", "-f", "sleep 7771$"], check=False).stdout

    with fleet.start("apply", "-y", "--target", "slow") as program:
        until(steps, "the build's step")
        program.send_signal(signal.SIGKILL)
    until(lambda: not steps(), "the end of the build's step", seconds=20)
