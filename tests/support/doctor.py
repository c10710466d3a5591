"""Hosts for the doctor, and answers as they would give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.hosts.facts import HostFacts
from sandboxer.hosts.sections import Sections
from sandboxer.lifecycle.doctor import CheckedHost
from sandboxer.model.manifest import Host
from sandboxer.model.protocols import CommandResult

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from sandboxer.model.host_report import Check

DEBIAN_12 = "ID=debian\nVERSION_ID=12\nPRETTY_NAME=Debian 12"


def checked(
    root: str = "/tmp/sandboxer", *, tool: str | None = None, longest: timedelta | None = None, **spec: object
) -> CheckedHost:
    """Return a host called ``here``: this machine, unless ``spec`` describes another.

    ``tool`` is the Compose that a run requests, and ``longest`` the longest life of a sandbox.
    """
    given = {"connection": "local", "root": root} | spec
    host = Host.model_validate(
        {"apiVersion": "sandboxer.dev/v1", "kind": "Host", "metadata": {"name": "here"}, "spec": given}
    )
    return CheckedHost(host, "acme", tool, longest)


def facts_of(sections: dict[str, str], request: CheckedHost | None = None, **more: float) -> HostFacts:
    """Return facts as a host would report them; a key may be `name argument`."""
    request = request or checked()
    sections = {"system": DEBIAN_12, "login": "0 root", "requested-engine": request.runtime} | sections
    output = "".join(f"\n@n {name}\n{body}\n" for name, body in sections.items()) + "\n@n end\n"
    return HostFacts(request, Sections(output.encode(), "n"), CommandResult(0, output.encode(), b""), **more)


def only(checks: Iterator[Check]) -> Check:
    """Return the only check."""
    (check,) = checks
    return check
