"""Hardening: what is refused, what a file becomes, and that a change affects exactly the services that use it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import compose
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret, Hardened, Policy, ReachablePort
from sandboxer.model.protocols import TreeEntry

CASES = Path(__file__).parents[3] / "cases" / "compose"
DOCKER_COMPOSE = Path(compose.__file__).parent / "docker-compose"
FILES = ("app/Dockerfile", "app/main.c", "conf/app.conf", "conf/more/deep.conf", "data/.keep", "up/.keep", "web.env")
POLICY = Policy(
    sandbox="shop",
    project="sbx-shop-1f2e3d4c",
    workspace="/s/w",
    tree_dir="/s/w/tree/d",
    host_cpus=4.0,
    host_memory=8 << 30,
    labels={"dev.sandboxer.name": "shop", "dev.sandboxer.root": "/tmp/$x"},
    entries={path: TreeEntry(path, f"blob of {path}") for path in FILES}
    | {"out": TreeEntry("out", "link", target="conf")},
    cpus=2,
    memory=1 << 30,
    pids=512,
    secrets={"DB_PASSWORD": DeliveredSecret("/s/w/secrets/1/DB_PASSWORD", 1)},
    read={"app/Dockerfile": b"from scratch\n", "web.env": b"FROM_FILE=1\n"}.__getitem__,
)

# What a service under `egress: deny` has unless its file has more about names; podman-compose gets no server.
CLOSED_NAMES = {"dns": ["192.0.2.1"], "dns_opt": ["ndots:1", "timeout:1", "attempts:1"], "dns_search": ["."]}
DEFAULT_LOGGING = {"driver": "json-file", "options": {"max-file": "3", "max-size": "10485760"}}


def cases(name: str) -> list[Any]:
    return list(yaml.safe_load((CASES / name).read_text()))


def policy_of(case: dict[str, Any]) -> Policy:
    given_ = dict(case.get("policy", {}))
    if "ports" in given_:
        given_["ports"] = tuple(ReachablePort(*port) for port in given_["ports"])
    return replace(POLICY, **given_)


def run(model: dict[str, Any], policy: Policy = POLICY) -> Hardened:
    return harden(normalise(model, policy.tree_dir), policy)


def refusal(model: dict[str, Any], policy: Policy = POLICY) -> ComposeRefused:
    with pytest.raises(ComposeRefused) as caught:
        run(model, policy)
    return caught.value


@pytest.mark.parametrize("case", cases("refused.yaml"), ids=lambda case: case["says"].split(": ")[0])
def test_what_no_sandbox_may_have_is_refused_with_path_reason_and_remedy(case: dict[str, Any]) -> None:
    model = {"services": {"web": {"image": "web", **case.get("service", {})}, "db": {"image": "db:1"}}}
    error = refusal(model | case.get("also", {}), policy_of(case))
    assert error.message == case["says"]
    assert error.sandbox == "shop"
    assert error.hint


def test_every_finding_is_reported_at_once() -> None:
    error = refusal({"services": {"a": {"image": "x", "privileged": True}, "b": {"image": "x", "pid": "host"}}})
    assert [line.split(":")[0] for line in error.message.splitlines()] == ["services.a.privileged", "services.b.pid"]


def without_defaults(service: dict[str, Any]) -> None:
    for key, usual in {"logging": DEFAULT_LOGGING, **CLOSED_NAMES}.items():
        if service.get(key) == usual:
            del service[key]


def without_labels(part: dict[str, Any]) -> None:
    for label in ("dev.sandboxer.name", "dev.sandboxer.root"):
        part["labels"].pop(label)
    part["labels"].pop("dev.sandboxer.config", None)
    if "build" in part:
        part["build"].pop("labels")
    if not part["labels"]:
        del part["labels"]


@pytest.mark.parametrize("case", cases("accepted.yaml"), ids=lambda case: case["about"])
def test_what_a_compose_file_becomes(case: dict[str, Any]) -> None:
    hardened = run(case["compose"], policy_of(case))
    shown = json.loads(hardened.to_json())
    for service in shown["services"].values():
        without_defaults(service)
    for part in (*shown["services"].values(), *shown.get("networks", {}).values(), *shown.get("volumes", {}).values()):
        without_labels(part)
    text = json.dumps(shown)
    for bind in hardened.binds:  # by name, because a digest shows a reader nothing
        folder, name = os.path.split(bind.destination)
        shown_as, path = ("/RW", "bind-rw") if bind.writable else ("/AS", "bind-as") if bind.access else ("/RO", "bind")
        text = text.replace(folder, shown_as)
        assert bind.destination.startswith(f"/s/w/{path}/")
        assert name == (Path(bind.source).name or "tree")
    for digest in hardened.inputs.values():
        text = text.replace(digest, "INPUTS")
    for path in hardened.dockerfiles:
        text = text.replace(f"/s/w/{path}", "/DOCKERFILE")
    assert json.loads(text) == {"name": POLICY.project, **case["becomes"]}
    one_shot = [service.name for service in hardened.services if service.one_shot]
    assert one_shot == case.get("one_shot", [])


def compose_config(path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [DOCKER_COMPOSE, "-p", POLICY.project, "-f", path, "config", "--format", "json", *options]
    env = {"PATH": os.environ["PATH"], "HOME": str(path.parent)}
    return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("case", cases("accepted.yaml"), ids=lambda case: case["about"])
def test_compose_itself_takes_the_result_and_reads_it_as_it_was_meant(case: dict[str, Any], tmp_path: Path) -> None:
    hardened = run(case["compose"], replace(policy_of(case), workspace=str(tmp_path / "w")))
    for bind in hardened.binds:
        Path(bind.destination).parent.mkdir(parents=True, exist_ok=True)
        Path(bind.destination).write_text("delivered\n")
    file = tmp_path / "compose.json"
    file.write_bytes(hardened.to_json())
    result = compose_config(file)
    assert result.returncode == 0, result.stderr.decode()
    seen = json.loads(result.stdout)
    for name, service in hardened.model["services"].items():
        assert seen["services"][name]["labels"] == service["labels"]
        assert (seen["services"][name].get("environment") is None) == ("environment" not in service)
        limits = seen["services"][name]["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) == float(service["deploy"]["resources"]["limits"]["cpus"])
        assert not any("published" in port for port in seen["services"][name].get("ports", ()))


def test_the_canonical_form_of_compose_hardens_like_the_file_it_was_made_of(tmp_path: Path) -> None:
    policy = replace(POLICY, tree_dir=str(tmp_path), egress="allow", ports=(ReachablePort("http", "web", 80),))
    for path in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    text = """
services:
  web:
    build: ./app
    image: web:1
    container_name: fixed
    ports: ["8080:80"]
    restart: "no"
    environment: ["PRICE=$$5", "EMPTY="]
    volumes: ["./conf:/etc/conf:ro", "./up:/up", "data:/data", "/anonymous"]
    configs: [motd]
    secrets: [DB_PASSWORD]
    depends_on: [db]
    mem_limit: 512m
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  db: {image: "db:1", networks: {default: {aliases: [sql]}}, deploy: {resources: {limits: {cpus: "0.5"}}}}
configs: {motd: {content: "$$5"}}
secrets: {DB_PASSWORD: {environment: DB_PASSWORD}}
volumes: {data: {}}
"""
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    result = compose_config(file)
    assert result.returncode == 0, result.stderr.decode()
    canonical = harden(normalise(json.loads(result.stdout), str(tmp_path)), policy)
    raw = harden(normalise(yaml.safe_load(text), str(tmp_path)), policy)
    assert canonical.binds == raw.binds
    assert canonical.inputs == raw.inputs
    assert canonical.services == raw.services
    web = canonical.model["services"]["web"]
    assert web["environment"] == {"PRICE": "$$5", "EMPTY": ""}
    assert web["restart"] == "no"
    assert web["ports"] == [{"target": 80, "host_ip": "127.0.0.1", "protocol": "tcp"}]
    assert canonical.model["configs"] == raw.model["configs"] == {"motd": {"content": "$$5"}}


STACK: dict[str, Any] = {
    "services": {
        "web": {"image": "web", "volumes": ["./conf:/conf:ro"], "depends_on": ["db"]},
        "api": {"image": "api", "env_file": "web.env", "configs": ["motd"]},
        "db": {"image": "db:1", "secrets": ["DB_PASSWORD"], "volumes": ["./data:/data"]},
        "job": {"image": "job", "build": "./app"},
        "cron": {"image": "job"},
        "side": {"image": "side", "volumes_from": ["web"]},
        "idle": {"image": "idle"},
    },
    "secrets": {"DB_PASSWORD": {"external": True}},
    "configs": {"motd": {"content": "hello"}},
}


@pytest.mark.parametrize("text", ["*", "HOM*", "export *", "'A B'=c"])
def test_a_name_by_which_podman_would_hand_over_the_hosts_variables_is_refused(text: str) -> None:
    policy = replace(POLICY, podman=True, read=lambda _path: text.encode())
    with pytest.raises(ComposeRefused) as caught:
        harden(normalise({"services": {"web": {"image": "x", "env_file": "web.env"}}}, policy.tree_dir), policy)
    assert "is not the name of a variable" in caught.value.message


def changed(policy: Policy, model: dict[str, Any] = STACK) -> set[str]:
    before, after = run(STACK), run(model, policy)
    return {name for name in before.model["services"] if before.inputs.get(name) != after.inputs.get(name)}


@pytest.mark.parametrize(
    ("path", "users"),
    [
        ("conf/app.conf", {"web", "side"}),
        ("conf/more/deep.conf", {"web", "side"}),
        ("data/.keep", {"db"}),
        ("app/main.c", {"job", "cron"}),
        ("up/.keep", set()),
    ],
)
def test_a_changed_file_changes_the_inputs_of_exactly_the_services_that_use_it(path: str, users: set[str]) -> None:
    policy = replace(POLICY, entries={**POLICY.entries, path: TreeEntry(path, "another blob")})
    assert changed(policy) == users
    before, after = run(STACK).model["services"], run(STACK, policy).model["services"]
    assert {name for name in before if before[name] != after[name]} == users


def test_a_mode_that_changed_counts_as_content() -> None:
    entry = replace(POLICY.entries["conf/app.conf"], executable=True)
    assert changed(replace(POLICY, entries={**POLICY.entries, entry.path: entry})) == {"web", "side"}


def test_a_secrets_new_version_changes_the_inputs_of_its_users_alone() -> None:
    secret = DeliveredSecret("/s/w/secrets/2/DB_PASSWORD", 2)
    assert changed(replace(POLICY, secrets={"DB_PASSWORD": secret})) == {"db"}


def test_a_configs_new_content_changes_the_inputs_of_its_users_alone() -> None:
    model = copy.deepcopy(STACK)
    model["configs"]["motd"]["content"] = "goodbye"
    assert changed(POLICY, model) == {"api"}


def test_services_without_inputs_carry_no_such_label() -> None:
    assert "dev.sandboxer.inputs" not in run(STACK).model["services"]["idle"]["labels"]


def test_a_writable_folder_is_one_copy_for_all_that_mount_it_and_nothing_in_it_is_taken_from_there() -> None:
    volumes = {
        "a": ["./conf:/c"],
        "b": ["./conf:/c:ro"],
        "c": ["./conf/more:/m:ro"],
        "d": ["./up:/u"],
        "e": ["./data:/d"],
    }
    hardened = run({"services": {name: {"image": "x", "volumes": many} for name, many in volumes.items()}})
    source = {name: service["volumes"][0]["source"] for name, service in hardened.model["services"].items()}
    assert source["a"] == source["b"]
    assert source["c"].startswith("/s/w/bind/")
    assert source["d"].split("/")[:-1] != source["e"].split("/")[:-1], "equal contents, and yet two folders"
    assert {bind.source: bind.services for bind in hardened.binds} == {
        "conf": ("a", "b"),
        "conf/more": ("c",),
        "data": ("e",),
        "up": ("d",),
    }
    assert [bind.source for bind in hardened.binds if not bind.writable] == ["conf/more"]


def test_the_order_of_keys_in_the_file_does_not_matter() -> None:
    services = dict(reversed(STACK["services"].items()))
    assert run(STACK).to_json() == run(STACK | {"services": services}).to_json()


def test_podman_compose_is_given_configs_as_mounts() -> None:
    model = {"services": {"web": {"image": "x", "configs": ["c"]}}, "configs": {"c": {"file": "conf/app.conf"}}}
    hardened = run(model, replace(POLICY, podman=True))
    volume = hardened.model["services"]["web"]["volumes"][0]
    assert (volume["target"], volume["read_only"]) == ("/c", True)
    assert "configs" not in hardened.model


# --- whatever is fed in

KEYS = st.sampled_from((
    "privileged", "pid", "ipc", "network_mode", "devices", "cap_add", "security_opt", "volumes", "volumes_from",
    "image", "build", "ports", "deploy", "networks", "secrets", "configs", "env_file", "labels", "extra_hosts",
    "sysctls", "logging", "scale", "mem_limit", "cpus", "x-a", "depends_on", "post_start", "group_add", "type",
    "source", "target", "bind", "context", "dockerfile", "file", "external", "name", "driver", "limits", "resources",
))  # fmt: skip
WORDS = st.sampled_from(("host", "bind", "volume", "/", "./conf", "./conf:/x", "/etc:/x", "true", "web", "${X}", ""))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
WILD = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["web", "db"]), st.dictionaries(KEYS, VALUES) | VALUES, max_size=2)},
    optional=dict.fromkeys(("volumes", "networks", "secrets", "configs", "name", "x-y"), VALUES),
)

# What people write: each key with values that are taken, and after the bar one that must be refused or made harmless.
WRITTEN: dict[str, tuple[tuple[Any, ...], Any]] = {
    "privileged": ((False, None, "false"), True),
    "pid": (("service:db", None), "host"),
    "ipc": (("private", "shareable"), "host"),
    "network_mode": (("none", "service:db", None), "host"),
    "devices": (([], None), ["/dev/null"]),
    "container_name": (("one", "two"), "three"),
    "ports": ((["80:80"], [{"target": 80, "published": "80"}]), ["0.0.0.0:1:1"]),
    "cap_add": ((["CHOWN"], []), ["ALL"]),
    "mem_limit": (("1g", 5, -1, 0, "999999t", 1.5), "a lot"),
    "cpus": ((0.0001, "3", 99, -1), float("inf")),
    "pids_limit": ((5, -1, 99999), True),
    "deploy": (({"replicas": 2, "resources": {"limits": {"memory": "9t", "cpus": "9"}}}, {"mode": "global"}), [1]),
    "volumes": ((["./conf:/x"], ["./up:/y:ro", "data:/d"], ["/anon", "./out/more:/z"]), ["/:/host"]),
    "secrets": ((["DB_PASSWORD"], []), ["other"]),
    "configs": ((["motd"], []), ["other"]),
    "build": (("./app", {"context": "./app", "args": ["A=1"]}), {"context": "/"}),
    "networks": ((["back"], {"back": {"aliases": ["a"]}}, None), ["host"]),
    "env_file": (("web.env", [{"path": "nope", "required": False}]), "/etc/passwd"),
    "restart": (("no", "always"), "no"),
    "profiles": ((["a"], []), ["b"]),
    "labels": ((["a=b"], {"c": None}), {"dev.sandboxer.uid": "x"}),
    "runtime": ((None, ""), "kata"),
    "extra_hosts": ((["a:1.2.3.4"], {"b": "::1"}), ["h:host-gateway"]),
}


@st.composite
def written(draw: st.DrawFn) -> dict[str, Any]:
    """Return a stack as people write them; in one of three, one value of one service is a bad one."""
    services: dict[str, dict[str, Any]] = {"db": {"image": "db:1"}}
    for name in draw(st.sets(st.sampled_from(["web", "api"]), min_size=1)):
        keys = draw(st.sets(st.sampled_from(sorted(WRITTEN)), max_size=8))
        services[name] = {"image": "x", **{key: draw(st.sampled_from(WRITTEN[key][0])) for key in sorted(keys)}}
    if draw(st.integers(0, 2)) == 0:
        key = draw(st.sampled_from(sorted(WRITTEN)))
        services[draw(st.sampled_from(sorted(services)))][key] = WRITTEN[key][1]
    return {
        "services": services,
        "volumes": {"data": None},
        "networks": {"back": None, "host": {"external": True}},
        "secrets": {"DB_PASSWORD": {"file": "./conf/app.conf"}, "other": {"external": True}},
        "configs": {"motd": {"file": "./conf/app.conf"}, "other": {"external": True}},
    }


FORBIDDEN = {"privileged", "uts", "userns_mode", "devices", "runtime", "cgroup_parent", "container_name", "published",
             "driver", "external", "extends", "profiles", "gpus", "mem_limit", "cpus", "propagation"}  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=WILD | written(), podman=st.booleans())
def test_whatever_is_fed_in_is_refused_or_comes_out_safe(model: dict[str, Any], podman: bool) -> None:
    policy = replace(POLICY, podman=podman)
    try:
        hardened = run(model, policy)
    except ComposeRefused:
        return
    assert hardened.to_json() == run(model, policy).to_json()
    for service in hardened.model["services"].values():
        assert not FORBIDDEN & service.keys()
        assert service.get("network_mode", "none") == "none" or service["network_mode"].startswith("service:")
        assert 0 < float(service["deploy"]["resources"]["limits"]["cpus"]) <= 2
        assert 0 < int(service["deploy"]["resources"]["limits"]["memory"]) <= 1 << 30
        assert 0 < service["deploy"]["resources"]["limits"]["pids"] <= 512
        assert "ports" not in service
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                assert volume["source"].startswith(("/s/w/bind/", "/s/w/bind-rw/"))
                assert volume["bind"]["create_host_path"] is False
    for network in hardened.model.get("networks", {}).values():
        assert network["internal"] is True
        assert not {"external", "driver", "name"} & network.keys()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=WILD | written())
def test_normalising_twice_is_normalising_once(model: dict[str, Any]) -> None:
    once = normalise(model, POLICY.tree_dir)
    assert repr(normalise(once, POLICY.tree_dir)) == repr(once)
    try:
        hardened = harden(once, POLICY).model
    except ComposeRefused:
        return
    assert normalise(hardened, POLICY.tree_dir) == hardened
