"""Names under ``egress: deny``: what the services and networks of a stack are given, so that no question leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.networks import creation
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Hardened, Policy

POLICY = Policy(
    sandbox="shop",
    project="sbx-shop-1f2e3d4c",
    workspace="/s/w",
    tree_dir="/s/w/tree/d",
    host_cpus=4.0,
    host_memory=8 << 30,
)


def run(model: dict[str, Any], policy: Policy) -> Hardened:
    return harden(normalise(model, policy.tree_dir), policy)


@pytest.mark.parametrize("podman", [False, True])
@pytest.mark.parametrize(
    ("declared", "options", "search"),
    [
        ({}, [], ["."]),
        ({"dns_opt": ["ndots:5", "rotate"], "dns_search": "a.test"}, ["ndots:5", "rotate"], ["a.test"]),
        ({"dns_opt": ["timeout:30", "attempts:9"], "dns_search": ["a.test", "b.test"]}, [], ["a.test", "b.test"]),
        ({"dns_opt": ["timeout:30"], "domainname": "a.test"}, [], ["."]),
    ],
)
def test_under_egress_deny_no_server_is_queried_for_outside_names(
    declared: dict[str, Any], options: list[str], search: list[str], podman: bool
) -> None:
    joined = {"image": "x", "network_mode": "service:a"}
    model = {"services": {"a": {"image": "x", **declared}, "b": joined, "c": {"image": "x", "network_mode": "none"}}}
    services = run(model, replace(POLICY, podman=podman)).model["services"]
    kept = options if podman or "ndots:5" in options else [*options, "ndots:1"]
    assert services["a"]["dns_opt"] == [*kept, "timeout:1", "attempts:1"]
    assert services["a"]["dns_search"] == search
    # podman-compose would put the server in the place of the one that knows the services' names.
    assert services["a"].get("dns") == (None if podman else ["192.0.2.1"])
    for name in ("b", "c"):
        assert not services[name].keys() & {"dns", "dns_opt", "dns_search"}
    model = {"services": {"a": {"image": "x", **declared}}}
    allowed = run(model, replace(POLICY, podman=podman, egress="allow")).model
    assert allowed["services"]["a"].get("dns_opt") == declared.get("dns_opt")
    assert (allowed["networks"]["default"].get("driver_opts") == {"isolate": "true"}) == podman


def test_a_network_is_made_on_podman_with_the_words_of_podman_compose() -> None:
    given_ = {"enable_ipv6": True, "labels": {"mine": "a $$b\nc"}, "internal": True, "driver_opts": {"mtu": 9}}
    name, words = creation("back", given_, "sbx-shop-1f2e3d4c")
    assert name == "sbx-shop-1f2e3d4c_back"
    assert words == [
        *("--label", "io.podman.compose.project=sbx-shop-1f2e3d4c"),
        *("--label", "com.docker.compose.project=sbx-shop-1f2e3d4c"),
        *("--label", "mine=a $b c"),
        *("--internal", "--opt", "mtu=9", "--ipv6"),
    ]
