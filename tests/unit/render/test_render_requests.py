"""A fault of a request names the options that it was made of, and points into no file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from sandboxer.cli.imperative import create
from sandboxer.client.create import new_request
from sandboxer.errors import ManifestError
from sandboxer.model.request import FILE
from sandboxer.profiles.loader import load
from sandboxer.render.errors import error_text
from sandboxer.render.requests import _OPTIONS, in_options
from tests.support.cases import piped

FLEET = [
    {"apiVersion": "sandboxer.dev/v1", "kind": "Fleet", "metadata": {"name": "acme"}, "spec": {}},
    {
        "apiVersion": "sandboxer.dev/v1",
        "kind": "Profile",
        "metadata": {"name": "e2e"},
        "spec": {"extension": "ext.compose-ssh"},
    },
]
NONE: dict[str, Any] = {
    "inputs": {},
    "ttl": None,
    "consumer": None,
    "labels": {},
    "env": {},
    "secret_refs": {},
    "hosts": [],
}


def refused(*, profile: str = "e2e", name: str | None = "web", **given: Any) -> ManifestError:
    """Return the error of a request with these options, as the library raises it."""
    request = new_request(profile, name, **{**NONE, **given})
    found = load({"sandboxer.yaml": yaml.safe_dump_all(FLEET).encode(), FILE: request.manifest()})
    return ManifestError([replace(one, message=request.named(one.message)) for one in found.diagnostics])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ttl": "soon"}, "`--ttl` is not a duration: `soon`"),
        ({"ttl": "999d"}, "`--ttl` is 999d, but e2e allows at most"),
        ({"inputs": {"repo": "file:///x"}}, "`--input repo=` has an unsupported scheme: `file://`"),
        ({"inputs": {"foo": "1"}}, "unknown key `foo` in `--input`"),
        ({"secret_refs": {"A": "env:A", "DB": "hunter2"}}, "`--secret DB=` must be a reference"),
        ({"secret_refs": {"DB": "env:X"}}, "`--secret DB=` refers to a secret that the Fleet does not allow"),
        ({"consumer": "x/y"}, "the actor of `--consumer` must be `adm` or `agt` or `atm`, found `x`"),
        ({"hosts": ["nope"]}, "`--host` refers to the Host `nope`, which does not exist"),
        ({"env": {"1": "2"}}, "a key of `--env` is not a variable name: `1`"),
        ({"labels": {"a%b": "2"}}, "a key of `--label` is not a valid label key: `a%b`"),
        ({"labels": {"a": "x\ny"}}, "`--label a=` must be one line of text"),
        ({"name": "BAD"}, "`--name` is not a valid name: `BAD`"),
        ({"profile": "nope"}, "`--profile` refers to the Profile `nope`, which does not exist"),
    ],
)
def test_a_fault_of_each_option_names_it(given: dict[str, Any], expected: str) -> None:
    text = piped(error_text(in_options(refused(**given))))
    assert expected in text
    assert "spec." not in text.replace("spec.secrets.allow", "")
    assert "(request)" not in text
    assert "-->" not in text


def test_each_of_the_options_is_one_of_create() -> None:
    existing = {option for parameter in create.params for option in parameter.opts}
    assert {option.removesuffix("=") for option in _OPTIONS.values()} <= existing


def test_what_is_wrong_with_the_fleet_keeps_its_place() -> None:
    found = load({"sandboxer.yaml": b"kind: Fleet\n", FILE: new_request("e2e", "web", **NONE).manifest()})
    text = piped(error_text(in_options(ManifestError(found.diagnostics))))
    assert "--> sandboxer.yaml:1:1" in text


def test_a_request_that_was_made_before_is_called_one() -> None:
    text = piped(error_text(refused(ttl="999d")))
    assert "--> the request\n" in text
    assert "manifests/" not in text
