"""A sandbox of the library has the operations of its client."""

from __future__ import annotations

import inspect

import pytest

from sandboxer import Client, Sandbox

# `find` and `get` are `refresh` here, and servers alone end what nobody resumes.
OTHERWISE = {"find", "get", "give_up", "create"}
OPERATIONS = [
    name
    for name, method in inspect.getmembers(Client, inspect.isfunction)
    if not name.startswith("_") and name not in OTHERWISE and "name" in inspect.signature(method).parameters
]


def test_there_are_operations_on_one_sandbox() -> None:
    assert {"wait", "resume", "shell", "copy_to", "copy_from", "forward_all"} <= set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_of_the_client_takes_the_same_values_without_the_name(name: str) -> None:
    of_client = dict(inspect.signature(getattr(Client, name)).parameters)
    of_sandbox = dict(inspect.signature(getattr(Sandbox, name)).parameters)
    del of_client["name"]
    assert of_sandbox.keys() == of_client.keys()
    # `logs` takes the services one by one here, and without any, all of them as there.
    for key, parameter in of_sandbox.items():
        defaults = (parameter.default, of_client[key].default)
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL and not all(map(inspect.isfunction, defaults)):
            assert defaults[0] == defaults[1], key
