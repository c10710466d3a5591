"""Each value of a compose file has a grammar: what is more than its kind of word is refused, on both engines alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh import limits
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.limits import TABLE
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Policy
from sandboxer.model.protocols import TreeEntry
from sandboxer.model.text import printable

HOSTILE = Path(__file__).parents[3] / "cases" / "hostile"
POLICY = Policy(
    sandbox="shop",
    project="sbx-shop-1f2e3d4c",
    workspace="/s/w",
    tree_dir="/s/w/tree/d",
    host_cpus=4.0,
    host_memory=8 << 30,
    entries={path: TreeEntry(path, "blob") for path in ("web.env", "more.env", "Dockerfile")},
    read={"Dockerfile": b"FROM scratch\n"}.__getitem__,
    memory=1 << 30,
)

# What a word may not be, wherever it stands: `@` is the place of a value that would be fine.
TRICKS = (
    "-@", "--privileged", "-v/:/host", "@ x", " @", "@ ", "@\n", "@\nx", "\n@", "@\r", "@\x00", "@\t", "@,b", ",",
    "@=b", '@"', "@'", "@\\", "@\x1b[0m", "@\u200b", "@\u2028", "@\u202e", "＠", "@é", "@\u0430", "@\u00a0", "$@",
    "${HOME}", "@*", "@;id", "@|id", "`@`", "@" * 5000, "",
)  # fmt: skip
# Keys whose value is a word, with one that is fine.
WORDS: dict[str, Any] = {
    "cap_add": ["CHOWN"], "cap_drop": ["ALL"], "cpuset": "0", "dns_opt": ["ndots:2"], "dns_search": ["a"],
    "domainname": "a", "expose": ["80"], "extra_hosts": ["a=1.2.3.4"], "group_add": ["mail"], "hostname": "a",
    "ipc": "private", "links": ["db"], "mac_address": "02:42:ac:11:00:02", "network_mode": "none", "pid": "service:db",
    "platform": "linux", "restart": "always", "security_opt": ["no-new-privileges"], "shm_size": "64m",
    "stop_grace_period": "1m", "stop_signal": "SIGINT", "user": "1000", "volumes_from": ["db"], "cgroup": "private",
}  # fmt: skip


def run(service: dict[str, Any], *, podman: bool = False, policy: Policy = POLICY, **top: Any) -> dict[str, Any]:
    model = {"services": {"web": {"image": "web", **service}, "db": {"image": "db:1"}}, **top}
    return harden(normalise(model, policy.tree_dir), replace(policy, podman=podman)).model


def says(service: dict[str, Any], *, podman: bool = False, policy: Policy = POLICY, **top: Any) -> str:
    with pytest.raises(ComposeRefused) as caught:
        run(service, podman=podman, policy=policy, **top)
    assert len(caught.value.message) < 20_000
    message: str = caught.value.message
    assert printable(message.replace("\n", " "), 20_000) == message.replace("\n", " ")
    return message


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize("key", WORDS)
def test_a_word_is_no_more_than_its_kind_of_word(key: str, podman: bool) -> None:
    fine = WORDS[key]
    if (key, podman) == ("pid", True):
        assert "podman-compose" in says({key: fine}, podman=True)
    else:
        run({key: fine}, podman=podman)
    plain = fine[0] if isinstance(fine, list) else fine
    for trick in TRICKS:
        bad = trick.replace("@", plain)
        if bad == "" and not isinstance(fine, list):
            assert key not in run({key: bad}, podman=podman)["services"]["web"]
            continue
        assert f"services.web.{key}" in says({key: [bad] if isinstance(fine, list) else bad}, podman=podman), bad


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
def test_a_name_is_no_more_than_a_name(trick: str, podman: bool) -> None:
    name = trick.replace("@", "a")
    assert "services" in says({}, podman=podman, services={name: {"image": "web"}})
    assert "networks" in says({"networks": {name: None}}, podman=podman, networks={name: None})
    assert "aliases" in says({"networks": {"n": {"aliases": [name]}}}, podman=podman, networks={"n": None})
    mount = {"type": "volume", "source": name, "target": "/x"}
    assert "volumes" in says({"volumes": [mount]}, podman=podman, volumes={name: None})
    assert "secrets" in says({"secrets": [{"source": name}]}, podman=podman, secrets={name: {"file": "./web.env"}})
    assert "configs" in says({"configs": [{"source": name}]}, podman=podman, configs={name: {"file": "./web.env"}})
    assert "environment" in says({"environment": {name.replace("=", "\n"): "x"}}, podman=podman)
    if name not in ("$a", "${HOME}"):  # with a `$` it is refused too, but by another word
        assert "labels" in says({"labels": {name.replace("=", "\n"): "x"}}, podman=podman)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"volumes": [{"type": "tmpfs", "target": "/x", "tmpfs": {"size": "1m,suid"}}]}, "tmpfs.size"),
    ({"volumes": [{"type": "tmpfs", "target": "/x", "tmpfs": {"mode": "1777,dev"}}]}, "tmpfs.mode"),
    ({"tmpfs": ["/x:size=1m,source=/etc"]}, "services.web.tmpfs[0]"),
    ({"tmpfs": ["x"]}, "services.web.tmpfs[0]"),
    ({"tmpfs": ["/x:U"]}, "services.web.tmpfs[0]"),
    ({"tmpfs": ["/a/../x"]}, "services.web.tmpfs[0]"),
    ({"working_dir": "x"}, "services.web.working_dir"),
    ({"working_dir": "/proc/self/fd/8"}, "services.web.working_dir"),
    ({"working_dir": "/x/../proc/self/fd/8"}, "services.web.working_dir"),
    ({"working_dir": "//proc/1/root"}, "services.web.working_dir"),
    ({"working_dir": "/x\n"}, "services.web.working_dir"),
    ({"command": ["a\x00b"]}, "services.web.command"),
    ({"command": ["a", ["b"]]}, "services.web.command"),
    ({"command": {"a": "b"}}, "services.web.command"),
    ({"command": "echo \"open"}, "services.web.command"),
    ({"entrypoint": "echo \\"}, "services.web.entrypoint"),
    ({"command": ["x"] * 257}, "services.web.command"),
    ({"command": "x" * 40_000}, "services.web.command"),
    ({"entrypoint": ["\ud800"]}, "services.web.entrypoint"),
    ({"environment": {"A": "x" * 70_000}}, "services.web.environment"),
    ({"environment": {f"A{number}": "x" for number in range(257)}}, "services.web.environment"),
    ({"environment": {"A": "b\x00"}}, "services.web.environment.A"),
    ({"environment": {"*": "x"}}, "services.web.environment"),
    ({"labels": {"a": "b\x00"}}, "services.web.labels.a"),
    ({"labels": {"a": "x" * 9000}}, "services.web.labels"),
    ({"labels": {f"a{number}": "x" for number in range(65)}}, "services.web.labels"),
    ({"labels": {"Dev.Sandboxer.id": "x"}}, "set by Sandboxer"),
    ({"labels": {"PODMAN_SYSTEMD_UNIT": "x"}}, "set by Sandboxer"),
    ({"healthcheck": {"test": ["RUN", "x"]}}, "healthcheck.test"),
    ({"healthcheck": {"test": ["CMD"]}}, "healthcheck.test"),
    ({"healthcheck": {"test": ["CMD-SHELL", "a", "b"]}}, "healthcheck.test"),
    ({"healthcheck": {"test": "x", "interval": "soon"}}, "healthcheck.interval"),
    ({"healthcheck": {"test": "x", "interval": "1s --privileged"}}, "healthcheck.interval"),
    ({"healthcheck": {"test": "x", "retries": "many"}}, "healthcheck.retries"),
    ({"healthcheck": {"test": "x", "on_failure": "kill"}}, "healthcheck.on_failure"),
    ({"post_start": [{"command": "id", "user": "-u"}]}, "post_start[0].user"),
    ({"post_start": [{"command": "id", "environment": ["*"]}] * 17}, "post_start"),
    ({"pre_stop": [{"command": ["id"], "working_dir": "/proc/1"}]}, "pre_stop[0].working_dir"),
    ({"links": ["db:a:b"]}, "links[0]"),
    ({"links": ["nobody"]}, "no service"),
    ({"network_mode": "service:nobody"}, "no service"),
    ({"ipc": "service:nobody"}, "no service"),
    ({"pid": "service:host"}, "pid"),
    ({"volumes_from": ["db:z"]}, "volumes_from[0]"),
    ({"volumes_from": ["nobody"]}, "volumes_from[0]"),
    ({"expose": ["1-65535"]}, "services.web.expose"),
    ({"expose": ["1-50", "1-50", "1"]}, "services.web.expose"),
    ({"expose": ["80-70"]}, "services.web.expose[0]"),
    ({"expose": ["0"]}, "services.web.expose[0]"),
    ({"expose": ["99999"]}, "services.web.expose[0]"),
    ({"expose": ["80/tcp,udp"]}, "services.web.expose[0]"),
    ({"extra_hosts": ["a=1.2.3.4\n5.6.7.8 b"]}, "extra_hosts[0]"),
    ({"extra_hosts": ["a=fe80::1%eth0"]}, "extra_hosts[0]"),
    ({"extra_hosts": ["a=b"]}, "extra_hosts[0]"),
    ({"extra_hosts": [f"a{number}=1.2.3.4" for number in range(65)]}, "extra_hosts"),
    ({"depends_on": {"db": {"condition": "running"}}}, "depends_on.db.condition"),
    ({"group_add": ["keep-groups"]}, "group_add[0]"),
    ({"storage_opt": {"size": "1G,x"}}, "storage_opt.size"),
    ({"storage_opt": {"overlay.override": "x"}}, "storage_opt"),
    ({"logging": {"driver": "journald"}}, "the host's journal"),
    ({"logging": {"driver": "k8s-file"}}, "logging.driver"),
    ({"logging": {"options": {"max-size": "1m,path=/etc/x"}}}, "logging.options.max-size"),
    ({"logging": {"options": {"max-size": "0"}}}, "logging.options.max-size"),
    ({"logging": {"options": {"max-size": "-1"}}}, "logging.options.max-size"),
    ({"logging": {"options": {"max-file": "0"}}}, "logging.options.max-file"),
    ({"logging": {"options": {"tag": "a,path=/etc/x"}}}, "logging.options.tag"),
    ({"logging": {"options": {"mode": "x"}}}, "logging.options.mode"),
    ({"logging": {"options": {"path": "/etc/x"}}}, "logging.options.path"),
    ({"ulimits": "host"}, "services.web.ulimits"),
    ({"ulimits": {"rtprio": 99}}, "ulimits.rtprio"),
    ({"ulimits": {"nice": 40}}, "ulimits.nice"),
    ({"ulimits": {"nofile": "1:2"}}, "ulimits.nofile"),
    ({"ulimits": {"nofile": -2}}, "ulimits.nofile"),
    ({"ulimits": {"nofile=1:1,nproc": 5}}, "ulimits"),
    ({"ulimits": {"nofile": {"soft": 5, "more": 1}}}, "ulimits.nofile.more"),
    ({"sysctls": {"net.core.rmem_max": "1"}}, "sysctls.net.core.rmem_max"),
    ({"sysctls": {"net.ipv4.tcp_mem": "1 2 3"}}, "sysctls.net.ipv4.tcp_mem"),
    ({"sysctls": {"net.ipv4.conf.all.forwarding": "1"}}, "sysctls.net.ipv4.conf.all.forwarding"),
    ({"sysctls": {"net.netfilter.nf_conntrack_max": "9"}}, "sysctls"),
    ({"sysctls": {"net.ipv4.tcp_congestion_control": "bbr"}}, "sysctls"),
    ({"sysctls": {"net.core.somaxconn": "99999"}}, "sysctls.net.core.somaxconn"),
    ({"sysctls": {"net.core.somaxconn": "1\n"}}, "sysctls.net.core.somaxconn"),
    ({"sysctls": {"net.core.somaxconn": "1,kernel.core_pattern=x"}}, "sysctls.net.core.somaxconn"),
    ({"sysctls": {"net.ipv4.ip_local_port_range": "1"}}, "sysctls.net.ipv4.ip_local_port_range"),
    ({"sysctls": {"net/core/somaxconn": "1"}}, "sysctls"),
    ({"sysctls": {"net.core.somaxconn=1 --x": "1"}}, "sysctls"),
    ({"oom_score_adj": 1001}, "oom_score_adj"),
    ({"mem_swappiness": 101}, "mem_swappiness"),
    ({"cpu_shares": "many"}, "cpu_shares"),
    ({"init": "maybe"}, "services.web.init"),
    ({"tty": "yes"}, "services.web.tty"),
    ({"restart": "on-failure:x"}, "services.web.restart"),
    ({"deploy": {"restart_policy": {"condition": "-x"}}}, "restart_policy.condition"),
    ({"networks": {"n": {"interface_name": "e,ip=1"}}}, "interface_name"),
    ({"networks": {"n": {"priority": "1,x"}}}, "priority"),
    ({"secrets": [{"source": "s", "target": "a:/etc/x"}]}, "secrets[0].target"),
)  # fmt: skip


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize(("service", "where"), REFUSED, ids=lambda item: ascii(item)[:60])
def test_what_is_more_than_its_kind_of_value_is_refused(service: dict[str, Any], where: str, podman: bool) -> None:
    assert where in says(service, podman=podman, networks={"n": None}, secrets={"s": {"file": "./web.env"}})


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
def test_a_volume_within_a_volume_names_no_other_volume(podman: bool) -> None:
    for path in ("a,source=sbx-other-89abcdef_data", "../x", "a/../../x", "/etc", "a:b", 'a"b', "", "a\n", "-,b"):
        mount = {"type": "volume", "source": "d", "target": "/x", "volume": {"subpath": path}}
        assert "volume.subpath" in says({"volumes": [mount]}, podman=podman, volumes={"d": None}), path


@pytest.mark.parametrize(
    "name", ["img-opt-command", "labels-blind", "net-expose", "ns-pid-service_host", "log-buffer-huge", "img-13"]
)
@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
def test_the_given_stacks_are_refused_or_made_small(name: str, podman: bool) -> None:
    text = (HOSTILE / f"{name}.yaml").read_text().replace("GENERATE_500000", "x" * 500_000)
    model, policy = normalise(yaml.safe_load(text), POLICY.tree_dir), replace(POLICY, podman=podman)
    if name == "img-13":  # a name as any other: whether it was built for another sandbox is checked on the host
        assert harden(model, policy).model["services"]["web"]["image"] == "victim-secret:1"
    elif name == "log-buffer-huge":
        options = harden(model, policy).model["services"]["web"]["logging"]["options"]
        assert options.get("max-buffer-size", "16777216") == "16777216"
        assert options["max-size"] == "10485760"
    else:
        with pytest.raises(ComposeRefused):
            harden(model, policy)


# --- what is lowered rather than refused, and what stays as it is


@pytest.mark.parametrize(
    ("service", "key", "becomes"),
    [
        ({"stop_grace_period": "45m"}, "stop_grace_period", "300s"),
        ({"stop_grace_period": "1m30s"}, "stop_grace_period", "1m30s"),
        ({"shm_size": "64g"}, "shm_size", str(1 << 30)),
        ({"shm_size": "64m"}, "shm_size", "64m"),
        ({"tmpfs": ["/x"]}, "tmpfs", [f"/x:size={1 << 30}"]),
        ({"tmpfs": ["/x:size=90%,mode=1777,noexec"]}, "tmpfs", [f"/x:mode=1777,noexec,size={1 << 30}"]),
        ({"tmpfs": ["/x:size=64m,size=9g"]}, "tmpfs", [f"/x:size={64 << 20}"]),
        ({"cpu_shares": 262144}, "cpu_shares", 1024),
        ({"ulimits": {"nofile": -1}}, "ulimits", {"nofile": 1 << 20}),
        ({"ulimits": {"core": {}}}, "ulimits", {"core": {"soft": 0, "hard": 0}}),
        ({"ulimits": {"nofile": {"soft": 9_000_000, "hard": -1}}}, "ulimits",
         {"nofile": {"soft": 1 << 20, "hard": 1 << 20}}),
        ({"ulimits": {"memlock": {"soft": -1, "hard": -1}}}, "ulimits", {"memlock": {"soft": -1, "hard": -1}}),
        ({"ulimits": {"nofile": {"soft": -1, "hard": 64}}}, "ulimits", {"nofile": {"soft": 64, "hard": 64}}),
        ({"healthcheck": {"test": "x", "interval": "1ms"}}, "healthcheck", {"test": "x", "interval": "1s"}),
        ({"healthcheck": {"test": ["NONE", "x"]}}, "healthcheck", {"test": ["NONE"]}),
        ({"sysctls": ["net.ipv4.ip_local_port_range=1024 65000"]}, "sysctls",
         {"net.ipv4.ip_local_port_range": "1024 65000"}),
        ({"environment": {"HOME": None, "A": "", "b.c-d": "-x\n=,"}}, "environment", {"A": "", "b.c-d": "-x\n=,"}),
        ({"command": ["--privileged", "-v", "/:/host", 7]}, "command", ["--privileged", "-v", "/:/host", "7"]),
        ({"entrypoint": []}, "entrypoint", []),
        ({"restart": False}, "restart", "no"),
        ({"entrypoint": ""}, "entrypoint", ""),
        ({"init": "true"}, "init", True),
        ({"depends_on": {"elsewhere": {"condition": "service_started", "required": False}}}, "depends_on", {}),
    ],
    ids=lambda item: ascii(item)[:50],
)  # fmt: skip
def test_a_value_becomes(service: dict[str, Any], key: str, becomes: Any) -> None:
    assert run(service)["services"]["web"][key] == becomes


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
def test_a_variable_without_a_value_is_the_sandboxs_own_or_none(podman: bool) -> None:
    policy = replace(POLICY, variables={"GIVEN": "it's $5", "OTHER": "x"})
    service = run({"environment": ["GIVEN", "HOME", "PATH", "A=b"]}, podman=podman, policy=policy)["services"]["web"]
    assert service["environment"] == {"GIVEN": "it's $$5", "A": "b"}


@pytest.mark.parametrize(
    "tag",
    [
        "{{pad .Name 2000000000 0}}", "{{.Hostname}}", "{{.LogPath}}", "{{.ContainerEnv}}", "{{range .Config}}",
        "{{.Name",
        "{{.Name | json}}", "{{ .ID.X }}", "{{if .Name}}", "}}", "{", "{{{{.ID}}}}", "{{template .}}", "{{json .}}",
    ],
)  # fmt: skip
def test_a_logs_tag_holds_fields_and_calls_nothing(tag: str) -> None:
    assert "logging.options.tag" in says({"logging": {"options": {"tag": tag}}})


@pytest.mark.parametrize(
    "tag", ["app", "{{.Name}}", "a/{{.ImageName}}/{{ .ID }}-{{.FullID}}", "x {{.DaemonName}}:1", ""]
)
def test_an_everyday_tag_stays(tag: str) -> None:
    assert run({"logging": {"options": {"tag": tag}}})["services"]["web"]["logging"]["options"]["tag"] == tag


@pytest.mark.parametrize("text", ["x,io.podman.compose.project=other", 'a"b', "a,", '"a=b"'])
def test_a_volumes_label_is_no_list_of_labels_on_podman(text: str) -> None:
    top = {"volumes": {"d": {"labels": {"a": text}}}}
    assert "volumes.d.labels.a" in says({"volumes": ["d:/x"]}, podman=True, **top)
    assert run({"volumes": ["d:/x"]}, **top)["volumes"]["d"]["labels"]["a"] == text


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ulimits", {"rtprio": 99}), ("ulimits", {"nice": -20}), ("ulimits", "host"), ("ulimits", ["--privileged"]),
        ("ulimits", {"nofile": "1:2"}), ("ulimits", {"nofile": {"soft": "x"}}), ("shm_size", {"a": 1}),
        ("shm_size", "-1"), ("shm_size", "--x"), ("no_cache", "--x"), ("no_cache", [1]), ("target", "--privileged"),
        ("labels", {"--x": "1"}), ("labels", {"PODMAN_SYSTEMD_UNIT": "sshd.service"}),
        ("secrets", [{"source": "s", "target": "../x"}]), ("secrets", [{"source": "s", "target": "a,src=/etc/x"}]),
        ("secrets", [{"source": "s", "mode": "--x"}]), ("secrets", [{"source": "s", "uid": [1]}]),
        ("args", {"A,B": "1"}), ("args", {"--x": "1"}), ("args", {"A": ["x"]}),
    ],
    ids=lambda item: ascii(item)[:40],
)  # fmt: skip
def test_a_build_has_the_same_grammar(key: str, value: Any, podman: bool) -> None:
    service = {"build": {"context": ".", key: value}}
    assert f"services.web.build.{key}" in says(service, podman=podman, secrets={"s": {"file": "./web.env"}})


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
def test_what_a_build_may_use_is_limited_and_comes_from_the_sandbox(podman: bool) -> None:
    request = {
        "shm_size": "999g",
        "ulimits": {"nofile": 9_000_000},
        "args": ["OWN", "HOME", "A=", "B=$$1"],
        "no_cache": "true",
    }
    request["secrets"] = [{"source": "s", "target": "x", "uid": "0", "mode": 256}]
    policy = replace(POLICY, variables={"OWN": "it's $5"})
    top = {"secrets": {"s": {"file": "./web.env"}}}
    build = run({"build": {"context": ".", **request}}, podman=podman, policy=policy, **top)["services"]["web"]["build"]
    assert build["shm_size"] == str(1 << 30)
    assert build["ulimits"] == {"nofile": 1 << 20}
    assert build["args"] == {"OWN": "it's $$5", "A": "", "B": "$$1"}
    assert build["no_cache"] is True
    assert build["secrets"] == [{"source": "s", "target": "x"}]


def test_logs_have_an_end_whatever_the_file_contains() -> None:
    for given in (
        {},
        {"driver": "json-file"},
        {"driver": "local"},
        {"options": {"max-size": "99g", "max-file": "9999"}},
    ):
        options = run({"logging": given})["services"]["web"]["logging"]["options"]
        assert int(options["max-size"]) <= limits.LOG_SIZE.most
        assert int(options["max-file"]) <= limits.LOG_FILES.most
    on_podman = run({"logging": {"driver": "local", "options": {"max-file": "2", "mode": "non-blocking"}}}, podman=True)
    assert on_podman["services"]["web"]["logging"] == {"driver": "k8s-file", "options": {"max-size": "10485760"}}
    assert run({"logging": {"driver": "none", "options": {"max-file": "2"}}})["services"]["web"]["logging"] == {
        "driver": "none"
    }


@pytest.mark.parametrize(
    ("model", "where"),
    [
        ({"services": {f"s{n}": {"image": "x"} for n in range(65)}}, "services: services: there are 65"),
        ({"services": {f"s{n}": {"image": "x", "scale": 10} for n in range(11)}}, "there are 110"),
        ({"services": {"web": {"image": "x", "networks": [f"n{n}" for n in range(17)]}},
          "networks": {f"n{n}": None for n in range(17)}}, "there are 17"),
        ({"services": {"web": {"image": "x", "tmpfs": [f"/t{n}" for n in range(65)]}}}, "there are 65"),
        ({"services": {f"s{m}": {"image": "x", "volumes": [f"v{m}x{n}:/v{n}" for n in range(33)]} for m in (1, 2)},
          "volumes": {f"v{m}x{n}": None for m in (1, 2) for n in range(33)}}, "there are 66"),
        ({"services": {f"s{n}": {"image": "x", "command": "x" * 32_000} for n in range(40)}}, "the stack as it is run"),
        ({"services": {"a" * 64: {"image": "x"}}}, "64 characters"),
        ({"services": {"web": {"image": "x", "networks": ["n"]}},
          "networks": {"n": {"labels": {"a": "x" * 9000}}}}, "networks.n.labels"),
        ({"services": {"web": {"image": "x", "networks": ["n"]}},
          "networks": {"n": {"driver_opts": {"com.docker.network.driver.mtu": "1500,x"}}}}, "mtu"),
    ],
    ids=lambda item: ascii(item)[:40],
)  # fmt: skip
def test_a_stack_has_a_size(model: dict[str, Any], where: str) -> None:
    with pytest.raises(ComposeRefused) as caught:
        harden(normalise(model, POLICY.tree_dir), POLICY)
    assert where in caught.value.message


def test_every_limit_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[4] / "docs/manifests.md").read_text()
    for limit in TABLE:
        assert f"| {limit.what} | {limit.shown}" in text, limit.what
