"""The doctor: each host examined by itself, side by side; what keeps one from answering is one more finding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, HostKeyRefused
from sandboxer.lifecycle.doctor_checks import diagnose
from sandboxer.lifecycle.doctor_facts import Facts, Patient, ask
from sandboxer.model.checkup import Check, Checkup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.model.seams import HostTransport

__all__ = ["Patient", "examine", "examine_all"]

AT_ONCE = 32


def examine_all(patients: Sequence[Patient], transport: Callable[[str], HostTransport]) -> list[Checkup]:
    """Examines hosts, at most 32 at once; gives a checkup for each, in the order given. Raises nothing of a host's."""
    with ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(patients))), thread_name_prefix="doctor") as pool:
        return list(pool.map(lambda patient: examine(patient, transport), patients))


def examine(patient: Patient, transport: Callable[[str], HostTransport]) -> Checkup:
    """Examines one host, over one connection and in one command that changes nothing there."""
    try:
        facts = ask(patient, transport(patient.name))
    except HostError as error:
        name = "host key" if isinstance(error, HostKeyRefused) else "ssh"
        if patient.host.spec.connection == "local":
            name = "connection"
        return Checkup(patient.name, (Check(name, "error", error.message, error.hint),))
    checks = tuple(diagnose(facts))
    return Checkup(patient.name, checks if facts.sections.complete else (*checks, _broken_off(facts)))


def _broken_off(facts: Facts) -> Check:
    said = facts.result.stderr.decode("utf-8", "replace").strip().splitlines()
    words = f": {said[-1]}" if said else ""
    found = f"the host stopped answering halfway (exit code {facts.result.exit_code}){words}"
    return Check("answer", "error", found, "run `sandboxer doctor` again; if it stays so, look at the host's log")
