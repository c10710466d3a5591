"""A sound backend with every capability, and backends that break the rule of one each.

The sound one is the built-in backend of directories, with what that lacks: no service, and so no output and no address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sandboxer.errors import SandboxerError
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.extensions.capabilities import HostChecks, Judgement
from sandboxer.extensions.dir_ssh.directory import WorkDirectory
from sandboxer.extensions.dir_ssh.extension import DirSsh
from sandboxer.model.service_operation import ExpectedServices, ServiceOperation
from sandboxer.reconcile.drift_report import Contents
from sandboxer_example_folder.backend import FolderBackend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.extensions.capabilities import CopyMode, ExpectRequest, LiveSandbox, LogLine, LogReader, LogRequest
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import Command, HostTransport, InputSource, Terminal
    from sandboxer.model.record import Record


class NoLines:
    def __init__(self) -> None:
        self.closed = 0

    def lines(self) -> Iterator[LogLine]:
        return iter(())

    def close(self) -> None:
        self.closed += 1


class Capable(DirSsh):
    def logs(self, sandbox: LiveSandbox, request: LogRequest) -> LogReader:
        return NoLines()

    def addresses(self, sandbox: LiveSandbox, service: str, port: int) -> Sequence[tuple[str, int]]:
        return ()

    def host_checks(self) -> HostChecks:
        return HostChecks((), ())

    def removal_scripts(self) -> Sequence[str]:
        return ("sandboxer.extensions.compose_ssh:cleaner.sh",)

    def expected_services(self, request: ExpectRequest) -> ExpectedServices:
        return ExpectedServices()

    def judge(self, sandboxes: Sequence[DesiredSandbox], inputs: InputSource) -> Mapping[str, Judgement]:
        return {desired.name: Judgement() for desired in sandboxes}

    def estimate_cost(self, desired: DesiredSandbox, host: Host) -> float:
        return 0.25


class JoinsTheWords(Capable):
    def exec(
        self, sandbox: LiveSandbox, container: Container | None, command: Sequence[str], terminal: Terminal | None
    ) -> Command:
        return super().exec(sandbox, container, ["sh", "-c", " ".join(command)], terminal)


class LeavesWhatRuns(Capable):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        with patch.object(WorkDirectory, "end_processes", lambda *_given: None):
            super().teardown(operation, tombstone=tombstone)


class FindsWhatIsNotThere(Capable):
    def copy(self, sandbox: LiveSandbox, container: Container | None, mode: CopyMode, path: str) -> Command:
        return super().copy(sandbox, container, mode, "/" if mode == "kind" else path)


class ClosesOnce(NoLines):
    def close(self) -> None:
        super().close()
        if self.closed > 1:
            raise SandboxerError("it is closed already")


class ClosesItsLogsOnce(Capable):
    def logs(self, sandbox: LiveSandbox, request: LogRequest) -> LogReader:
        return ClosesOnce()


class GuessesAnAddress(Capable):
    def addresses(self, sandbox: LiveSandbox, service: str, port: int) -> Sequence[tuple[str, int]]:
        return (("127.0.0.1", port),)


class LacksItsScript(Capable):
    def host_checks(self) -> HostChecks:
        return HostChecks(("tests.unit.extensions.conformance:missing.sh",), ())


class AppendsNoRemover(Capable):
    def removal_scripts(self) -> Sequence[str]:
        return ("sandboxer.extensions.compose_ssh:engine.sh",)


class ExpectsWhatDoesNotHappen(Capable):
    def expected_services(self, request: ExpectRequest) -> ExpectedServices:
        return ExpectedServices((ServiceOperation("web", "recreate", "config"),))


class RefusesWhatRuns(Capable):
    def judge(self, sandboxes: Sequence[DesiredSandbox], inputs: InputSource) -> Mapping[str, Judgement]:
        found = Judgement((Diagnostic("error", "bad-value", "it is refused", Location("file")),))
        return {desired.name: found for desired in sandboxes}


class CostsLessThanNothing(Capable):
    def estimate_cost(self, desired: DesiredSandbox, host: Host) -> float:
        return -super().estimate_cost(desired, host)


class TakesOtherParameters(FolderBackend):
    def contents(  # type: ignore[override]
        self, transport: HostTransport, request: ObserveRequest, sandboxes: Sequence[Record], inputs: InputSource
    ) -> Mapping[str, Contents]:
        return super().contents(transport, request, sandboxes, inputs)


class FindsNothingChanged(FolderBackend):
    def contents(
        self, transport: HostTransport, request: ObserveRequest, records: Sequence[Record], inputs: InputSource
    ) -> Mapping[str, Contents]:
        return {record.id: Contents() for record in records}


class HasWhatItDoesNotDeclare(FolderBackend):
    def addresses(self, sandbox: Any, service: str, port: int) -> Sequence[tuple[str, int]]:
        return ()
