"""Requirements of a lab on the machine, and their installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A file that shows that a package, by its Debian name, is installed. Debian 13 moved the client out of docker.io.
_NEEDED = (
    ("openssh-server", "/usr/sbin/sshd"),
    ("docker.io", "/usr/sbin/dockerd"),
    ("docker-cli", "/usr/bin/docker"),
    ("iproute2", "/usr/bin/ip"),
    ("iptables", "/usr/sbin/iptables"),
    ("nftables", "/usr/sbin/nft"),
    ("busybox-static", "/var/lib/dpkg/info/busybox-static.list"),
    ("podman", "/usr/bin/podman"),
    ("runc", "/usr/sbin/runc"),
    ("netavark", "/usr/lib/podman/netavark"),
    ("aardvark-dns", "/usr/lib/podman/aardvark-dns"),
    ("uidmap", "/usr/bin/newuidmap"),
    ("python3", "/usr/bin/python3"),
    ("curl", "/usr/bin/curl"),
)
_IN_ANOTHER_PACKAGE = {"docker-cli": "docker.io"}
_POLICY = Path("/usr/sbin/policy-rc.d")


def unavailable() -> str | None:
    """Return why this machine can never run a lab; None if it can."""
    if not sys.platform.startswith("linux"):
        return f"the lab needs Linux, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "the lab needs root, for namespaces, mounts and the engines"
    return None


def prepare(*more: tuple[str, str]) -> None:
    """Install missing Debian packages, if any; raise LabError if the lab cannot run here.

    ``more`` are packages that the lab itself does not need, each with a file that shows that it is installed.
    """
    if reason := unavailable():
        raise LabError(reason)
    missing = _missing(more)
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"missing: {', '.join(missing)}; there is no apt-get here: install what has these Debian names")
    _apt("update", seconds=180)
    with _no_services():
        _apt("install", "--no-install-recommends", *{_known(package): None for package in missing}, seconds=900)
    if still := _missing(more):
        raise LabError(f"installed, and yet missing: {', '.join(still)}")


def _missing(more: Sequence[tuple[str, str]]) -> list[str]:
    needed = [*_NEEDED, *more]
    if _apparmor_is_on():
        needed.append(("apparmor", "/usr/sbin/apparmor_parser"))
    return [package for package, proof in needed if not Path(proof).exists()]


def _apparmor_is_on() -> bool:
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().startswith("Y")
    except OSError:
        return False


def _known(package: str) -> str:
    """Return the name under which this release of Debian has the package."""
    known = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False, timeout=60).returncode == 0
    return package if known else _IN_ANOTHER_PACKAGE.get(package, package)


def _apt(*arguments: str, seconds: float) -> None:
    command: Sequence[str] = (
        "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2",
        "-o", "Acquire::http::Timeout=60", *arguments,
    )  # fmt: skip
    env = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
    env |= {key: value for key, value in os.environ.items() if key.lower() in {"http_proxy", "https_proxy", "no_proxy"}}
    print("lab:", *command, file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: not done within {seconds:g} seconds") from error
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise LabError(f"{' '.join(command)}: exit {done.returncode}\n{last}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep Debian from starting installed services: the machine itself must get no new SSH server or engine."""
    try:
        with _POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:  # the machine has a policy; it holds
        yield
        return
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink()
