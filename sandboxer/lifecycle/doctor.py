"""The doctor: each host is checked separately, in parallel; whatever keeps one from answering is one more finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import HostError, HostKeyRefused
from sandboxer.hosts.facts import CheckedHost, HostFacts, collect_facts
from sandboxer.hosts.parallel import on_hosts
from sandboxer.lifecycle.doctor_checks import diagnose
from sandboxer.model.host_report import Check, HostReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.extensions.capabilities import HostChecks
    from sandboxer.model.protocols import HostTransport

__all__ = ["CheckedHost", "check_host", "check_hosts"]


def check_hosts(
    hosts: Sequence[CheckedHost], transport: Callable[[str], HostTransport], backends: Sequence[HostChecks] = ()
) -> list[HostReport]:
    """Check hosts, at most 32 at once; return a report for each, in the given order.

    ``backends`` are the checks of the extensions that may have sandboxes there. Errors of a host are part of its
    report.
    """
    return on_hosts(lambda checked: check_host(checked, transport, backends), hosts, name="doctor")


def check_host(
    checked: CheckedHost, transport: Callable[[str], HostTransport], backends: Sequence[HostChecks] = ()
) -> HostReport:
    """Check one host, over one connection and in one command that changes nothing there."""
    try:
        facts = collect_facts(
            checked, transport(checked.name), [name for backend in backends for name in backend.scripts]
        )
    except HostError as error:
        name = "host key" if isinstance(error, HostKeyRefused) else "ssh"
        if checked.host.spec.connection != "ssh":
            name = "connection"
        return HostReport(checked.name, (Check(name, "error", error.message, error.hint),))
    checks = tuple(diagnose(facts, backends))
    return HostReport(checked.name, checks if facts.sections.complete else (*checks, _broken_off(facts)))


def _broken_off(facts: HostFacts) -> Check:
    lines = facts.result.stderr.decode("utf-8", "replace").strip().splitlines()
    words = f": {lines[-1]}" if lines else ""
    found = f"the host stopped answering halfway (exit code {facts.result.exit_code}){words}"
    return Check(
        "answer", "error", found, "run `sandboxer doctor` again, and check the host's log if the error persists"
    )
