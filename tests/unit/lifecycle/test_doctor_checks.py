"""What a host says, and what the doctor makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandboxer.extensions.compose_ssh.firewall import check_firewall
from sandboxer.extensions.compose_ssh.host_checks import (
    HOST_CHECKS,
    check_build_cache,
    check_builds,
    check_compose,
    check_engine,
    check_limits,
    check_reading,
    check_rootless,
)
from sandboxer.extensions.compose_ssh.installation import install_compose, install_docker
from sandboxer.hosts.facts import HostFacts
from sandboxer.hosts.remedies import System
from sandboxer.hosts.sections import Sections
from sandboxer.lifecycle.doctor_checks import (
    check_disk,
    check_root,
    check_sshd,
    diagnose,
)
from sandboxer.model.host_report import Check
from sandboxer.model.protocols import CommandResult
from tests.support.doctor import DEBIAN_12, checked, facts_of, only

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "hosts.md"


def test_nothing_at_all_is_survived() -> None:
    facts = HostFacts(checked(), Sections(b"", "n"), CommandResult(1, b"", b""))
    assert all(isinstance(check, Check) for check in diagnose(facts, [HOST_CHECKS]))


@pytest.mark.parametrize(
    ("sections", "status", "found"),
    [
        ({"folder /tmp/sandboxer": "0 700 directory", "writable": ""}, "ok", "mode 0700, of root alone"),
        ({"folder /tmp/sandboxer": "0 755 directory", "writable": ""}, "note", "has mode 0755"),
        ({"folder /tmp/sandboxer": "1000 700 directory", "writable": ""}, "error", "belongs to user id 1000"),
        ({"folder /tmp/sandboxer": "0 644 regular file", "writable": ""}, "error", "is a regular file"),
        ({"folder /tmp/sandboxer/acme": "5 700 directory", "writable": ""}, "error", "/tmp/sandboxer/acme belongs"),
        ({}, "error", "root cannot write to /tmp"),
        ({"writable": ""}, "ok", "an apply creates the folder"),
    ],
)
def test_the_root(sections: dict[str, str], status: str, found: str) -> None:
    check = only(check_root(facts_of({"parent /tmp": "1777"} | sections)))
    assert check.status == status
    assert found in check.found


def test_a_way_that_others_can_change_is_refused() -> None:
    check = only(
        check_root(facts_of({"way": "/a b may be written by other users (mode 777), who could replace /a b/c"}))
    )
    assert check.status == "error"
    assert check.found.endswith("who could replace /a b/c, and is rejected")
    assert check.remedy is not None
    assert check.remedy.splitlines()[0] == "chmod go-w '/a b'"
    foreign = only(check_root(facts_of({"way": "/a belongs to user id 5, who could replace /a/b"})))
    assert foreign.remedy == "set spec.root on the Host to another folder, such as /var/lib/sandboxer"


def test_a_folder_where_anybody_may_rename_is_no_place_for_a_root() -> None:
    *_, check = check_root(facts_of({"parent /srv": "777", "writable": ""}))
    assert (check.status, check.remedy) == ("warning", "chmod +t /srv")


@pytest.mark.parametrize(
    ("free", "files", "options", "found"),
    [
        (2 << 20, "9000000 8000000 ext2/ext3", "rw,relatime", None),
        (100 << 10, "9000000 8000000 ext2/ext3", "rw,relatime", "only 100MiB free on /tmp (ext2/ext3)"),
        (2 << 20, "9000000 5 ext2/ext3", "rw", "space for only 5 more files"),
        (2 << 20, "0 0 btrfs", "rw", None),
        (2 << 20, "9000000 8000000 tmpfs", "rw,nosuid,noexec", "is mounted noexec"),
        (2 << 20, "9000000 8000000 nfs", "rw", "is not a local disk"),
    ],
)
def test_the_disk(free: int, files: str, options: str, found: str | None) -> None:
    disk = f"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 99 1 {free} 1% /tmp"
    check = only(check_disk(facts_of({"disk": disk, "filesystem": files, "mounted": options})))
    assert check.status == ("warning" if found else "ok")
    assert (found or "2.0 GiB free on /tmp") in check.found


def test_what_fills_a_disk_is_shown_by_the_backends_commands_too() -> None:
    disk = f"Filesystem\n/dev/vda 99 1 {100 << 10} 1% /tmp"
    sections = {"disk": disk, "filesystem": "0 0 ext2/ext3", "mounted": "rw"}
    elsewhere = "or set spec.root on the Host to another folder, such as /var/lib/sandboxer"
    assert only(check_disk(facts_of(sections))).remedy == f"df -h\n{elsewhere}"
    check = only(check_disk(facts_of(sections | {"disk-usage": "podman system df"})))
    assert check.remedy == f"podman system df\ndf -h\n{elsewhere}"


def test_docker_closed_to_the_login() -> None:
    message = "permission denied while trying to connect to the Docker daemon socket"
    facts = facts_of(
        {
            "login": "1001 ci",
            "client docker /usr/bin/docker": "Docker version 20.10",
            "info docker": "",
            "info-code 1": message,
            "socket /var/run/docker.sock": "docker",
        }
    )
    check = only(check_engine(facts))
    assert check.found == "ci cannot use Docker's socket /var/run/docker.sock of group docker"
    assert check.remedy.splitlines()[0] == "sudo usermod -aG docker ci"


def test_podman_closed_to_the_login_needs_no_start() -> None:
    message = "Error: cannot set up namespace: open /run/user/1001: permission denied"
    login = {"login": "1001 ci", "client podman /usr/bin/podman": "", "info podman": "", "info-code 125": message}
    check = only(check_engine(facts_of(login)))
    assert check.found == f"ci cannot use Podman: {message}"
    assert check.remedy.startswith("log in as ci itself")


@pytest.mark.parametrize(
    ("code", "output", "systemd", "found", "remedy"),
    [
        (
            "1",
            "Cannot connect to the Docker daemon",
            "systemd=yes",
            "does not answer: Cannot",
            "systemctl enable --now docker",
        ),
        ("1", "Cannot connect to the Docker daemon", "", "does not answer: Cannot", "service docker start"),
        ("124", "", "systemd=yes", "does not answer within 20 s", "systemctl restart docker"),
    ],
)
def test_docker_that_does_not_answer(code: str, output: str, systemd: str, found: str, remedy: str) -> None:
    system = f"{DEBIAN_12}\n{systemd}"
    sections = {"system": system, "client docker /usr/bin/docker": "", "info docker": "", f"info-code {code}": output}
    check = only(check_engine(facts_of(sections)))
    assert check.status == "error"
    assert found in check.found
    assert check.remedy == remedy


def test_a_runtime_that_is_not_there_names_the_one_that_is() -> None:
    check = only(check_engine(facts_of({"client podman /usr/bin/podman": ""}, checked(runtime="docker"))))
    assert check.remedy == "apt-get install -y docker.io\nor set `runtime: podman` on the Host"


def test_limits_that_podman_may_not_set() -> None:
    info = {"host": {"cgroupControllers": ["memory", "pids"]}}
    check = only(check_limits(facts_of({"info podman": json.dumps(info), "info-code 0": ""})))
    assert check.found == "ceilings of cpu have no effect here"
    assert "Delegate=memory cpu pids" in check.remedy


@pytest.mark.parametrize(
    ("engine", "sections", "status", "found"),
    [
        ("docker", {"compose docker compose": "2.40.3", "compose-code 0": ""}, "ok", "Docker Compose 2.40.3"),
        ("docker", {"compose docker compose": "v2.19.1", "compose-code 0": ""}, "error", "2.20 or newer"),
        ("docker", {"compose docker compose": "5.0.0", "compose-code 0": ""}, "ok", "Docker Compose 5.0.0"),
        ("docker", {}, "error", "neither the docker-compose plugin nor a docker-compose command"),
        ("docker", {"compose docker-compose": "", "compose-code 127": "sh: not found"}, "error", "sh: not found"),
        ("podman", {"compose podman-compose": "1.6.0", "compose-code 0": ""}, "ok", "podman-compose 1.6.0"),
        ("podman", {"compose podman-compose": "1.0.3", "compose-code 0": ""}, "warning", "1.1 or newer"),
        (
            "podman",
            {"compose podman compose": "", "compose-code 125": "Error"},
            "error",
            "podman-compose is not installed",
        ),
    ],
)
def test_compose(engine: str, sections: dict[str, str], status: str, found: str) -> None:
    check = only(check_compose(facts_of({f"info {engine}": "{}", "info-code 0": ""} | sections)))
    assert check.status == status
    assert found in check.found
    assert bool(check.remedy) is (status != "ok")


def test_a_rootless_podman_that_ends_with_its_login() -> None:
    facts = facts_of(
        {
            "system": f"{DEBIAN_12}\nsystemd=yes",
            "login": "1001 ci",
            "info podman": "{}",
            "rootless": "runtime_dir_there=yes\nsubuid=yes\nsubgid=yes",
        }
    )
    assert only(check_rootless(facts)).remedy == "sudo loginctl enable-linger ci"


def test_what_sshd_allows() -> None:
    few, closed = check_sshd(facts_of({"sshd": "maxsessions 2\nallowtcpforwarding no\ndisableforwarding no"}))
    assert "2 sessions" in few.found
    assert "MaxSessions 10" in few.remedy
    assert "egress: deny" in closed.found
    assert only(check_sshd(facts_of({"sshd": "maxsessions 10\nallowtcpforwarding yes"}))).status == "ok"
    assert not list(check_sshd(facts_of({})))


def test_clock_login_and_key() -> None:
    request = checked(connection="ssh", address="build-1", user="ci")
    sections = {"shell /bin/bash": "Welcome to build-1!", "host-keys": "ssh-ed25519 AAAA"}
    checks = list(diagnose(facts_of(sections, request, skew=-300.0, login=4.2), [HOST_CHECKS]))
    found = {(check.name, check.status): check for check in checks}
    assert found["clock", "warning"].found.startswith("its clock is 300 s behind this machine's")
    assert 'hostKey: "ssh-ed25519 AAAA"' in found["host key", "note"].remedy
    words = [check.found for check in checks if check.name == "login shell"]
    assert words[0].startswith("starting a command takes 4.2 s")
    assert words[1].endswith("Welcome to build-1!")


@pytest.mark.parametrize(
    ("system", "docker", "compose"),
    [
        (System("debian", (), "12"), "apt-get install -y docker.io", "https://docs.docker.com/compose/install/linux/"),
        (System("debian", (), "13"), "apt-get install -y docker.io docker-cli", "apt-get install -y docker-compose"),
        (
            System("ubuntu", ("debian",), "24.04"),
            "apt-get install -y docker.io",
            "apt-get install -y docker-compose-v2",
        ),
        (System("fedora", (), "41"), "dnf install -y moby-engine", "dnf install -y docker-compose"),
        (System("rocky", ("rhel", "centos", "fedora"), "9.4"), "https://docs.docker.com/engine/install/", "https://"),
        (System("alpine", (), "3.20.1"), "apk add docker docker-cli-compose", "apk add docker-cli-compose"),
        (System("arch"), "install Docker Engine", "install Docker Compose"),
    ],
)
def test_remedies_are_in_the_words_of_the_distribution(system: System, docker: str, compose: str) -> None:
    assert docker in install_docker(system)
    assert compose in install_compose(system)


def test_a_login_that_is_not_root_uses_sudo() -> None:
    system = System("debian", (), "12", user="ci", is_root=False)
    assert system.install_tools(("flock", "stat", "sed")) == "sudo apt-get install -y coreutils sed util-linux"


def test_the_documentation_closes_the_hosts_addresses_as_the_doctor_does() -> None:
    note = only(check_firewall(facts_of({})))
    assert note.remedy in DOCUMENTATION.read_text()
    assert only(check_firewall(facts_of({"nft": "here"}))).remedy == note.remedy
    assert only(check_firewall(facts_of({"nft": ""}))).remedy.splitlines()[0].endswith("nftables")
    both = "chain input {\n iifname br-* ct state new drop\n}\nchain forward {\n oifname br-* ct state new drop\n}"
    assert only(check_firewall(facts_of({"firewall": both}))).status == "ok"
    words = "-A DOCKER-USER -o br-+ -j DROP\n-A INPUT -i br-+ -j DROP"
    assert only(check_firewall(facts_of({"firewall": words}))).status == "ok"
    half = only(check_firewall(facts_of({"firewall": both.partition("}")[0] + "}\nchain forward {\n accept\n}"})))
    assert (half.status, half.remedy) == ("note", note.remedy)
    assert half.found == "machines with a route to the host can reach unpublished ports of containers"
    assert "unless a rule hidden from ci" in only(check_firewall(facts_of({"login": "1001 ci"}))).found


@pytest.mark.parametrize(
    ("output", "login", "status", "words"),
    [
        ("way=-m -n", "0 root", "ok", "in a private mount, without network"),
        ("way=", "0 root", "warning", "apt-get install -y util-linux"),
        ("way=\nunshare=yes", "0 root", "warning", "cannot create a mount namespace"),
        (
            "way=\nunshare=yes\napparmor_restrict_unprivileged_userns=1",
            "1001 ci",
            "warning",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("way=\nunshare=yes\nmax_user_namespaces=0", "1001 ci", "warning", "sysctl -w user.max_user_namespaces=10000"),
    ],
)
def test_what_compose_sees_while_it_reads(output: str, login: str, status: str, words: str) -> None:
    check = only(check_reading(facts_of({"reading": output, "login": login, "info docker": "{}"})))
    assert check.status == status
    assert words in f"{check.found}\n{check.remedy}"


@pytest.mark.parametrize(
    ("engine", "uid", "status", "found"),
    [
        ("docker", "0", "note", "build steps on Docker have no ceilings"),
        ("podman", "1000", "note", "build steps on rootless Podman have no ceilings"),
        ("podman", "0", "ok", "have the memory and cpu ceilings"),
    ],
)
def test_where_the_steps_of_builds_have_no_ceilings(engine: str, uid: str, status: str, found: str) -> None:
    check = only(check_builds(facts_of({f"info {engine}": "{}", "info-code 0": "", "login": f"{uid} me"})))
    assert check.status == status
    assert found in check.found


@pytest.mark.parametrize("size", ["", "0B"])
def test_no_build_cache_is_worth_no_note(size: str) -> None:
    assert list(check_build_cache(facts_of({"build-cache": size}))) == []


def test_a_build_cache_is_noted_with_the_command_that_removes_it() -> None:
    check = only(check_build_cache(facts_of({"build-cache": "3.2GB\n"})))
    assert (check.status, check.remedy) == ("note", "docker builder prune")
    assert "3.2GB" in check.found
