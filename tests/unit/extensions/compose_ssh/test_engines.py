"""Hostile and broken output of engines: only the container that cannot be read is Unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.extensions.compose_ssh.engines import LONGEST, NAMED_LABELS, read_engine
from sandboxer.hosts.sections import Sections

if TYPE_CHECKING:
    from sandboxer.model.observed import EngineObservation

NONCE = "5" * 32
GOOD, BAD = "a" * 64, "b" * 64
OURS = {"dev.sandboxer.fleet": "acme", "dev.sandboxer.id": "0a0b0c0d", "com.docker.compose.project": "sbx-web"}
HUGE = "x" * 500_000


def _read(engine: str, *sections: tuple[str, str, bytes], stderr: bytes = b"") -> EngineObservation:
    output = b"".join(f"\n@{NONCE} {name} {argument}\n".encode() + body for name, argument, body in sections)
    observation = read_engine(engine, Sections(output, NONCE), stderr)  # type: ignore[arg-type]
    assert observation is not None
    return observation


def _client(engine: str, listed: list[Any], described: list[Any]) -> EngineObservation:
    def body(items: list[Any]) -> bytes:
        return b"\n".join(
            item if isinstance(item, bytes) else json.dumps(item, separators=(",", ":")).encode() for item in items
        )

    return _read(
        engine,
        ("engine", engine, b""),
        ("containers", engine, body(listed)),
        ("described", engine, body(described)),
        ("networks", engine, b""),
        ("volumes", engine, b""),
        ("engine-answered", engine, b""),
    )


def _api(containers: bytes) -> EngineObservation:
    return _read(
        "docker",
        ("engine", "docker", b""),
        ("api-containers", "docker", containers),
        ("next", "docker", b"[]"),
        ("next", "docker", b'{"Volumes":null}'),
        ("next", "docker", b""),
        ("engine-answered", "docker", b""),
    )


def _listed(identifier: str = GOOD, labels: Any = None, name: Any = "web-1") -> dict[str, Any]:
    return {"id": identifier, "name": name, "labels": OURS if labels is None else labels}


def _described(identifier: str = GOOD, **other: Any) -> dict[str, Any]:
    answer = {"id": identifier, "image": "busybox", "image_id": "sha256:00", "status": "running", "exit_code": 0}
    more = {"health": "", "labels": {"com.docker.compose.service": "web"}, "networks": [None], "ports": [None]}
    return answer | more | {"volumes": [None]} | other


def _from_api(identifier: str = GOOD, **other: Any) -> dict[str, Any]:
    answer = {"Id": identifier, "Names": ["/web-1"], "Image": "busybox", "ImageID": "sha256:00", "Labels": OURS}
    return answer | {"State": "running", "Status": "Up 2 minutes", "Ports": [], "Mounts": []} | other


def _assert_only_bad_is_unreadable(observation: EngineObservation) -> None:
    assert observation.error is None
    found = {container.id: container for container in observation.containers}
    assert found.keys() == {GOOD, BAD}
    assert (found[GOOD].state, found[GOOD].unreadable) == ("running", None)
    assert (found[BAD].state, bool(found[BAD].unreadable)) == ("unknown", True)
    assert found[BAD].labels == OURS


WHOLE = json.dumps(_described(BAD), separators=(",", ":")).encode()
BROKEN = {
    "not described": b"",
    "truncated": WHOLE[:-20],
    "cut in its first word": WHOLE[:80],
    "no JSON": WHOLE[:-1],
    "two objects in a line": WHOLE + WHOLE,
    "a NUL": WHOLE.replace(b"busybox", b"busy\0box"),
    "a line break": WHOLE.replace(b"busybox", b"busy\nbox"),
    "not UTF-8": WHOLE.replace(b"busybox", b"\xff\xfe"),
    "another container's words": WHOLE.replace(BAD.encode(), b"c" * 64),
    "nested too deeply": WHOLE.replace(b'"busybox"', b"[" * 50_000),
    "ports that are not ports": json.dumps(
        _described(BAD, ports=[["x/tcp", "", "y"], None]), separators=(",", ":")
    ).encode(),
    "an exit code that is not a number": json.dumps(_described(BAD, exit_code=None), separators=(",", ":")).encode(),
    "networks that are not names": json.dumps(
        _described(BAD, networks=[["one"], None]), separators=(",", ":")
    ).encode(),
    "labels that are a list": json.dumps(_described(BAD, labels=["x"]), separators=(",", ":")).encode(),
    "nothing but its id": b'{"id":"' + BAD.encode() + b'"}',
    "Go's word for what is not there": WHOLE.replace(b'"busybox"', b"<no value>"),
    "a forged section": b"\n@" + b"6" * 32 + b" engine-failed docker\n",
}


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_container_that_is_described_badly_is_unknown_by_itself(engine: str, broken: bytes) -> None:
    listed = [_listed(), _listed(BAD)]
    _assert_only_bad_is_unreadable(_client(engine, listed, [broken, _described()]))
    _assert_only_bad_is_unreadable(_client(engine, listed, [_described(), broken]))


BROKEN_API = {
    "no state": {"State": None, "Status": None},
    "a port that is not a number": {"Ports": [{"PublicPort": "x", "PrivatePort": 1, "Type": "tcp", "IP": ""}]},
    "ports that are a word": {"Ports": "ports"},
    "networks that are a list": {"NetworkSettings": {"Networks": ["x"]}},
    "mounts without a name": {"Mounts": [{"Type": "volume"}]},
}


@pytest.mark.parametrize("other", BROKEN_API.values(), ids=BROKEN_API)
def test_the_api_too_reports_one_that_cannot_be_read_by_itself(other: dict[str, Any]) -> None:
    _assert_only_bad_is_unreadable(_api(json.dumps([_from_api(), _from_api(BAD, **other)]).encode()))


@pytest.mark.parametrize(
    "labels", [{}, None, {"x": HUGE}, {"dev.sandboxer.fleet": HUGE}, {"com.docker.compose.project": 5}]
)
def test_a_stranger_is_a_name_and_nothing_of_it_is_kept(labels: Any) -> None:
    (seen,) = _api(json.dumps([_from_api(Labels=labels, Names=["/" + HUGE], Ports="x")]).encode()).containers
    assert (len(seen.name), seen.image, seen.state, seen.unreadable) == (LONGEST, "", "unknown", None)
    assert set(seen.labels) <= set(NAMED_LABELS)
    assert all(len(value) <= LONGEST for value in seen.labels.values())


def test_a_label_that_nothing_needs_is_not_kept() -> None:
    (seen,) = _api(json.dumps([_from_api(Labels=OURS | {"big": HUGE})]).encode()).containers
    assert seen.labels == OURS


@pytest.mark.parametrize("line", [b'{"id":"' + BAD.encode() + b'","name":', b'{"id":"' + BAD.encode() + b'"}'])
def test_a_listed_line_that_is_broken_is_a_strangers(line: bytes) -> None:
    observation = _client("podman", [_listed(), line], [_described()])
    assert [(c.id, c.name, dict(c.labels)) for c in observation.containers if c.id == BAD] == [(BAD, BAD, {})]
    assert observation.error is None


@pytest.mark.parametrize("answer", [b"", b"[", b"null", b"{}", b'[{"no": "id"}]', b"[" * 100_000, b"\0", b"\xff"])
def test_an_answer_that_is_none_is_no_emptiness(answer: bytes) -> None:
    assert (_api(answer).error or "").startswith("invalid response")


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        ("docker ps 137", "`docker ps` did not end in time, and was killed"),
        ("docker network 76", "`docker network` printed too much"),
        ("docker ps 1", "the command failed"),
        ("docker", "the command failed"),
    ],
)
def test_an_engine_that_fails_reports_the_reason(failed: str, reason: str) -> None:
    assert _read("docker", ("engine", "docker", b""), ("engine-failed", failed, b"")).error == reason


@pytest.mark.parametrize(
    ("stderr", "denied"),
    [
        (b"permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", True),
        (b"Error: open /run/user/1001/libpod: Permission denied", True),
        (b"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", False),
    ],
)
def test_an_engine_that_the_login_may_not_use_differs_from_one_that_is_down(stderr: bytes, *, denied: bool) -> None:
    seen = _read("docker", ("engine", "docker", b""), ("engine-failed", "docker ps 1", b""), stderr=stderr)
    assert (seen.error, seen.denied) == (stderr.decode(), denied)


# --- restarts, which Docker's API lists nowhere


def test_restarts_are_those_that_were_counted() -> None:
    counted = ("restarts", "docker", f"{GOOD} 3\n\n{BAD} many\n{BAD}\n".encode())
    items = [_from_api(GOOD), _from_api(BAD)]
    containers = ("api-containers", "docker", json.dumps(items).encode())
    found = _read("docker", ("engine", "docker", b""), containers, ("engine-answered", "docker", b""), counted)
    assert [container.restarts for container in found.containers] == [3, None]
