"""Names under ``egress: deny``: a sandbox resolves those of its own services, and sends no query for any other."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from sandboxer.extensions.compose_ssh.firewall import CLOSE
from tests.support import resolver
from tests.support.e2e import FleetRepo, service, stack, until, web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab
HOSTS = ["lab-1", "lab-4"]
# Names of nobody, and within how many seconds that is known.
UNKNOWN = {"nobody": 1.0, "nobody.leak.test": 3.0}
LOG = "/run/queried-names"

# A query by TCP for one label and `.leak.test`, as bytes that `printf` writes: its length, head, name, A and IN.
_TCP = r"printf '\000\037\001\002\001\000\000\001\000\000\000\000\000\000\003tcp\004leak\004test\000\000\001\000\001'"

# Each queries a name that nothing in the sandbox has; what each puts into the name distinguishes them.
QUERIES = {
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
# What a file may contain about names; `configured` queries before anything could be closed after its start.
SAYING: dict[str, dict[str, Any]] = {
    "plain": {},
    "configured": {
        "command": ["sh", "-c", "ping -c 1 -W 1 early.leak.test; sleep 9999"],
        "dns_opt": ["timeout:30", "attempts:5", "ndots:5", "rotate"],
        "dns_search": ["leak.test", "search.leak.test"],
        "extra_hosts": ["ns.leak.test:203.0.113.1"],
        "links": ["web:outer.leak.test"],
        "hostname": "h",
        "domainname": "leak.test",
    },
    "joined": {"network_mode": "service:plain", "depends_on": ["plain"]},
    "both": {"networks": {"default": {"aliases": ["leak.test"]}, "second": None}},
    "opened": {"networks": ["six", "claimed"]},
}
NETWORKS: dict[str, Any] = {
    "default": {},
    "second": {"labels": {"of": "mine", "lines": "a\nb"}},
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
        """The names that were queried so far."""
        return {
            line.split()[0] for line in self._lab.exec(self._host, ["cat", LOG]).stdout.splitlines() if line.split()
        }


@pytest.fixture(scope="module")
def listeners(lab: Lab) -> Iterator[dict[str, Listener]]:
    """Each host's name server, before any container starts."""
    with ExitStack() as stack:
        yield {host: stack.enter_context(Listener(lab, host)) for host in HOSTS}


@pytest.fixture(scope="module")
def fleet(lab: Lab, listeners: dict[str, Listener], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """On each host one closed sandbox with all that a file may say of names, a small one, and two open ones."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("names") / "fleet", hosts=HOSTS)
    page = web(volumes=["./www:/www:ro"])
    files = {"www/index.html": "hello\n"}
    room = {"resources": {"cpus": 0.5, "memory": "64MiB", "pids": 200}}
    way = {"ports": [{"name": "http", "service": "web", "port": 8080}]}
    for host in HOSTS:
        closed = stack(
            web=page | {"networks": ["default", "six", "claimed"]}, **{n: service() | s for n, s in SAYING.items()}
        )
        # Docker before 27 has no IPv6 addresses of its own to give.
        networks = NETWORKS | ({"six": {"enable_ipv6": True}} if lab.host(host).engine == "podman" else {})
        closed = closed | {"networks": networks}
        fleet.sandbox(f"closed-{host}", closed, files=files, profile_spec=room, host=host)
        fleet.sandbox(f"again-{host}", stack(plain=service()), profile_spec=room, host=host)
        for name in ("open", "other"):
            spec = {"network": {"egress": "allow"}, "reachability": way}
            fleet.sandbox(f"{name}-{host}", stack(web=page), files=files, profile_spec=spec, host=host)
    fleet.commit()
    try:
        fleet.apply()
        yield fleet
    finally:
        fleet.clean_up()


def _ask_everything(fleet: FleetRepo, host: str, sandbox: str, *services: str) -> None:
    """All queries from a container of each service; one that waits longer than a moment has sent its query."""
    script = "".join(f"timeout 2 sh -c '{_quoted(text)}' >/dev/null 2>&1 &\n" for text in QUERIES.values()) + "wait\n"
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


@pytest.mark.parametrize("host", HOSTS)
def test_under_egress_deny_the_hosts_name_server_hears_nothing(
    fleet: FleetRepo, listeners: dict[str, Listener], host: str
) -> None:
    listener = listeners[host]
    fleet.inside(host, f"open-{host}", "web", "sh", "-c", "timeout 5 nslookup control.leak.test", check=False)
    until(lambda: "control.leak.test" in listener.heard, "what an open sandbox asks is heard", 10)
    assert listener.heard == {"control.leak.test"}
    _ask_everything(fleet, host, f"closed-{host}", *SAYING)
    # The last container of a network that stops takes the network down, and the first that starts creates it again.
    fleet.engine(host, "restart", "-t", "0", fleet.ids(host, f"again-{host}")["plain"])
    _ask_everything(fleet, host, f"again-{host}", "plain")
    assert listener.heard == {"control.leak.test"}


@pytest.mark.parametrize("host", HOSTS)
def test_the_names_of_services_still_resolve_and_an_unknown_one_fails_at_once(fleet: FleetRepo, host: str) -> None:
    unknown = "read began _ </proc/uptime; ping -c 1 -W 1 {} 2>&1; read ended _ </proc/uptime; echo $began $ended; "
    script = "timeout 5 wget -q -O - http://web:8080/; " + "".join(map(unknown.format, UNKNOWN))
    ids = fleet.ids(host, f"closed-{host}")
    for each in SAYING:
        page, *lines = fleet.engine(host, "exec", ids[each], "sh", "-c", script).splitlines()
        assert page == "hello", each
        for (name, most), bad, times in zip(UNKNOWN.items(), lines[::2], lines[1::2], strict=True):
            assert "bad address" in bad, (each, name)
            began, ended = map(float, times.split())
            # `configured` has suffixes to try, and `opened` the resolvers of two networks, one after the other.
            assert ended - began < (most if each not in ("configured", "opened") else 6.0), (each, name)


@pytest.mark.parametrize("host", HOSTS)
def test_one_sandbox_does_not_reach_another(fleet: FleetRepo, host: str) -> None:
    there = {name: fleet.containers(host, f"{name}-{host}")["web"] for name in ("closed", "open", "other")}
    addresses = {
        name: [net["IPAddress"] for net in item["NetworkSettings"]["Networks"].values()] for name, item in there.items()
    }
    for source, targets in (("open", ("other", "closed")), ("other", ("open",)), ("closed", ("open",))):
        pages = [f"timeout 2 wget -q -O - http://{address}:8080/ &" for name in targets for address in addresses[name]]
        script = "\n".join([*pages, "wait", "timeout 5 wget -q -O - http://web:8080/"])
        assert fleet.engine(host, "exec", there[source]["Id"], "sh", "-c", script) == "hello\n", (source, targets)
    for address in (addresses["closed"][0], addresses["open"][0]):
        assert fleet.sh(host, f"timeout 5 busybox wget -q -O - http://{address}:8080/") == "hello\n"


@pytest.mark.parametrize("host", HOSTS)
def test_the_doctors_rules_keep_other_machines_out_and_nobody_else(fleet: FleetRepo, lab: Lab, host: str) -> None:
    (network,) = fleet.containers(host, f"open-{host}")["web"]["NetworkSettings"]["Networks"].values()
    (way,) = fleet.get(f"open-{host}")["reachability"]
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
            assert fleet.inside(host, f"{name}-{host}", "web", "sh", "-c", page) == "hello\n"
    finally:
        lab.exec("lab-2", ["ip", "route", "delete", *route[3:]])
        lab.exec(host, ["nft", "delete", "table", "inet", "sandboxer"], check=False)
