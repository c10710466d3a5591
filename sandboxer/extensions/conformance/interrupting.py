"""The rules of interrupted, slow, concurrent and hostile work."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.errors import CommandTimeout, HostUnreachable
from sandboxer.extensions.conformance.inputs import HOSTILE, PWNED
from sandboxer.extensions.conformance.rule import RuleBroken, demand, skip
from sandboxer.extensions.conformance.subject import ENV_VALUE, SECRET_VALUE
from sandboxer.hosts.crash import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.errors import HostError
    from sandboxer.extensions.conformance.case import Case
    from sandboxer.model.desired import DesiredSandbox


def killed_provision_is_finished(case: Case) -> None:
    """Killed at any crash point, a provision is finished by the next apply: one life, ready, removable."""
    desired = case.desired()

    def provision() -> None:
        case.provision(desired)

    points = _crash_points(case, provision)
    case.teardown(desired)
    usual = set(case.view.entries(case.name))
    for point in points:
        case.renew_limit()
        _kill(case, provision, point)
        former = case.observed(desired)
        record = case.provision(desired)
        demand(not former.record or former.uid == record.uid, f"killed at {point}, the next apply began another life")
        _converges(case, desired, point, usual)


def killed_teardown_is_finished(case: Case) -> None:
    """Killed at any crash point, a teardown is finished by the next apply, which leaves nothing behind."""
    desired = case.desired()

    def teardown() -> None:
        case.teardown(desired)

    case.provision(desired)
    points = _crash_points(case, teardown)
    usual = set(case.view.entries(case.name))
    for point in points:
        case.renew_limit()
        case.provision(desired)
        _kill(case, teardown, point)
        if case.observed(desired).generation:
            case.teardown(desired)
            observed = case.observed(desired)
            demand(not (observed.found or observed.running), f"killed at {point}, something is left")
        case.provision(desired)
        _converges(case, desired, point, usual)


def lost_host_is_an_error(case: Case) -> None:
    """A connection that is lost during an operation raises an error, and the next apply resumes the operation."""
    _breaks_off(case, HostUnreachable)


def slow_host_is_an_error(case: Case) -> None:
    """A command that exceeds its time limit raises CommandTimeout; it is not retried silently."""
    _breaks_off(case, CommandTimeout)


def values_are_no_shell_text(case: Case) -> None:
    """Scripts are constant text: no name, id, path or value of a sandbox is in one, whatever it is run for."""
    desired, transport = case.desired(), case.watched()
    record = case.provision(desired, transport=transport)
    case.observe(transport)
    case.provision(case.desired(ref="second"), transport=transport)
    case.teardown(desired, transport=transport)
    values = [case.name, desired.id, record.uid, case.root, HOSTILE, SECRET_VALUE, ENV_VALUE]
    for value in values:
        demand(not any(value in script for script in transport.scripts), f"a script holds the value {value!r}")


def hostile_values_are_inert(case: Case) -> None:
    """File names, variables and secrets with quotes, spaces and `$(…)` are data: nothing in them is ever run."""
    desired = case.desired()
    case.provision(desired)
    case.observe()
    case.teardown(desired)
    found = case.view.pwned(PWNED)
    demand(not found, f"a command in a value was run: {', '.join(found)} appeared")


def secrets_are_not_on_record(case: Case) -> None:
    """The values of secrets and of the environment are in no record, journal, event, step, error or command line."""
    desired = case.desired()
    steps: list[str] = []
    record = case.provision(desired, progress=steps.append)
    folder = case.folder(desired)
    texts = {
        "record": record.to_bytes().decode() + case.view.read(f"{folder}/record.json").decode(),
        "journal": case.view.read(f"{folder}/journal.jsonl").decode(),
        "events": " ".join(event.to_line() for event in case.events),
        "progress": " ".join(steps),
    }
    for value in (SECRET_VALUE, ENV_VALUE):
        known = [
            where for where, text in texts.items() if value in text or value.encode("unicode_escape").decode() in text
        ]
        demand(not known, f"a value is in the {', '.join(known)}")
        demand(not case.view.processes(value), "a value is in the command line of a process")


def threads_do_not_disturb_each_other(case: Case) -> None:
    """One instance works on several sandboxes at once, and each gets its own uid, record and events."""
    both = [case.desired("one"), case.desired("two")]
    operations = [case.operation(desired) for desired in both]
    pool = ThreadPoolExecutor(2)
    try:
        tasks = [
            pool.submit(case.backend.provision, one, two, fresh=True) for one, two in zip(operations, both, strict=True)
        ]
        wait(tasks)
    finally:
        pool.shutdown(wait=False)  # a thread that hangs ends with the process
    records = [task.result() for task in tasks]
    demand(records[0].uid != records[1].uid, "both have one uid")
    for desired, record in zip(both, records, strict=True):
        demand(record.id == desired.id, f"{desired.name} was given the record of {record.name}")
        demand(case.record(desired).uid == record.uid, f"the host has another record of {desired.name}")
        uids = {event.uid for event in case.journal(desired)}
        demand(uids == {record.uid}, f"the journal of {desired.name} has events of {len(uids)} lives")


def _crash_points(case: Case, act: Callable[[], None]) -> list[str]:
    """Return the points that a run passes, found by a run that is not killed: all, or the middle of equal parts."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "points")
        code = case.in_child(act, **{VARIABLE: f"@{notes}"})
        demand(code == 0, "it failed in a process of its own, before anything was killed")
        points = notes.read_text(encoding="utf-8").split() if notes.exists() else []
    if not points:
        skip("the backend passes no crash point: it uses no HostSession")
    count = min(case.crash_points or len(points), len(points))
    return [points[(2 * part + 1) * len(points) // (2 * count)] for part in range(count)]


def _kill(case: Case, act: Callable[[], None], point: str) -> None:
    code = case.in_child(act, **{VARIABLE: point})
    demand(code is None, f"at {point} the run was to be killed, and exited with {code}")


def _converges(case: Case, desired: DesiredSandbox, point: str, usual: set[str]) -> None:
    """Demand that the sandbox is ready; remove it, and demand that no more is left than ``usual``."""
    demand(case.observed(desired).is_ready, f"killed at {point}, it is not ready after the next apply")
    numbers = [event.number for event in case.journal(desired)]
    demand(numbers == sorted(set(numbers)), f"killed at {point}, the journal has the numbers {numbers}")
    case.teardown(desired)
    left = sorted(set(case.view.entries(case.name)) - usual)
    demand(not left, f"killed at {point}, the host still has {', '.join(left)}")


def _breaks_off(case: Case, kind: type[HostError]) -> None:
    desired, steps = case.desired(), [0]
    error = kind(case.host, "the suite broke the connection off")
    for last in (1, 3, 5):
        steps[0] = 0

        def count(last: int = last) -> None:
            steps[0] += 1
            if steps[0] > last:
                raise error

        try:
            operation = case.operation(desired, transport=case.watched(count))
            case.backend.provision(operation, desired, fresh=not operation.expected_generation)
        except kind:
            pass
        else:
            if steps[0] > last:
                raise RuleBroken(f"{kind.__name__} was raised after {last} steps, and `provision` returned")
        case.provision(desired)
        case.teardown(desired)
        demand(case.observed(desired).found is None, f"broken off after {last} steps, something is left")
