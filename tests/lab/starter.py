"""The start of a lab: its folder, its switch, and all of its hosts in parallel."""

from __future__ import annotations

import os
import socket
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import cgroups, engine, files, image, network, state
from tests.lab.errors import LabError, wait_until
from tests.lab.host import DOCKER, PODMAN, LabHost
from tests.lab.machine import PATH
from tests.lab.processes import Process, kill_all

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tests.lab.state import LabState

_SCRIPT = Path(__file__).with_name("host.sh")
_UNPRIVILEGED = "sbx"
_SECONDS = 60.0  # for any single step; on an idle machine all of them together take a few


def choose_hosts(lab: LabState, *, docker: int, podman: int, both: int) -> list[LabHost]:
    """Return the hosts of a new lab, not yet created; raise LabError if their number is zero or too large."""
    kinds = [(DOCKER,)] * docker + [(PODMAN,)] * podman + [(DOCKER, PODMAN)] * both
    if min(docker, podman, both) < 0 or not 1 <= len(kinds) <= 200:
        raise LabError(f"a lab has 1 to 200 hosts, not {docker} + {podman} + {both}")
    unprivileged = docker if docker > 1 else 0
    return [
        LabHost(
            name=f"lab-{number}",
            address=network.host_address(lab.network, number),
            user=_UNPRIVILEGED if number == unprivileged else "root",
            engines=engines,
            folder=str(lab.folder / f"lab-{number}"),
            identity_file=str(lab.folder / "id_ed25519"),
        )
        for number, engines in enumerate(kinds, start=1)
    ]


def start(lab: LabState, hosts: list[LabHost]) -> LabState:
    """Start the hosts and return the lab's saved state once all of them are ready."""
    files.make_key(lab.folder / "id_ed25519", "ed25519")
    archive = image.archive()
    with state.base_locked():
        for host in hosts:
            cgroups.create(lab.name, host.name)
    switch = _start_switch(lab)
    addresses = {host.name: host.address for host in hosts}
    with ThreadPoolExecutor(max_workers=16) as pool:
        jobs = [pool.submit(_start_host, lab, switch, host, addresses, archive) for host in hosts]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
            # A failed job explains more than those that it left waiting.
            ready = tuple(job.result() for job in sorted(jobs, key=lambda job: not job.done()))
        except BaseException:
            _give_up(lab, jobs)
            raise
    ready = tuple(sorted(ready, key=lambda host: host.number))
    _write_ssh_config(lab.folder, ready)
    lab = replace(lab, hosts=ready)
    lab.save()
    return lab


def _give_up(lab: LabState, jobs: list[Future[LabHost]]) -> None:
    """End what runs, for as long as some job may still start more: each of them waits for a host that is alive."""
    for job in jobs:
        job.cancel()
    while not all(job.done() for job in jobs):
        kill_all(state.processes(lab.name), seconds=10)
        wait(jobs, timeout=0.1)


def _start_switch(lab: LabState) -> Process:
    folder = lab.folder / "switch"
    folder.mkdir()
    os.close(_spawn("switch", folder))
    outside = Path("/proc/self/ns/net").readlink()

    def inside() -> bool:
        holder = Process.read(folder / "process")
        try:
            return holder is not None and Path(f"/proc/{holder.pid}/ns/net").readlink() != outside
        except OSError:
            return False

    wait_until(inside, seconds=_SECONDS, what="the start of the lab's switch")
    holder = Process.read(folder / "process")
    if holder is None:
        raise LabError(f"the lab's switch went away: {folder} was changed")
    network.create_switch(lab.network, holder)
    return holder


def _start_host(lab: LabState, switch: Process, host: LabHost, addresses: dict[str, str], archive: bytes) -> LabHost:
    Path(host.folder).mkdir()
    key_types = ["ed25519"] if host.user == "root" else ["rsa", "ecdsa", "ed25519"]
    host = replace(host, host_keys=files.make(host, addresses, network.machine_address(lab.network), key_types))
    cable = _spawn("start", Path(host.folder), host.name)
    try:
        init = _wait_for_init(host)
        network.plug_in(host.name, switch, init)
        os.write(cable, f"{cgroups.part(lab.name, host.name)} {host.address}/24\n".encode())
    finally:
        os.close(cable)
    wait_until(lambda: _ssh_answers(host), seconds=_SECONDS, what=f"{host.name}: the SSH server's answer")
    if DOCKER in host.engines:
        wait_until(lambda: _docker_answers(host), seconds=_SECONDS, what=f"{host.name}: the engine's answer")
    engine.load(host, archive)
    return host


def _spawn(role: str, folder: Path, *arguments: str) -> int:
    """Start ``host.sh`` in a separate session, out of reach of Ctrl-C; return the pipe to its standard input."""
    stdin, writer = os.pipe()
    log = os.open(folder / "start.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.posix_spawn(
            "/bin/bash",
            ["bash", str(_SCRIPT), role, str(folder), *arguments],
            {"PATH": PATH, "LANG": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(stdin)
        os.close(log)
    return writer


def _wait_for_init(host: LabHost) -> Process:
    outer = Path(host.folder, "process")

    def there() -> bool:
        if Process.read(Path(host.folder, "init")):
            return True
        process = Process.read(outer)
        if process and not process.alive():
            raise LabError(f"{host.name} ended while it started{host.last_words()}")
        return False

    wait_until(there, seconds=_SECONDS, what=f"{host.name}: its first process")
    return host.init()


def _ssh_answers(host: LabHost) -> bool:
    host.init()
    try:
        with socket.create_connection((host.address, host.port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _docker_answers(host: LabHost) -> bool:
    if Path(host.folder, "run/dockerd.ended").exists():
        raise LabError(f"{host.name}: Docker Engine did not start{host.last_words()}")
    return engine.answers(host)


def _write_ssh_config(folder: Path, hosts: tuple[LabHost, ...]) -> None:
    """Write the OpenSSH client's configuration: ``ssh -F FOLDER/ssh_config lab-1``."""
    known = folder / "known_hosts"
    known.write_text("".join(f"{host.address} {key}\n" for host in hosts for key in host.host_keys))
    blocks = [
        f"Host {host.name}\n  HostName {host.address}\n  Port {host.port}\n  User {host.user}\n" for host in hosts
    ]
    blocks.append(
        f"Host *\n  IdentityFile {folder / 'id_ed25519'}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10\n"
    )
    (folder / "ssh_config").write_text("\n".join(blocks))
