"""What an apply is expected to do with each service: the printed lists of ``tests/cases/services/expected.yaml``.

``SANDBOXER_UPDATE_CASES=1`` writes the expected text; read the diff.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.extensions.compose_ssh.expected_operations import Version, expected_operations
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.labels import COMPOSE_SERVICE, LABEL_CONFIG, service_fields
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Policy
from sandboxer.model.observed import Container
from sandboxer.model.protocols import TreeEntry
from tests.support.cases import CASES, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

SITUATIONS: list[dict[str, Any]] = yaml.safe_load((CASES / "services/expected.yaml").read_text())
POLICY = Policy("shop", "sbx-shop-1f2e3d4c", "/s/workspace", "/s/workspace/tree/d", 4.0, 8 << 30, egress="allow")


def _version(situation: Mapping[str, Any]) -> Version:
    files: dict[str, str] = situation.get("files", {})
    links: dict[str, str] = situation.get("links", {})
    entries = {
        path: TreeEntry(path, hashlib.sha1(text.encode()).hexdigest(), path in situation.get("executable", ()))
        for path, text in files.items()
    }
    entries |= {path: TreeEntry(path, hashlib.sha1(to.encode()).hexdigest(), target=to) for path, to in links.items()}
    policy = replace(POLICY, entries=entries, read=lambda path: files[path].encode())
    model = {key: situation[key] for key in ("services", "networks") if key in situation}
    return Version(harden(normalise(model, policy.tree_dir), policy), entries)


def _changed(situation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the situation with what `now` changes of it."""
    result = dict(situation)
    for key, update in situation.get("now", {}).items():
        merged = {**situation.get(key, {}), **update} if isinstance(update, dict) else update
        result[key] = {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged
    return result


def _containers(former: Version, there: Mapping[str, Any]) -> list[Container]:
    found = []
    for name, service in former.hardened.model["services"].items():
        given = there.get(name, {})
        if given is None:
            continue
        labels = {COMPOSE_SERVICE: name, LABEL_CONFIG: f"as-applied-{service['labels'][LABEL_CONFIG][:4]}"}
        state, code = given.get("state", "running"), given.get("exit_code", 0)
        fields = service_fields(labels, name)
        found.append(
            Container(
                name,
                name,
                "docker",
                "image",
                given.get("image", "sha256:i1"),
                state,
                code,
                given.get("health"),
                labels,
                **fields,
            )
        )
    return found


def _printed(situation: Mapping[str, Any]) -> str:
    former, new = _version(situation), _version(_changed(situation))
    found = expected_operations(
        None if situation.get("new_life") else former,
        new,
        _containers(former, situation.get("there", {})),
        recorded={} if situation.get("new_life") else dict.fromkeys(former.hardened.model["services"], "sha256:i1"),
        replaced=situation.get("replaced", False),
        put_back=situation.get("put_back", False),
    )
    lines = [f"# {situation['case']}"]
    lines += [f"{one.service}: {one.action} {one.cause} {', '.join(one.details)}".rstrip() for one in found]
    return "\n".join(lines)


def test_what_an_apply_is_expected_to_do() -> None:
    compare("services/expected.txt", "\n\n".join(map(_printed, SITUATIONS)) + "\n")
