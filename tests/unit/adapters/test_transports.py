"""Which transport a host gets, by the connection that its manifest names."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.adapters.ssh import SshTransport
from sandboxer.adapters.transports import Transports
from sandboxer.errors import HostUnreachable
from sandboxer.extensions.base import ObserveRequest
from sandboxer.extensions.dir_ssh.extension import DirSsh
from sandboxer.lifecycle.doctor import CheckedHost, check_host
from sandboxer.lifecycle.observe import observe_host
from sandboxer.model.manifest import Host
from sandboxer.model.observed import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MESSAGE = "Sandboxer has no transport for `connection: vsock` of here"


@pytest.fixture
def transports(tmp_path: Path) -> Iterator[Transports]:
    with closing(Transports(tmp_path)) as made:
        yield made


def host(**spec: str) -> Host:
    metadata = {"name": "here"}
    return Host.model_validate({"apiVersion": "sandboxer.dev/v1", "kind": "Host", "metadata": metadata, "spec": spec})


def test_the_connection_decides(transports: Transports, tmp_path: Path) -> None:
    assert isinstance(transports.to(host(connection="local")), LocalTransport)
    with closing(Transports(tmp_path)) as others:
        assert isinstance(others.to(host(connection="ssh", address="198.18.0.1")), SshTransport)


def test_a_connection_without_a_transport_is_an_error_of_that_host(transports: Transports) -> None:
    with pytest.raises(HostUnreachable) as caught:
        transports.to(host(connection="vsock", address="5"))
    assert (caught.value.host, caught.value.message) == ("here", MESSAGE)
    assert caught.value.hint == "set `connection: ssh` or `connection: local` on the Host"


def test_it_is_a_value_of_an_observation_and_a_finding_of_the_doctor(transports: Transports) -> None:
    there = host(connection="vsock")
    request = ObserveRequest("here", there.spec.root, "acme")
    seen = observe_host(request, lambda _name: transports.to(there), {"ext.dir-ssh": DirSsh()})
    assert isinstance(seen, Unreachable)
    assert (seen.error, seen.answered) == (MESSAGE, False)
    (check,) = check_host(CheckedHost(there, "acme"), lambda _name: transports.to(there)).checks
    assert (check.name, check.status, check.found) == ("connection", "error", MESSAGE)
