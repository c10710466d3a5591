"""The file system of a host: its separate parts, in the folder that the lab keeps for it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import tools
from tests.lab.host import DOCKER, PODMAN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes

    from tests.lab.host import LabHost

# sshd's limits are left at the defaults that real servers have.
_SSHD_CONFIG = """\
Port 22
{keys}
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
Subsystem sftp internal-sftp
"""
_DOCKER_CONFIG = {
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 4096, "Hard": 4096}},
}
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc={nproc}:{nproc}"]
[engine]
# There is no systemd to run health checks by; without this Podman complains at each start.
env = ["DISABLE_HC_SYSTEMD=true"]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
_REGISTRIES_CONF = 'unqualified-search-registries = ["localhost"]\nshort-name-mode = "permissive"\n'
_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
_PROGRAMS = {DOCKER: ("usr/bin/docker", "usr/sbin/dockerd"), PODMAN: ("usr/bin/podman",)}
_UNPRIVILEGED_UID = 4242


def make(host: LabHost, addresses: Mapping[str, str], gateway: str, key_types: Collection[str]) -> tuple[str, ...]:
    """Create the folder of a host and return its host keys, a line each.

    ``addresses`` are those of all hosts, by name; ``gateway`` is this machine in the lab.
    """
    folder = Path(host.folder)
    for name, mode in (("run", 0o755), ("tmp", 0o1777), ("home", 0o755), ("root", 0o700), ("mnt", 0o755)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    for name in ("opt", "srv", "run/sshd", "run/lock", "var/lib", "var/log", "var/cache", "var/tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "var/tmp").chmod(0o1777)
    (folder / "var/run").symlink_to("/run")
    (folder / "var/lock").symlink_to("/run/lock")
    _hide(folder / "hide", host)
    tools.install(folder / "usr/local", host.engines)
    _etc(folder / "etc", host, addresses, gateway)
    _login(folder, host)
    return _host_keys(folder / "etc/ssh", key_types)


def _hide(folder: Path, host: LabHost) -> None:
    """Hide the other engine's programs with the marks by which an overlay removes a file."""
    for program in (program for engine in _PROGRAMS.keys() - set(host.engines) for program in _PROGRAMS[engine]):
        mark = folder / program
        mark.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(mark, stat.S_IFCHR, os.makedev(0, 0))


def _etc(etc: Path, host: LabHost, addresses: Mapping[str, str], gateway: str) -> None:
    """Write the layer over the machine's own /etc; the host's later changes of /etc go there too."""
    etc.mkdir()
    etc.with_suffix(".work").mkdir()
    for folder in ("cni", "containers", "docker", "ssh"):
        (etc / folder).mkdir()
        os.setxattr(etc / folder, "trusted.overlay.opaque", b"y")  # nothing of the machine's is visible below it
    names = "".join(f"{address} {name}\n" for name, address in addresses.items())
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "machine-id").write_text(hashlib.md5(host.folder.encode(), usedforsecurity=False).hexdigest() + "\n")
    # Nobody answers there: an outside name is refused at once, and nothing is ever sent outside.
    (etc / "resolv.conf").write_text(f"nameserver {gateway}\noptions timeout:1 attempts:1\n")
    if DOCKER in host.engines:
        (etc / "docker/daemon.json").write_text(json.dumps(_DOCKER_CONFIG))
    if PODMAN in host.engines:
        limit = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        (etc / "containers/containers.conf").write_text(_CONTAINERS_CONF.format(nproc=limit))
        (etc / "containers/registries.conf").write_text(_REGISTRIES_CONF)
        (etc / "containers/policy.json").write_text(json.dumps(_POLICY))


def _login(folder: Path, host: LabHost) -> None:
    """Create the login's home with the lab's key in it, and a separate user if the login is not root."""
    home, uid = folder / "root", 0
    if host.user != "root":
        home, uid = folder / "home" / host.user, _UNPRIVILEGED_UID
        home.mkdir(mode=0o700)
        _add_user(folder / "etc", host.user, uid)
    (home / ".ssh").mkdir(mode=0o700)
    keys = home / ".ssh/authorized_keys"
    shutil.copy(f"{host.identity_file}.pub", keys)
    for path in (home, home / ".ssh", keys):
        shutil.chown(path, uid, uid)


def _add_user(etc: Path, user: str, uid: int) -> None:
    for name, line in (
        ("passwd", f"{user}:x:{uid}:{uid}::/home/{user}:/bin/bash"),
        ("shadow", f"{user}:*:19700:0:99999:7:::"),
    ):
        (etc / name).touch(mode=0o600 if name == "shadow" else 0o644)
        (etc / name).write_text(f"{Path('/etc', name).read_text().rstrip()}\n{line}\n")
    groups = [line.split(":") for line in Path("/etc/group").read_text().splitlines()]
    if not any(group[0] == "docker" for group in groups):
        groups.append(["docker", "x", str(uid + 1), ""])
    groups = [
        [*group[:3], ",".join(filter(None, (group[3], user)))] if group[0] == "docker" else group for group in groups
    ]
    (etc / "group").write_text("".join(":".join(group) + "\n" for group in [*groups, [user, "x", str(uid), ""]]))


def _host_keys(ssh: Path, key_types: Collection[str]) -> tuple[str, ...]:
    lines = []
    for key_type in key_types:
        key = ssh / f"ssh_host_{key_type}_key"
        make_key(key, key_type)
        lines.append(" ".join(key.with_suffix(".pub").read_text().split()[:2]))
    keys = "\n".join(f"HostKey /etc/ssh/ssh_host_{key_type}_key" for key_type in key_types)
    (ssh / "sshd_config").write_text(_SSHD_CONFIG.format(keys=keys))
    return tuple(lines)


def make_key(path: Path, key_type: str) -> None:
    """Create a key pair without a passphrase, as OpenSSH writes it.

    This runs in the process itself: a separate program would outlive a starter that is killed, and write a key into the
    folder of the next lab of that name.
    """
    # A caller that only checks why it can have no lab does not need this package.
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key: SSHPrivateKeyTypes
    if key_type == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    else:
        key = ec.generate_private_key(ec.SECP256R1()) if key_type == "ecdsa" else Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(private)
    path.with_name(f"{path.name}.pub").write_bytes(public + b" sandboxer-lab\n")
