"""The request of an imperative sandbox: the file beside its record, and the ID of a key."""

from __future__ import annotations

import pytest

from sandboxer.client.create import new_request
from sandboxer.model.request import SandboxRequest

NOTHING: dict[str, dict[str, str]] = {"inputs": {}, "labels": {}, "env": {}, "secret_refs": {}}


def _request(**given: object) -> SandboxRequest:
    values = {"ttl": None, "consumer": None, "hosts": (), "name": None, **NOTHING, **given}
    return new_request("profile.web", **values)  # type: ignore[arg-type]


def test_it_is_read_back_as_it_was_written() -> None:
    request = _request(env={"LEVEL": "débug"}, consumer="atm/checks", key="one", detached=True)
    assert request.to_bytes().count(b"\n") == 1, "a line, behind that of the record"
    assert SandboxRequest.parse(request.id, request.to_bytes()) == request


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"document":{}}', b'{"document":1,"requested":{"by":"x"}}', b"\xff"]
)
def test_what_is_no_such_thing_is_none(data: bytes) -> None:
    assert SandboxRequest.parse("0badcafe", data) is None


def test_one_key_is_one_sandbox_for_each_consumer() -> None:
    one, again = _request(key="k"), _request(key="k")
    assert (one.id, one.name, one.requested) == (again.id, again.name, again.requested)
    assert one.name == f"web-{one.id[:6]}"
    assert len({_request(key="k").id, _request(key="k", consumer="atm/checks").id, _request(key="l").id}) == 3
    assert _request(key="k").requested.body != _request(key="k", ttl="5m").requested.body


def test_without_a_key_each_is_another() -> None:
    one, other = _request(), _request()
    assert one.id != other.id
    assert one.requested.key is one.requested.body is None
