"""A fleet's clients are of two releases at once: each continues from what the other writes on the hosts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import service, stack, until
from tests.support.former import FormerRelease, NotInHistoryError, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

HOSTS = ("lab-1", "lab-4")  # Docker, Podman
PLAN, LIST = ("plan", "-o", "json"), ("list", "-o", "json")
DRIFT, EVENTS = ("drift", "--deep", "-o", "json"), ("events", "web-lab-4", "-o", "json")


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> FormerRelease:
    """The release before this one."""
    try:
        return FormerRelease.install(tmp_path_factory.mktemp("former"))
    except NotInHistoryError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("reads", ["this-release-reads", "the-former-reads"])
def test_one_release_continues_from_what_the_other_left(
    new_fleet: Callable[..., FleetRepo], lab: Lab, former: FormerRelease, tmp_path: Path, reads: str
) -> None:
    fleet = new_fleet(*HOSTS)
    before = {host: lab.snapshot(host) for host in HOSTS}
    old = former.runs(fleet)
    writer, reader = old, fleet
    if reads == "the-former-reads":
        writer, reader = reader, writer
    saved = str(tmp_path / "plan.json")
    made = _write(writer, saved)
    kept = {host: fleet.ids(host) for host in HOSTS}
    uids = {host: fleet.record(host, f"torn-{host}")["uid"] for host in HOSTS}

    _assert_the_same_is_printed(fleet, old, PLAN, LIST, DRIFT, EVENTS)
    assert _reasons(reader.plan()) == {
        "brief": "no_op_because_expired",
        "web": "no_op_because_synced",
        "torn": "repair_because_interrupted",
        "changed": "update_because_changed",
    }
    applied = reader.apply(saved)
    assert _reasons(applied) == {"torn": "repair_because_interrupted", "changed": "update_because_changed"}
    for identifier in made["requested"]:
        assert json.loads(reader.run("resume", identifier, "-o", "json"))["phase"] == "ready"
    reader.run("extend-ttl", "made-lab-4", "10m")
    for host in HOSTS:
        assert fleet.record(host, f"torn-{host}")["uid"] == uids[host], "the same life"
        now = fleet.ids(host)
        assert {key for key, value in kept[host].items() if now.get(key) != value} == {f"changed-{host}/a"}
        assert fleet.inside(host, f"web-{host}", "a", "cat", "/data/file") == "mine\n"

    # And back again: what the reader wrote is nothing new to the writer.
    reader.assert_synced()
    assert writer.apply().changes == []
    _assert_the_same_is_printed(fleet, old, LIST)

    for path in (fleet.repo.path / "manifests").glob("*-lab-*.yaml"):
        path.unlink()
    fleet.commit()
    fleet.apply("--allow-empty")  # not the former: on Podman its deletes take the volumes of others
    reader.run("destroy", *made["made"], *made["requested"])
    assert {host: left for host in HOSTS if (left := lab.leaked(host, before[host]))} == {}


def _write(writer: FleetRepo, saved: str) -> dict[str, list[str]]:
    """Leave a tombstone, something ready, changed and interrupted, and a saved plan; return imperative ones' ids."""
    for host in HOSTS:
        writer.sandbox(f"brief-{host}", stack(a=service()), host=host, ttl="2s")
    writer.commit()
    writer.apply()
    until(lambda: {one["phase"] for one in json.loads(writer.run("list", "-o", "json"))} == {"expired"}, "their end")
    writer.prune("--expired-only")

    web = stack(
        a=service(volumes=["data:/data", "./conf:/conf:ro"], environment=["LEVEL=${LEVEL}"]),
        init=service("true", restart="no"),
    )
    for host in HOSTS:
        files = {"conf/a": "a\n"}
        writer.sandbox(f"web-{host}", web | {"volumes": {"data": None}}, host=host, files=files, env={"LEVEL": "a"})
        writer.sandbox(f"changed-{host}", stack(a=service()), host=host, ttl="2h")
        writer.sandbox(f"torn-{host}", stack(a=service()), host=host)
    writer.commit()
    writer.apply(*(f"--target={name}-{host}" for name in ("web", "changed") for host in HOSTS))
    made: dict[str, list[str]] = {"made": [], "requested": []}
    for host in HOSTS:
        writer.inside(host, f"web-{host}", "a", "sh", "-c", "echo mine >/data/file")
        words = ("create", "--profile", f"profile.changed-{host}", "--name", f"made-{host}", "--host", host)
        made["made"].append(json.loads(writer.run(*words, "--ttl", "1h", "-o", "json"))["id"])
        made["requested"].append(request(writer, f"requested-{host}", f"profile.changed-{host}", host))
        crash = {"SANDBOXER_CRASH_AT": "compose.before"}
        writer.run("apply", "-y", f"--target=torn-{host}", code=-9, env=crash)
    for host in HOSTS:
        writer.sandbox(f"changed-{host}", stack(a=service("sleep", "8888")), host=host, ttl="3h")
    writer.commit()
    writer.run("plan", "--out", saved)
    return made


def _reasons(result: Any) -> dict[str, str]:
    """Return the reason of each sandbox, which must be the same on both hosts."""
    found = {
        host: {name.removesuffix(f"-{host}"): why for name, why in result.reasons.items() if name.endswith(f"-{host}")}
        for host in HOSTS
    }
    assert found["lab-1"] == found["lab-4"], found
    return found["lab-1"]


def _assert_the_same_is_printed(fleet: FleetRepo, old: FleetRepo, *commands: tuple[str, ...]) -> None:
    """Of plans, handles, drift and journals: all that the release before prints, but for what counts and times the run.

    This release may print more keys, which readers tolerate.
    """
    for words in commands:
        before = _printed(old, *words)
        assert _shared(_printed(fleet, *words), before) == before, words


# What differs between two runs, and the prose for people, which the later release words otherwise.
_OF_ONE_RUN = {"connections", "commands", "message", "remedy", "warnings"}


def _printed(release: FleetRepo, *words: str) -> Any:
    printed = release.run(*words, code=None)
    try:
        document = json.loads(printed)
    except ValueError:  # a document a line
        document = [json.loads(line) for line in printed.splitlines()]
    return _without(document)


def _without(document: Any) -> Any:
    if isinstance(document, dict):
        kept = {key: value for key, value in document.items() if key not in _OF_ONE_RUN and "seconds" not in key}
        return {key: _without(value) for key, value in kept.items()}
    return [_without(one) for one in document] if isinstance(document, list) else document


def _shared(document: Any, before: Any) -> Any:
    """Return a document without the keys that the one before does not have at the same place."""
    if isinstance(document, dict) and isinstance(before, dict):
        return {key: _shared(value, before[key]) for key, value in document.items() if key in before}
    if isinstance(document, list) and isinstance(before, list) and len(document) == len(before):
        return [_shared(one, other) for one, other in zip(document, before, strict=True)]
    return document
