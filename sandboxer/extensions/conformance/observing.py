"""The rules of ``observe``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors import CommandTimeout, HostError, HostUnreachable, OutputTooLarge
from sandboxer.extensions.conformance.rule import demand
from sandboxer.extensions.conformance.transports import WatchedTransport
from sandboxer.hosts.observation import observe_host
from sandboxer.model.observed import Reachable
from sandboxer.model.record import parse_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.conformance.case import Case
    from sandboxer.model.protocols import Command, CommandResult


def observe_is_one_command(case: Case) -> None:
    """`observe` observes everything on the host with one command, which has a time limit."""
    case.provision(case.desired())
    transport = case.watched()
    case.observe(transport)
    demand(len(transport.scripts) == 1, f"it ran {len(transport.scripts)} commands")
    demand(0 < transport.timeouts[0] <= 300, f"its time limit is {transport.timeouts[0]:g} s")


def observe_writes_nothing(case: Case) -> None:
    """`observe` changes nothing on the host, with or without a sandbox there."""
    case.observe()
    demand(not case.view.entries(case.name), "it wrote to a host that has nothing of the fleet")
    case.provision(case.desired())
    before = case.view.entries(case.name)
    case.observe()
    changed = sorted(set(before.items()) ^ set(case.view.entries(case.name).items()))
    demand(not changed, f"it changed {changed[0][0] if changed else ''}")


def observe_sees_the_sandbox(case: Case) -> None:
    """`observe` returns the record that is on the host, and the sums of the delivered files as the record has them."""
    desired = case.desired()
    case.provision(desired)
    data = case.view.read(f"{case.folder(desired)}/record.json")
    written = parse_record(data, fleet=case.name, identifier=desired.id)
    observed = case.observed(desired)
    demand(observed.record == written, f"it returned {observed.record!r}, not {written!r}")
    demand(observed.conflict is None, f"record and labels are in conflict: {observed.conflict}")
    if written.workspace_files and observed.found and observed.found.files:
        files = observed.found.files
        recorded = (written.workspace_files.files, written.workspace_files.bytes, written.workspace_files.seconds)
        demand(
            (files.files, files.bytes, files.seconds) == recorded, f"it counts {files}, and the record has {recorded}"
        )


def observe_needs_no_command_beside_another_extension(case: Case) -> None:
    """With `request.known`, the observation of another extension, `observe` returns no less than without it."""
    desired = case.desired()
    case.provision(desired)
    alone = case.observe()
    known = observe_host(case.raw, case.request)  # as an extension observes it that has no part of its own
    request = replace(case.request, known=known if isinstance(known, Reachable) else None)
    beside = case.backend.observe(case.raw, request)
    demand(isinstance(beside, Reachable), f"it returned {beside!r}")
    if isinstance(beside, Reachable):
        demand(beside.found == alone.found, f"it found {dict(beside.found)!r}, and alone {dict(alone.found)!r}")


def failed_observation_is_an_error(case: Case) -> None:
    """A failed observation is never an empty one: an error of the transport is raised, or stated in `backend_error`."""
    case.provision(case.desired())
    for error in (HostUnreachable, CommandTimeout, OutputTooLarge):

        def fail(_command: Command, _run: object, error: type[HostError] = error) -> CommandResult:
            raise error(case.host, "the suite made this command fail")

        _fails(case, fail, f"the transport raised {error.__name__}")


def cut_observation_is_an_error(case: Case) -> None:
    """Truncated or garbled output is no observation: HostError is raised, or `backend_error` says so."""
    case.provision(case.desired())
    for tenths in range(10):

        def cut(_command: Command, run: Callable[[], CommandResult], tenths: int = tenths) -> CommandResult:
            result = run()
            return replace(result, stdout=result.stdout[: len(result.stdout) * tenths // 10], exit_code=137)

        _fails(case, cut, f"the output ended after {tenths} tenths")

    def garble(_command: Command, run: Callable[[], CommandResult]) -> CommandResult:
        return replace(run(), stdout=b"\0\xff garbage\n" * 100)

    _fails(case, garble, "the output was garbled")


def _fails(case: Case, answer: Callable[..., CommandResult], what: str) -> None:
    try:
        observation = case.backend.observe(WatchedTransport(case.raw, answer=answer), case.request)
    except HostError:
        return
    stated = isinstance(observation, Reachable) and (observation.error or observation.backend_error)
    demand(
        stated or not isinstance(observation, Reachable), f"{what}, and `observe` returned an observation without error"
    )
