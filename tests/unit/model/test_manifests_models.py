"""What the models promise: defaults, conversions, and that they cannot be changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sandboxer.model.manifest import Fleet, Guards, Host, Profile, Sandbox
from sandboxer.model.quantity import LARGEST, LONGEST, format_duration, format_size, parse_duration, parse_size
from sandboxer.model.text import is_host_key

API = "sandboxer.dev/v1"


def make(model: type[Any], spec: dict[str, Any]) -> Any:
    document = {"apiVersion": API, "kind": model.__name__, "metadata": {"name": "x"}, "spec": spec}
    return model.model_validate(document, by_alias=True, by_name=False)


@given(st.integers(1, int(LONGEST.total_seconds())).map(lambda seconds: timedelta(seconds=seconds)))
def test_durations_come_back_from_their_text(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.integers(1, LARGEST))
def test_sizes_come_back_from_their_text(count: int) -> None:
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("8h", 28800), ("2d", 172800)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("text", ["", "1", "1 h", "-1h", "0h", "1.5h", "1h\n", "1w", "١h", "9999999999s", "3651d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "count"), [("1GiB", 1 << 30), ("512MiB", 512 << 20), ("1B", 1), ("3KiB", 3072)])
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text) == count
    assert format_size(count) == text


@pytest.mark.parametrize("text", ["", "1", "1G", "1GB", "1 GiB", "0GiB", "1.5GiB", "1GiB\n", "1025TiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


def test_a_host_has_the_defaults_of_the_contract() -> None:
    spec = make(Host, {"address": "h"}).spec
    assert (spec.connection, spec.root, spec.runtime) == ("ssh", "/tmp/sandboxer", "auto")
    assert (spec.port, spec.user, spec.identity_file, spec.host_key, spec.compose_command) == (None,) * 5
    assert (spec.cordon, spec.drain, spec.capacity.sandboxes) == (False, False, None)


def test_a_profile_has_the_defaults_of_the_contract() -> None:
    spec = make(Profile, {"extension": "e"}).spec
    assert (spec.isolation, spec.scope, spec.cost_class) == (None, "ephemeral", "self-hosted")  # the extension's
    assert (spec.network.egress, spec.network.ingress) == ("deny", "loopback")
    assert (spec.workspace.mode, spec.workspace.path) == ("copy", ".")
    assert (spec.compose.files, spec.compose.profiles, spec.compose.pull) == (("compose.yaml",), (), "missing")
    assert (spec.ttl.default, spec.ttl.max) == (timedelta(hours=4), timedelta(hours=24))
    assert (spec.resources.cpus, spec.resources.memory, spec.resources.pids) == (2, 1 << 30, 512)
    assert spec.readiness.timeout == timedelta(seconds=120)


def test_a_short_max_shortens_the_default_ttl() -> None:
    assert make(Profile, {"extension": "e", "ttl": {"max": "1h"}}).spec.ttl.default == timedelta(hours=1)


def test_a_sandbox_has_the_defaults_of_the_contract() -> None:
    spec = make(Sandbox, {"profile": "p"}).spec
    assert (spec.inputs.repo, spec.inputs.ref) == (".", "HEAD")
    assert (spec.ttl, spec.expires_at, spec.placement.hosts, spec.consumer) == (None,) * 4
    assert (spec.sync_policy.prune, spec.sync_policy.self_heal, spec.suspend) == (True, True, False)
    assert (spec.env, spec.secret_refs) == ({}, ())


def test_a_fleet_needs_only_its_name() -> None:
    fleet = Fleet.model_validate({"apiVersion": API, "kind": "Fleet", "metadata": {"name": "acme"}})
    assert (fleet.spec.guards.max_deletes, fleet.spec.guards.allow_empty) == (10, False)
    assert (fleet.spec.state_hub, fleet.spec.secrets.allow) == (None, ())


@pytest.mark.parametrize(("limit", "sandboxes", "most"), [(10, 3, 10), ("20%", 12, 2), ("0%", 9, 0), ("100%", 9, 9)])
def test_a_share_of_deletes_is_rounded_down(limit: int | str, sandboxes: int, most: int) -> None:
    assert Guards(max_deletes=limit).most_deletes(sandboxes) == most


@pytest.mark.parametrize("text", ["2026-12-01T00:00:00Z", "2026-12-01 01:00:00+01:00", "2026-11-30T19:00:00-05:00"])
def test_an_expiry_is_utc(text: str) -> None:
    expires = make(Sandbox, {"profile": "p", "expiresAt": text}).spec.expires_at
    assert expires == datetime(2026, 12, 1, tzinfo=UTC)
    assert expires.utcoffset() == timedelta(0)


def test_numbers_in_env_become_text() -> None:
    assert make(Sandbox, {"profile": "p", "env": {"PORT": 80, "RATE": 1.5}}).spec.env == {"PORT": "80", "RATE": "1.5"}


@pytest.mark.parametrize("repo", [".", "../checkout", "/srv/git/x.git", "https://h/x.git", "ssh://h/x", "git@h:x.git"])
def test_repositories_that_may_be_named(repo: str) -> None:
    assert make(Sandbox, {"profile": "p", "inputs": {"repo": repo}}).spec.inputs.repo == repo


@pytest.mark.parametrize(
    "repo",
    ["", "-x", "http://h/x", "git://h/x", "file:///x", "ext::sh", "EXT::sh", "HTTP://h/x", "a\nb", "https://u:p@h/x"],
)
def test_repositories_that_may_not(repo: str) -> None:
    with pytest.raises(ValidationError):
        make(Sandbox, {"profile": "p", "inputs": {"repo": repo}})


@pytest.mark.parametrize("name", ["a", "a" * 40, "a.b-c", "0", "deadbee", "deadbeef0"])
def test_names_that_may_be_given(name: str) -> None:
    document = {"apiVersion": API, "kind": "Sandbox", "metadata": {"name": name}, "spec": {"profile": "p"}}
    assert Sandbox.model_validate(document).metadata.name == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", ".a", "a_b", "a" * 41, "a\n", "deadbeef", "00000000", "ä"])
def test_names_that_may_not(name: str) -> None:
    document = {"apiVersion": API, "kind": "Sandbox", "metadata": {"name": name}, "spec": {"profile": "p"}}
    with pytest.raises(ValidationError):
        Sandbox.model_validate(document)


def test_a_manifest_cannot_be_changed() -> None:
    sandbox = make(Sandbox, {"profile": "p"})
    with pytest.raises(ValidationError, match="frozen"):
        sandbox.spec.ttl = timedelta(hours=1)


def test_a_manifest_survives_being_written_and_read() -> None:
    spec = {"profile": "p", "ttl": "8h", "env": {"A": "b"}, "secretRefs": [{"name": "S", "from": "env:S"}]}
    sandbox = make(Sandbox, spec)
    assert Sandbox.model_validate(sandbox.model_dump(mode="json")) == sandbox


def test_a_host_key_is_distinguished_from_a_lookalike() -> None:
    good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    assert is_host_key(good)
    assert is_host_key(good + " root@lab-1")
    assert not is_host_key("ssh-ed25519 AAAA...")
    assert not is_host_key(good.replace("ssh-ed25519", "ssh-rsa"))
