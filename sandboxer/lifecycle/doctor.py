"""The doctor: each host is checked separately, in parallel; whatever keeps one from answering is one more finding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, HostKeyRefused
from sandboxer.lifecycle.doctor_checks import diagnose
from sandboxer.lifecycle.doctor_facts import CheckedHost, Facts, ask
from sandboxer.model.host_report import Check, HostReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.model.protocols import HostTransport

__all__ = ["CheckedHost", "check_host", "check_hosts"]

AT_ONCE = 32


def check_hosts(patients: Sequence[CheckedHost], transport: Callable[[str], HostTransport]) -> list[HostReport]:
    """Check hosts, at most 32 at once; return a report for each, in the given order.

    Errors of a host are part of its report.
    """
    with ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(patients))), thread_name_prefix="doctor") as pool:
        return list(pool.map(lambda checked: check_host(checked, transport), patients))


def check_host(checked: CheckedHost, transport: Callable[[str], HostTransport]) -> HostReport:
    """Check one host, over one connection and in one command that changes nothing there."""
    try:
        facts = ask(checked, transport(checked.name))
    except HostError as error:
        name = "host key" if isinstance(error, HostKeyRefused) else "ssh"
        if checked.host.spec.connection == "local":
            name = "connection"
        return HostReport(checked.name, (Check(name, "error", error.message, error.hint),))
    checks = tuple(diagnose(facts))
    return HostReport(checked.name, checks if facts.sections.complete else (*checks, _broken_off(facts)))


def _broken_off(facts: Facts) -> Check:
    said = facts.result.stderr.decode("utf-8", "replace").strip().splitlines()
    words = f": {said[-1]}" if said else ""
    found = f"the host stopped answering halfway (exit code {facts.result.exit_code}){words}"
    return Check("answer", "error", found, "run `sandboxer doctor` again; if it stays so, look at the host's log")
