"""Names under ``egress: deny``: a sandbox knows those of its own services, and asks nobody for any other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from sandboxer.lifecycle.doctor_checks import CLOSE
from tests.support import resolver
from tests.support.e2e import FleetRepo, service, stack, until, web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab
HOSTS = ["lab-1", "lab-4"]
LOG = "/run/asked-names"

# A query by TCP for one label and `.leak.test`, as bytes that `printf` writes: its length, head, name, A and IN.
_TCP = r"printf '\000\037\001\002\001\000\000\001\000\000\000\000\000\000\003tcp\004leak\004test\000\000\001\000\001'"

# Each asks for something that nobody in the sandbox is called; what each puts into the name tells them apart.
ASKING = {
    "dotted": "nslookup dotted.leak.test",
    "single": "nslookup single",
    "rooted": "nslookup rooted.leak.test.",
    "long": f"nslookup {'a' * 60}.{'b' * 60}.leak.test",
    "upper": "nslookup UPPER.LEAK.TEST",
    "below-a-service": "nslookup secret.web",
    "below-the-engine": "nslookup data.web.dns.podman.leak.test",
    "local": "nslookup data.local",
    "internal": "nslookup data.internal",
    "text": "nslookup -type=txt text.leak.test",
    "mail": "nslookup -type=mx mail.leak.test",
    "server": "nslookup -type=srv _x._tcp.leak.test",
    "six": "nslookup -type=aaaa six.leak.test",
    "any": "nslookup -type=any any.leak.test",
    "address": "nslookup 203.0.113.7",
    "address-six": "nslookup 2001:db8::7",
    "libc": "ping -c 1 -W 1 libc.leak.test",
    "page": "wget -q -O - http://page.leak.test/",
    "telnet": "nc -w 1 nc.leak.test 80",
    "by-docker": "nslookup embedded.leak.test 127.0.0.11",
    "by-gateway": "for each in $(hostname -i); do nslookup gateway.leak.test ${each%.*}.1; done",
    "by-machine": "nslookup machine.leak.test 198.51.100.53",
    "by-loopback": "nslookup loopback.leak.test 127.0.0.1",
    "by-broadcast": "nslookup broadcast.leak.test 255.255.255.255",
    "by-tcp": f"{_TCP} | nc -w 1 127.0.0.11 53",
    "by-tcp-gateway": f"for each in $(hostname -i); do {_TCP} | nc -w 1 ${{each%.*}}.1 53; done",
}
# What a file may say of names, a service each; `early` asks before anybody could close anything behind its start.
SAYING: dict[str, dict[str, Any]] = {
    "plain": {},
    "early": {"command": ["sh", "-c", "ping -c 1 -W 1 early.leak.test; sleep 9999"]},
    "options": {"dns_opt": ["timeout:30", "attempts:5", "ndots:5", "rotate"]},
    "search": {"dns_search": ["leak.test", "search.leak.test"]},
    "domain": {"hostname": "h", "domainname": "leak.test"},
    "hosts": {"extra_hosts": ["ns.leak.test:203.0.113.1"]},
    "joined": {"network_mode": "service:plain", "depends_on": ["plain"]},
    "linked": {"links": ["web:outer.leak.test"]},
    "both": {"networks": {"default": {"aliases": ["leak.test"]}, "second": None}},
    "sixth": {"networks": ["six"]},
    "opened": {"networks": ["claimed"]},
    "many": {"scale": 2},
}
NETWORKS: dict[str, Any] = {
    "default": {},
    "second": {"labels": {"of": "mine", "two lines": "a\nb"}},
    "six": {},
    "claimed": {"internal": False},
}


class Listener:
    """The lab host's one name server, for as long as it is entered."""

    def __init__(self, lab: Lab, host: str) -> None:
        self._lab, self._host = lab, host
        self._process: subprocess.Popen[str]
        self._id = ""

    def __enter__(self) -> Self:
        host = self._lab.host(self._host)
        self._lab.exec(host, ["sh", "-c", f"cp /etc/resolv.conf /run/resolv.kept; : >{LOG}"])
        program = Path(resolver.__file__).read_text()
        self._process = subprocess.Popen(
            host.command(["python3", "-c", program, LOG]), env=host.environment(), stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._id = self._process.stdout.readline().strip()
        assert self._id.isdecimal()
        self._lab.exec(host, ["sh", "-c", "echo nameserver 127.0.0.1 >/etc/resolv.conf"])
        return self

    def __exit__(self, *_: object) -> None:
        self._lab.exec(
            self._host, ["sh", "-c", f"cat /run/resolv.kept >/etc/resolv.conf; rm -f /run/resolv.kept {LOG}"]
        )
        with self._process:
            self._lab.exec(self._host, ["kill", self._id])

    @property
    def heard(self) -> set[str]:
        """The names that it was asked for so far."""
        return {
            line.split()[0] for line in self._lab.exec(self._host, ["cat", LOG]).stdout.splitlines() if line.split()
        }


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    """A host of each engine."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def listener(lab: Lab, host: str) -> Iterator[Listener]:
    """The host's name server, before any container starts."""
    with Listener(lab, host) as there:
        yield there


@pytest.fixture(scope="module")
def fleet(lab: Lab, host: str, listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """One closed sandbox with all that a file may say of names, and two open ones."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("names") / "fleet", hosts=[host])
    page = web(volumes=["./www:/www:ro"])
    files = {"www/index.html": "hello\n"}
    closed = stack(
        web=page | {"networks": ["default", "six", "claimed"]}, **{n: service() | s for n, s in SAYING.items()}
    )
    # Docker before 27 has no IPv6 addresses of its own to give.
    networks = NETWORKS | ({"six": {"enable_ipv6": True}} if lab.host(host).engine == "podman" else {})
    room = {"resources": {"cpus": 0.5, "memory": "64MiB", "pids": 200}}
    fleet.sandbox("closed", closed | {"networks": networks}, files=files, profile_spec=room)
    fleet.sandbox("again", stack(plain=service()), profile_spec=room)
    for name in ("open", "other"):
        spec = {
            "network": {"egress": "allow"},
            "reachability": {"ports": [{"name": "http", "service": "web", "port": 8080}]},
        }
        fleet.sandbox(name, stack(web=page), files=files, profile_spec=spec)
    fleet.commit()
    try:
        fleet.apply()
        yield fleet
    finally:
        fleet.clean_up()


def _ask_everything(fleet: FleetRepo, host: str, sandbox: str, *services: str) -> None:
    """All questions from a container of each service; who waits longer than a moment has asked already."""
    script = "".join(f"timeout 2 sh -c '{_quoted(text)}' >/dev/null 2>&1 &\n" for text in ASKING.values()) + "wait\n"
    there, ids = fleet.lab.host(host), fleet.ids(host, sandbox)
    started = [
        subprocess.Popen(
            there.command([there.engine, "exec", ids[name], "sh", "-c", script]),
            env=there.environment(),
            stdin=subprocess.DEVNULL,
        )
        for name in services
    ]
    assert [process.wait(timeout=60) for process in started] == [0] * len(services)


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def test_under_egress_deny_the_hosts_name_server_hears_nothing(fleet: FleetRepo, listener: Listener, host: str) -> None:
    fleet.inside(host, "open", "web", "sh", "-c", "timeout 5 nslookup control.leak.test", check=False)
    until(lambda: "control.leak.test" in listener.heard, "what an open sandbox asks is heard", 10)
    assert listener.heard == {"control.leak.test"}
    _ask_everything(fleet, host, "closed", *SAYING)
    assert listener.heard == {"control.leak.test"}


@pytest.mark.parametrize("asking", [name for name in SAYING if name != "linked"])
def test_the_names_of_services_go_on(fleet: FleetRepo, host: str, asking: str) -> None:
    assert fleet.inside(host, "closed", asking, "sh", "-c", "timeout 5 wget -q -O - http://web:8080/") == "hello\n"


@pytest.mark.parametrize(("name", "most"), [("nobody", 1.0), ("nobody.leak.test", 3.0)])
@pytest.mark.parametrize("asking", ["plain", "options", "domain", "sixth"])
def test_an_unknown_name_fails_at_once(fleet: FleetRepo, host: str, asking: str, name: str, most: float) -> None:
    script = f"read began _ </proc/uptime; ping -c 1 -W 1 {name} 2>&1; read ended _ </proc/uptime; echo $began $ended"
    said = fleet.inside(host, "closed", asking, "sh", "-c", script)
    assert "bad address" in said
    began, ended = map(float, re.findall(r"[\d.]+", said.splitlines()[-1]))
    assert ended - began < most, said


def test_one_sandbox_does_not_reach_another(fleet: FleetRepo, host: str) -> None:
    addresses = {
        name: [net["IPAddress"] for net in fleet.containers(host, name)["web"]["NetworkSettings"]["Networks"].values()]
        for name in ("closed", "open", "other")
    }
    for source, targets in (("open", ("other", "closed")), ("other", ("open",)), ("closed", ("open",))):
        pages = [f"timeout 2 wget -q -O - http://{address}:8080/ &" for name in targets for address in addresses[name]]
        fetched = fleet.inside(host, source, "web", "sh", "-c", "\n".join([*pages, "wait"]), check=False)
        assert fetched == "", (source, targets)
    assert fleet.inside(host, "open", "web", "sh", "-c", "timeout 5 wget -q -O - http://web:8080/") == "hello\n"
    for address in (addresses["closed"][0], addresses["open"][0]):
        assert fleet.sh(host, f"timeout 5 busybox wget -q -O - http://{address}:8080/") == "hello\n"


def test_the_doctors_rules_keep_other_machines_out_and_nobody_else(fleet: FleetRepo, lab: Lab, host: str) -> None:
    (network,) = fleet.containers(host, "open")["web"]["NetworkSettings"]["Networks"].values()
    (way,) = fleet.get("open")["reachability"]
    route = ["ip", "route", "replace", f"{network['IPAddress']}/32", "via", lab.host(host).address]

    def fetched(where: str, url: str) -> str:
        return fleet.sh(where, f"timeout 2 busybox wget -q -O - {url}", check=False)

    inside = f"http://{network['IPAddress']}:8080/"
    lab.exec("lab-2", route)
    try:
        assert fetched("lab-2", inside) == "hello\n"
        fleet.sh(host, CLOSE)
        assert fetched("lab-2", inside) == ""
        assert fetched(host, inside) == fetched(host, way["url"]) == "hello\n"
        for name in ("open", "closed"):
            page = "timeout 5 wget -q -O - http://web:8080/"
            assert fleet.inside(host, name, "web", "sh", "-c", page) == "hello\n"
    finally:
        lab.exec("lab-2", ["ip", "route", "delete", *route[3:]])
        lab.exec(host, ["nft", "delete", "table", "inet", "sandboxer"], check=False)


def test_names_stay_closed_when_the_only_container_stops_and_starts(
    fleet: FleetRepo, listener: Listener, host: str
) -> None:
    before = listener.heard
    # The last container of a network that stops takes the network down, and the first that starts makes it anew.
    fleet.engine(host, "restart", "-t", "0", fleet.ids(host, "again")["plain"])
    _ask_everything(fleet, host, "again", "plain")
    assert listener.heard == before
    fleet.assert_synced()
