"""Manifests to desired sandboxes: the profile merged in, the possible hosts named, changes shown by digests."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.errors import ManifestError
from sandboxer.extensions.base import REQUIRED_OPERATIONS
from sandboxer.model.desired import SecretValue
from sandboxer.model.identity import sandbox_id
from sandboxer.model.protocols import Revision
from sandboxer.profiles.loader import load
from sandboxer.profiles.resolve import digest_of_document, resolve
from tests.support.planning import COMMIT, FIRST_COMMIT, FLEET, FakeInputs, fleet_of

if TYPE_CHECKING:
    from sandboxer.model.protocols import InputTree

TIERED = {
    "a": {"labels": {"tier": "self-hosted", "region": "eu"}},
    "b": {"labels": {"tier": "self-hosted", "region": "us"}},
    "c": {"labels": {"tier": "cloud"}},
    "d": {},
}


def web(**case: Any) -> Any:
    return fleet_of({"sandboxes": {"web": {}}, **case}).sandboxes["web"]


def test_a_fleet_knows_where_its_commit_stands() -> None:
    fleet = fleet_of({"fleet": {"guards": {"maxDeletes": "20%", "allowEmpty": True}}, "git": {"dirty": True}})
    assert (fleet.name, fleet.commit, fleet.root_commit, fleet.dirty) == (FLEET, COMMIT, FIRST_COMMIT, True)
    assert (fleet.max_deletes, fleet.allow_empty, fleet.retired) == ("20%", True, frozenset())


def test_bad_manifests_are_no_fleet() -> None:
    with pytest.raises(ManifestError):
        resolve(
            load({"sandboxer.yaml": b"kind: Fleet"}),
            Revision({}),
            FakeInputs(),
            lambda r: SecretValue(r.name, "", False),
        )


def test_the_sandboxs_words_lie_over_the_profiles() -> None:
    profile = {"ttl": {"default": "2h", "max": "12h"}, "resources": {"cpus": 1.5}, "network": {"egress": "allow"}}
    plain = web(profile=profile)
    assert plain.spec["ttl"] == "2h"
    assert plain.spec["resources"] == {"cpus": 1.5, "memory": "1GiB", "pids": 512}
    assert plain.spec["network"] == {"egress": "allow", "ingress": "loopback"}
    assert plain.ttl is None
    own = web(profile=profile, sandboxes={"web": {"ttl": "8h"}})
    assert (own.spec["ttl"], own.ttl) == ("8h", timedelta(hours=8))


def test_an_end_stands_instead_of_a_ttl() -> None:
    desired = web(sandboxes={"web": {"expiresAt": "2026-12-01T01:00:00+01:00"}})
    assert desired.expires_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert desired.spec["expiresAt"] == "2026-12-01T00:00:00Z"
    assert "ttl" not in desired.spec


def test_environment_and_secrets_are_hidden_and_in_no_spec() -> None:
    desired = web(
        sandboxes={"web": {"env": {"LEVEL": "debug"}, "secretRefs": [{"name": "KEY", "from": "env:KEY"}]}},
        secrets={"KEY": "hunter2"},
    )
    assert "debug" not in repr(desired.env)
    assert "hunter2" not in repr(desired)
    assert desired.env["LEVEL"].reveal() == "debug"
    assert not {"env", "secrets", "secretRefs"} & desired.spec.keys()


def test_the_id_is_of_fleet_and_name() -> None:
    assert web().id == sandbox_id(FLEET, "web")


# --- where it may live


@pytest.mark.parametrize(
    ("placement", "own", "tiers"),
    [
        ({}, None, (("a", "b", "c", "d"),)),
        ({}, ["d", "a"], (("a", "d"),)),
        ({"prefer": [{"tier": "self-hosted"}]}, None, (("a", "b"),)),
        ({"prefer": [{"tier": "self-hosted", "region": "us"}]}, None, (("b",),)),
        (
            {"prefer": [{"region": "us"}, {"tier": "self-hosted"}], "fallback": [{}]},
            None,
            (("b",), ("a", "b"), tuple("abcd")),
        ),
        ({"prefer": [{"tier": "self-hosted"}], "fallback": [{"tier": "cloud"}]}, ["c"], (("c",),)),
        ({"prefer": [{"tier": "moon"}]}, None, ()),
        ({"fallback": [{"tier": "cloud"}]}, None, (("c",),)),
    ],
)
def test_tiers(placement: dict[str, Any], own: list[str] | None, tiers: tuple[tuple[str, ...], ...]) -> None:
    spec = {"placement": {"hosts": own}} if own else {}
    assert web(hosts=TIERED, profile={"placement": placement}, sandboxes={"web": spec}).tiers == tiers


def test_eligible_hosts_are_each_named_once_best_first() -> None:
    placement = {"prefer": [{"region": "us"}, {"tier": "self-hosted"}]}
    assert web(hosts=TIERED, profile={"placement": placement}).eligible == ("b", "a")


def test_where_it_was_allowed_in_the_parent_commit_is_known() -> None:
    desired = web(
        hosts={"a": {}, "b": {}},
        sandboxes={"web": {"placement": {"hosts": ["a"]}}},
        was={"hosts": {"a": {}, "b": {}, "gone": {}}, "sandboxes": {"web": {"placement": {"hosts": ["b", "gone"]}}}},
    )
    assert (desired.eligible, desired.formerly) == (("a",), ("b", "gone"))


def test_a_sandbox_that_is_new_was_nowhere() -> None:
    assert web(was={"sandboxes": {}}).formerly == ()


def test_a_host_that_is_gone_is_observed_by_its_last_manifest() -> None:
    fleet = fleet_of({"hosts": {"a": {}}, "was": {"hosts": {"a": {"root": "/old/a"}, "gone": {"root": "/old/gone"}}}})
    assert fleet.retired == {"gone"}
    assert {name: host.spec.root for name, host in fleet.hosts.items()} == {"a": "/tmp/sandboxer", "gone": "/old/gone"}


# --- digests


def test_comments_order_and_quotes_are_not_in_a_documents_digest() -> None:
    plain = b"apiVersion: sandboxer.dev/v1\nkind: Sandbox\nmetadata: {name: web}\nspec: {profile: e2e, ttl: 8h}\n"
    again = b"# why\nkind: 'Sandbox'\nspec:\n  ttl: '8h' # long\n  profile: e2e\nmetadata: {name: web}\n"
    again += b"apiVersion: sandboxer.dev/v1\n"
    other = plain.replace(b"8h", b"9h")
    first, second, third = (load({"manifests/x.yaml": text}).documents[0].value for text in (plain, again, other))
    assert digest_of_document(first) == digest_of_document(second) != digest_of_document(third)


def test_a_commit_that_changes_no_delivered_file_changes_no_digest() -> None:
    one, two = (web(sandboxes={"web": {"inputs": {"ref": f"v1-same-{number}"}}}) for number in (1, 2))
    assert one.tree.commit != two.tree.commit
    assert one.spec["workspace"] == two.spec["workspace"]


def test_an_unavailable_input_is_reported() -> None:
    desired = web(sandboxes={"web": {"inputs": {"repo": "../missing"}}})
    assert (desired.tree, desired.input_error) == (None, "../missing cannot be fetched")
    assert desired.spec["workspace"]["digest"] is None


def test_a_compose_file_that_is_not_in_the_tree_is_reported() -> None:
    desired = web(profile={"compose": {"files": ["compose.yaml", "more.yaml"]}})
    assert desired.tree is None
    assert desired.input_error.startswith("more.yaml, required by e2e, is missing in . at HEAD (")


class NoFiles(FakeInputs):
    """Repositories of which no folder has any file."""

    def resolve(self, *location: Any) -> InputTree:
        return replace(super().resolve(*location), entries={})


@pytest.mark.parametrize(
    ("extension", "compose", "missing"),
    [
        (
            "ext.compose-ssh",
            {},
            "compose.yaml, the default of ext.compose-ssh, is missing in . at HEAD, and e2e sets no compose.files",
        ),
        ("ext.compose-ssh", {"files": ["compose.yaml"]}, "compose.yaml, required by e2e, is missing in . at HEAD"),
        ("ext.compose-ssh", {"files": ["a.yaml", "b"]}, "a.yaml, b, required by e2e, are missing in . at HEAD"),
        ("ext.other", {}, None),
        ("ext.other", {"files": ["stack.yaml"]}, "stack.yaml, required by e2e, is missing in . at HEAD"),
    ],
)
def test_a_compose_file_that_no_profile_names_is_needed_by_the_shipped_backend_alone(
    extension: str, compose: dict[str, Any], missing: str | None
) -> None:
    files = {path: yaml.safe_dump(document).encode() for path, document in _other_backend(extension, compose).items()}
    fleet = resolve(load(files), Revision(files), NoFiles(), lambda r: SecretValue(r.name, "", False))
    error = fleet.sandboxes["web"].input_error
    assert (error and re.sub(r" \([0-9a-f]{12}\)", "", error)) == missing


def _other_backend(extension: str, compose: dict[str, Any]) -> dict[str, Any]:
    def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    can = {
        "isolation": ["container"],
        "scopes": ["ephemeral"],
        "connections": ["ssh"],
        "runtimes": ["docker"],
        "operations": list(REQUIRED_OPERATIONS),
    }
    return {
        "sandboxer.yaml": document("Fleet", FLEET, {}),
        "extensions/other.yaml": document("Extension", "ext.other", {"implementation": "other", "capabilities": can}),
        "profiles/e2e.yaml": document("Profile", "e2e", {"extension": extension, "compose": compose}),
        "manifests/web.yaml": document("Sandbox", "web", {"profile": "e2e"}),
    }
