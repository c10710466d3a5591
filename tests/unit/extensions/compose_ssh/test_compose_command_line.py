"""What podman-compose makes of a stack that was accepted: its own builder of command lines, over random stacks.

Whatever values a stack has, each command line has the options that its keys stand for and no others, the image where
Podman expects it, and behind it the command alone.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import podman_compose
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PROJECT = "sbx-shop-1f2e3d4c"
POLICY = Policy(
    sandbox="shop",
    project=PROJECT,
    workspace="/s/w",
    tree_dir="/s/w/tree/d",
    host_cpus=4.0,
    host_memory=8 << 30,
    labels={"dev.sandboxer.name": "shop", "dev.sandboxer.root": "/tmp/$x"},
    memory=1 << 30,
    pids=64,
    podman=True,
)
# Options of `podman create` that may be there, and whether a word of theirs follows.
WITH_WORD = frozenset({
    "--add-host", "--cap-add", "--cap-drop", "--cpu-shares", "--cpus", "--cpuset-cpus", "--dns", "--dns-opt",
    "--dns-search", "--entrypoint", "--expose", "--group-add", "--health-cmd", "--health-interval", "--health-retries",
    "--health-start-period", "--health-startup-interval", "--health-timeout", "--hostname", "--label", "--mount",
    "--memory-reservation", "--pids-limit", "--platform", "--restart", "--security-opt", "--shm-size", "--stop-signal",
    "--sysctl", "--tmpfs", "--ulimit", "-e", "-m", "-u", "-v", "-w",
})  # fmt: skip
ALONE = frozenset({"--init", "--no-healthcheck", "--read-only", "--tty", "-i"})
JOINED = re.compile(
    r"--name=sbx-shop-1f2e3d4c_[\w.-]+_\d+|--pod=pod_sbx-shop-1f2e3d4c|--log-driver=(?:k8s-file|none)"
    r"|--log-opt=(?:max-size|tag)=[^,\"\n]*|--network=none|--network=container:sbx-shop-1f2e3d4c_[\w.-]+_1"
    r"|--network=sbx-shop-1f2e3d4c_[\w.-]+:(?:(?:mac=[0-9A-Fa-f:-]+|alias=[\w.-]+)(?:,(?!$)|$))+"
    r"|--requires=[\w.,-]+",
    re.ASCII,
)
# What each kind of word is made of, at most: what Podman takes apart has none of the signs that it takes apart at.
FORMS = {
    "--add-host": r"[\w.-]+:(?:[0-9a-fA-F:.\[\]]+|host-gateway)", "--cap-add": r"[\w]+", "--cap-drop": r"[\w]+",
    "--dns": r"[0-9a-f:.]+", "--dns-opt": r"[\w:-]+", "--dns-search": r"[\w.-]+", "--expose": r"[\d/a-z-]+",
    "--group-add": r"[\w.-]+", "--ulimit": r"[a-z]+=-?\d+(?::-?\d+)?", "--sysctl": r"net\.[\w.]+=[\d ]+",
    "--security-opt": r"no-new-privileges(?:[:=]true)?", "--tmpfs": r"/[^:,\"\n]*:[\w=,%]+",
    "--mount": r"type=volume,source=sbx-shop-1f2e3d4c_[\w.-]+,destination=/[^,:\"\n]*(?:,ro)?(?:,subpath=[\w./@ -]+)?",
    "-e": r"(?s:[A-Za-z_][\w.:/-]*=.*)", "--label": r"(?s:[A-Za-z0-9_][\w.@/\[\]-]*=.*)", "-u": r"[\w.:-]+",
    "-w": r"/[^\n]*", "--hostname": r"[\w.-]+", "--platform": r"[\w/]+", "--restart": r"[a-z-]+(?::\d+)?",
    "--cpuset-cpus": r"[\d,-]+", "--stop-signal": r"[\w+-]+",
}  # fmt: skip

TRICKY = st.sampled_from(
    (
        "--privileged",
        "-v/:/host",
        "-v",
        "/:/host",
        "--pid=host",
        "a b",
        "a,b",
        "a=b",
        "a:b",
        "a\nb",
        "",
        "-",
        "*",
        "$HOME",
        "${PATH}",
        '"',
        "'",
        "\\",
        "--",
        "a",
        "host",
        "db",
        "1000",
        "/x",
        "/x:ro",
        "x=1,source=/",
        "net.core.somaxconn=1",
        "ü",
    )
)
TEXT = TRICKY | st.text(max_size=6)
LIST = st.lists(TEXT, max_size=3)
MAP = st.dictionaries(TEXT, TEXT | st.none() | st.integers(-2, 99), max_size=3)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "cap_add": st.sampled_from((["CHOWN"], ["cap_kill"])),
    "cap_drop": st.just(["ALL"]),
    "command": LIST,
    "cpu_shares": st.integers(0, 9999),
    "cpuset": st.just("0-1"),
    "dns_opt": st.just(["ndots:2"]),
    "dns_search": st.just(["a.b"]),
    "entrypoint": LIST,
    "environment": st.dictionaries(st.just("A") | TEXT, TEXT, max_size=3),
    "expose": st.just(["80", "90-95/udp"]),
    "extra_hosts": st.just(["a=1.2.3.4", "b=::1"]),
    "group_add": st.just(["mail"]),
    "healthcheck": st.fixed_dictionaries(
        {"test": LIST.map(lambda words: ["CMD", *words]) | TEXT, "interval": st.just("2s"), "retries": st.just(3)}
    ),
    "hostname": st.just("a-b"),
    "init": st.booleans(),
    "labels": st.dictionaries(st.just("a.b") | TEXT, TEXT, max_size=3),
    "links": st.just(["db:other"]),
    "logging": st.sampled_from(({"driver": "none"}, {"options": {"max-size": "1m"}})),
    "networks": st.just({"back": {"aliases": ["x", "y"], "mac_address": "02:42:ac:11:00:02"}}),
    "read_only": st.booleans(),
    "restart": st.just("on-failure:3"),
    "security_opt": st.just(["no-new-privileges:true"]),
    "stop_signal": st.just("SIGINT"),
    "sysctls": st.just({"net.ipv4.ping_group_range": "0 99"}),
    "tmpfs": st.just(["/t", "/u:mode=1777"]),
    "tty": st.booleans(),
    "ulimits": st.just({"nofile": {"soft": 1, "hard": 2}, "core": -1}),
    "user": st.just("1000:1000"),
    "volumes": st.just(["data:/d:ro", "/anonymous"]),
    "working_dir": st.just("/x y"),
}
ANY = TEXT | LIST | MAP | st.integers(-2, 99) | st.booleans()


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    """Return two services; one value in some stacks is of any kind."""
    keys = draw(st.sets(st.sampled_from(sorted(PLAIN)), max_size=8))
    web = {key: draw(PLAIN[key]) for key in sorted(keys)}
    image = draw(st.sampled_from(("busybox:1", "registry.example/a/b:2", "docker:27")) | TEXT)
    if draw(st.booleans()):
        web[draw(st.sampled_from(sorted(PLAIN)))] = draw(ANY)
    names = st.sampled_from(("web", "a.b_c-1")) | TEXT
    return {
        "services": {draw(names): {"image": image, **web}, "db": {"image": "db:1"}},
        "volumes": {"data": None},
        "networks": {"back": None, "default": None},
    }


async def command_lines(path: Path) -> list[tuple[dict[str, Any], list[str]]]:
    """Return each container, and the words that podman-compose would put behind ``podman create``."""
    tool = podman_compose.PodmanCompose()
    tool.commands = podman_compose.podman_compose.commands
    tool.global_args = tool._parse_args(["--dry-run", "-p", PROJECT, "-f", str(path), "up", "-d"])
    tool.podman = podman_compose.Podman(tool, "podman", True)

    async def nothing(*_: Any, **__: Any) -> bytes:  # it checks whether networks and volumes exist
        return b""

    tool.podman.output = nothing
    tool._parse_compose_file()
    return [(one, await podman_compose.container_to_args(tool, one, detached=False)) for one in tool.containers]


def check(words: list[str], image: str, command: list[str]) -> None:
    """Read a command line as Podman does, up to the image."""
    rest = iter(words)
    for option in rest:
        if option in WITH_WORD:
            value = next(rest)
            assert re.fullmatch(FORMS.get(option, r"(?s:.*)"), value, re.ASCII), option
            if option in ("--entrypoint", "--health-cmd"):
                assert all(isinstance(one, str) for one in json.loads(value))
        elif not (option in ALONE or JOINED.fullmatch(option)):
            assert option == image
            assert list(rest) == command
            return
    raise AssertionError("there is no image")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(model=stacks())
def test_an_accepted_stack_has_the_options_of_its_keys_and_no_others(
    model: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        hardened = harden(normalise(model, POLICY.tree_dir, literal=True), POLICY)
    except ComposeRefused:
        return
    path = tmp_path_factory.getbasetemp() / "compose.json"
    path.write_bytes(hardened.to_json())
    for container, words in asyncio.run(command_lines(path)):
        service = hardened.model["services"][container["_service"]]
        given_ = service.get("command", [])  # a text is split, and stands behind the image all the same
        plain = [word.replace("$$", "$") for word in (shlex.split(given_) if isinstance(given_, str) else given_)]
        assert words.count(service["image"]) >= 1
        check(words, service["image"], plain)


def test_networks_and_volumes_are_made_by_name_alone() -> None:
    labels = {"a": "--privileged", "b": "x\ny,z=1"}
    model = {
        "services": {"web": {"image": "web", "networks": ["n"], "volumes": ["d:/d"]}},
        "networks": {"n": {"labels": labels, "driver_opts": {"com.docker.network.driver.mtu": "1400"}}},
        "volumes": {"d": {"labels": {"a": "--privileged"}}},
    }
    made = harden(normalise(model, POLICY.tree_dir, literal=True), POLICY).model
    words = podman_compose.get_network_create_args(made["networks"]["n"], PROJECT, f"{PROJECT}_n")
    assert words[0] == "create"
    assert words[-1] == f"{PROJECT}_n"
    rest = iter(words[1:-1])
    for option in rest:
        assert option in ("--label", "--internal", "--opt")
        if option != "--internal":
            assert "=" in next(rest)
    assert not {"driver", "driver_opts", "name", "external"} & made["volumes"]["d"].keys()


def test_what_runs_is_read_as_it_was_understood_whatever_yaml_makes_of_its_characters() -> None:
    text = "a\x7f\x85\x99\u2028\u2029\ufeff\uffff é \U0001f642 \\u2028"
    data = harden(normalise({"services": {"web": {"image": "x", "environment": {"A": text}}}}, "/"), POLICY).to_json()
    for model in (json.loads(data), yaml.load(data, Loader=yaml.CSafeLoader), yaml.safe_load(data)):
        assert model["services"]["web"]["environment"] == {"A": text}
