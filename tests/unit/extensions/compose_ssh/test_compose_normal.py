"""Normalising: every short form becomes the long one that Compose itself prints."""

from __future__ import annotations

from typing import Any

import pytest

from sandboxer.extensions.compose_ssh.normal import normalise


def service(given: dict[str, Any], **options: bool) -> dict[str, Any]:
    result = normalise({"services": {"web": given}}, "/p/e2e", **options)["services"]["web"]
    if "networks" not in given:
        assert result.pop("networks") == {"default": None}
    return dict(result)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"build": "../app"}, {"build": {"context": "/p/app"}}),
        ({"build": {"args": ["A=1", "B"]}}, {"build": {"args": {"A": "1", "B": None}, "context": "/p/e2e"}}),
        ({"environment": ["A=1=2", "B", "C="]}, {"environment": {"A": "1=2", "B": None, "C": ""}}),
        ({"environment": {"A": 1, "B": True, "C": None}}, {"environment": {"A": "1", "B": "true", "C": None}}),
        ({"env_file": "a.env"}, {"env_file": [{"path": "/p/e2e/a.env", "required": True}]}),
        ({"labels": ["a=b"]}, {"labels": {"a": "b"}}),
        ({"depends_on": ["db"]}, {"depends_on": {"db": {"condition": "service_started", "required": True}}}),
        ({"networks": ["a"]}, {"networks": {"a": None}}),
        ({"secrets": ["pw"], "configs": ["c"]}, {"secrets": [{"source": "pw"}], "configs": [{"source": "c"}]}),
        ({"extra_hosts": ["a:::1", "b=1.2.3.4"]}, {"extra_hosts": ["a=::1", "b=1.2.3.4"]}),
        ({"extra_hosts": {"a": "1.2.3.4"}}, {"extra_hosts": ["a=1.2.3.4"]}),
        ({"tmpfs": "/run", "dns": "1.1.1.1", "expose": 80}, {"tmpfs": ["/run"], "dns": ["1.1.1.1"], "expose": ["80"]}),
        ({"volumes": ["/anon"]}, {"volumes": [{"type": "volume", "target": "/anon"}]}),
        ({"volumes": ["a:/b:nocopy"]},
         {"volumes": [{"type": "volume", "source": "a", "target": "/b", "volume": {"nocopy": True}}]}),
        ({"volumes": ["../c:/b:ro"]},
         {"volumes": [{"type": "bind", "source": "/p/c", "target": "/b", "read_only": True}]}),
        ({"volumes": ["~/x:/b"]}, {"volumes": [{"type": "bind", "source": "~/x", "target": "/b"}]}),
    ],
)  # fmt: skip
def test_a_short_form_becomes_the_long_one(short: dict[str, Any], long: dict[str, Any]) -> None:
    assert service(short) == long


def test_a_dollar_that_stands_for_itself_is_written_so_that_up_keeps_it() -> None:
    assert service({"environment": {"A": "$5"}}, literal=True) == {"environment": {"A": "$$5"}}
    assert service({"environment": {"A": "$$5"}}) == {"environment": {"A": "$$5"}}


def test_a_service_without_a_network_of_its_own_joins_none() -> None:
    assert normalise({"services": {"a": {"network_mode": "none"}}}, "/p")["services"]["a"] == {"network_mode": "none"}


def test_files_of_secrets_and_configs_start_from_the_project() -> None:
    model = {"secrets": {"a": {"file": "./a"}}, "configs": {"b": {"file": "../b"}}, "volumes": {"c": None}}
    assert normalise(model, "/p/e2e") == {
        "secrets": {"a": {"file": "/p/e2e/a"}},
        "configs": {"b": {"file": "/p/b"}},
        "volumes": {"c": {}},
    }


def test_what_was_given_is_left_as_it_was() -> None:
    given = {"services": {"web": {"build": ".", "labels": ["a=b"]}}}
    normalise(given, "/p")
    assert given == {"services": {"web": {"build": ".", "labels": ["a=b"]}}}
