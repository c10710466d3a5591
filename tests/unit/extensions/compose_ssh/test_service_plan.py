"""What happens to each service: the whole printed lists of the situations in ``tests/cases/services``.

``SANDBOXER_UPDATE_CASES=1`` writes the expected text; read the diff.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from sandboxer.extensions.compose_ssh.labels import (
    COMPOSE_IMAGE,
    COMPOSE_ONE_OFF,
    COMPOSE_SERVICE,
    LABEL_CONFIG,
    LABEL_INPUTS,
    service_fields,
)
from sandboxer.extensions.compose_ssh.service_plan import (
    DesiredService,
    ObservedStack,
    after_refusal,
    plan_services,
    what_changed,
)
from sandboxer.model.observed import Container
from sandboxer.model.service_operation import CAUSES, ServiceAction, ServiceOperation
from tests.support.cases import CASES, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

SITUATIONS: list[dict[str, Any]] = yaml.safe_load((CASES / "services/services.yaml").read_text())


def _container(number: int, given: Mapping[str, Any]) -> Container:
    labels = {COMPOSE_SERVICE: given["service"], LABEL_CONFIG: given.get("config", "c1")}
    labels |= {COMPOSE_IMAGE: given["compose_image"]} if "compose_image" in given else {}
    labels |= {COMPOSE_ONE_OFF: "True"} if given.get("one_off") else {}
    name, state = f"{given['service']}-{number}", given.get("state", "running")
    image, code, health = given.get("image", "i1"), given.get("exit_code", 0), given.get("health")
    fields = service_fields(labels, name)
    return Container(f"id{number}", name, "docker", "image", image, state, code, health, labels, **fields)


def _desired(name: str, given: Mapping[str, Any]) -> DesiredService:
    return DesiredService(
        name,
        given.get("config", "c1"),
        given.get("image", "i1"),
        given.get("replicas", 1),
        given.get("one_shot", False),
        frozenset(given.get("shares", ())),
        frozenset(given.get("restarts_with", ())),
    )


def _operations(situation: Mapping[str, Any]) -> tuple[ServiceOperation, ...]:
    given = list(enumerate(situation.get("there", ())))
    observed = ObservedStack(
        tuple(_container(number, one) for number, one in given),
        frozenset(situation.get("recorded", ())),
        frozenset(f"id{number}" for number, one in given if one.get("unpaused")),
        frozenset(situation.get("put_back", ())),
        situation.get("changed", {}),
        situation.get("replaced", False),
    )
    return plan_services(observed, [_desired(name, one) for name, one in situation["desired"].items()])


def _flat(given: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in given.items() if key != "service")


def _printed(situation: Mapping[str, Any]) -> str:
    lines = [f"# {situation['case']}"]
    lines += [f"there    {one['service']} {_flat(one)}".rstrip() for one in situation.get("there", ())]
    lines += [f"desired  {name} {_flat(one)}".rstrip() for name, one in situation["desired"].items()]
    more = {key: situation[key] for key in ("recorded", "put_back", "changed", "replaced") if key in situation}
    lines += [f"{key}: {value}" for key, value in more.items()]
    lines += [f"  -> {one.service}: {one.action} {one.cause} ({one.words})" for one in _operations(situation)]
    return "\n".join(lines) + "\n"


def test_each_situation_has_exactly_its_list() -> None:
    compare("services/services.txt", "\n".join(map(_printed, SITUATIONS)))


def test_every_action_and_every_cause_has_a_situation() -> None:
    operations = [one for situation in SITUATIONS for one in _operations(situation)]
    assert {one.action for one in operations} == set(get_args(ServiceAction))
    assert {one.cause for one in operations} == set(CAUSES) - {"refused"}  # only Docker reports that, no observation


def test_each_service_that_is_there_or_desired_is_listed_once() -> None:
    for situation in SITUATIONS:
        there = {one["service"] for one in situation.get("there", ()) if not one.get("one_off")}
        listed = [one.service for one in _operations(situation)]
        assert listed == sorted(there | situation["desired"].keys())


def test_what_docker_refused_to_start_is_recreated_and_nothing_else() -> None:
    before = [_container(number, {"service": name}) for number, name in enumerate(("a", "b", "done"))]
    now = [
        _container(0, {"service": "a", "state": "exited"}),
        before[1],
        _container(2, {"service": "done", "state": "exited"}),
        _container(9, {"service": "new", "state": "created"}),
    ]
    operations = (
        ServiceOperation("a", "start", "exited"),
        ServiceOperation("b", "keep", "unchanged"),
        ServiceOperation("done", "keep", "finished"),
        ServiceOperation("new", "create", "new"),
    )
    again = after_refusal(operations, before, now)
    assert again == (ServiceOperation("a", "recreate", "refused"), *operations[1:])
    assert after_refusal(operations, before, before) is None
    assert after_refusal(again, before, now) is None


# --- what changed since the last apply

BINDS = "/root/fleet/id/workspace/bind"


def _model(**keys: Any) -> dict[str, Any]:
    labels = {LABEL_CONFIG: keys.pop("config", "c"), LABEL_INPUTS: keys.pop("inputs", "i")}
    networks = {"default": keys.pop("network", {"internal": True})}
    secrets = {"KEY": {"file": keys.pop("secret", "/secrets/KEY.1")}}
    web = {"image": "busybox", "labels": labels, "networks": {"default": None}, "secrets": [{"source": "KEY"}], **keys}
    return {"services": {"web": web}, "networks": networks, "secrets": secrets}


def _mounted(digest: str, **keys: Any) -> dict[str, Any]:
    return _model(volumes=[{"source": f"{BINDS}/{digest * 64}/one.txt", "target": "/one.txt", **keys}])


@pytest.mark.parametrize(
    ("former", "now", "cause"),
    [
        (_model(), _model(config="other"), None),
        (_model(), _model(command=["true"]), "config"),
        (_mounted("a"), _mounted("b"), "files"),
        (_mounted("a"), _mounted("b", read_only=True), "config"),
        (_model(), _model(inputs="other"), "files"),
        (_model(), _model(inputs="other", secret="/secrets/KEY.2"), "secret"),
        (_model(), _model(network={}), "network"),
        (_model(), _model(network={}, command=["true"]), "config"),
        (None, _model(), None),
        ([], _model(), None),
        ({"services": []}, _model(), None),
        ({"services": {"web": {"labels": [], "secrets": 5, "networks": 5}}}, _model(), "config"),
        ({**_model(), "networks": "x"}, _model(), None),
    ],
)
def test_what_changed_is_read_from_the_file_of_the_last_apply(
    former: Any, now: dict[str, Any], cause: str | None
) -> None:
    assert what_changed(former, now, networks=True).get("web") == cause


def test_podman_compose_leaves_a_network_as_it_is() -> None:
    assert what_changed(_model(), _model(network={}), networks=False) == {}
