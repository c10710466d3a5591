"""What a backend may do beyond the Extension protocol, each as a protocol of its own.

A description declares them under ``capabilities.operations`` by the name of the method; the class then has it. A
command that needs one on a sandbox whose extension does not declare it fails and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.extensions.base import ObserveRequest
    from sandboxer.hosts.facts import HostFacts
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.host_report import Check
    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import Command, HostTransport, InputSource, Terminal
    from sandboxer.model.record import Record
    from sandboxer.model.service_operation import ExpectedServices
    from sandboxer.reconcile.drift_report import Contents
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox

CopyMode = Literal["out", "in", "kind"]


@dataclass(frozen=True, slots=True)
class LiveSandbox:
    """One sandbox on its host, as one observation showed it.

    ``root`` is the host's directory of all sandboxes. ``connect`` opens another connection to the host, closed at the
    end of its context. ``sensitive`` are the variables that its manifests list as sensitive.
    """

    name: str
    fleet: str
    root: str
    observed: ObservedSandbox
    record: Record
    connect: Callable[[], AbstractContextManager[HostTransport]]
    sensitive: frozenset[str] = frozenset()

    @property
    def directory(self) -> str:
        """The sandbox's own directory on the host."""
        return f"{self.root}/{self.fleet}/{self.observed.id}"

    @property
    def engine(self) -> str:
        """The engine that runs its containers, for messages; the extension's name where it needs none."""
        return self.record.engine or self.record.extension

    @property
    def services(self) -> Mapping[str, Sequence[Container]]:
        """The containers of each service, in any state, the first replica first; without a person's one-off ones."""
        found: dict[str, list[Container]] = {}
        for container in self.observed.containers:
            if not container.one_off and container.engine == self.record.engine:
                found.setdefault(container.service, []).append(container)
        return {name: sorted(found[name], key=lambda one: one.replica) for name in sorted(found)}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a sandbox's output: its service, the replica if there are several, and the bytes."""

    service: str
    replica: int | None
    data: bytes

    @property
    def source(self) -> str:
        """The container of the line: ``web``, or ``web-2`` of several."""
        return self.service if self.replica is None else f"{self.service}-{self.replica}"

    @property
    def text(self) -> str:
        """The line as text; what is not UTF-8 is replaced."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """The requested logs.

    ``services`` are those that the sandbox has (all without any), ``tail`` is the number of last lines (None: all).
    ``follow`` continues with what comes, until nothing of the sandbox runs any more.
    """

    services: frozenset[str] = frozenset()
    tail: int | None = None
    follow: bool = False
    timestamps: bool = False

    def takes(self, service: str) -> bool:
        """Return whether a service is requested."""
        return not self.services or service in self.services


class LogReader(Protocol):
    """Lines as they come. ``lines`` is for one thread, ``close`` for any."""

    def lines(self) -> Iterator[LogLine]:
        """Yield each line, however long it takes to arrive. Raise HostError, SandboxError."""

    def close(self) -> None:
        """End it, with everything that runs on the host for it. Idempotent."""


class SupportsLogs(Protocol):
    """``sandboxer logs``: ``for line in extension.logs(sandbox, LogRequest(tail=10)).lines(): …``."""

    def logs(self, sandbox: LiveSandbox, request: LogRequest) -> LogReader:
        """Return the lines of the sandbox's output; nothing is read before the first one is requested."""


class SupportsExec(Protocol):
    """``sandboxer ssh``: ``transport.stream(extension.exec(sandbox, None, ["make"], None))``."""

    def exec(
        self, sandbox: LiveSandbox, container: Container | None, command: Sequence[str], terminal: Terminal | None
    ) -> Command:
        """Return the command that runs ``command``, or a shell without one, in a container or where the files are.

        ``container`` is one that runs, None where no service was named. The standard input of the command is its
        parameters, and what the user types follows them. It exits with the exit code of what it ran, and terminates
        that when the connection ends. Raise UsageError where that is not possible.
        """


class SupportsCopy(Protocol):
    """``sandboxer cp``: ``transport.stream(extension.copy(sandbox, None, "out", "/results"))`` prints a tar."""

    def copy(self, sandbox: LiveSandbox, container: Container | None, mode: CopyMode, path: str) -> Command:
        """Return the command that copies what is at an absolute path in the container, or below the sandbox's files.

        ``out`` prints it as a tar in which it is the first entry (a link is followed); ``in`` unpacks into that
        directory the tar that follows the parameters on standard input; ``kind`` prints the first 512 bytes of what
        ``out`` prints, or nothing if the path does not exist. ``container`` is None where the sandbox has none. It
        fails with a reason on standard error.
        """


class SupportsAddresses(Protocol):
    """``sandboxer forward``: ``transport.tunnel(*extension.addresses(sandbox, "web", 80)[0])``."""

    def addresses(self, sandbox: LiveSandbox, service: str, port: int) -> Sequence[tuple[str, int]]:
        """Return where the host reaches a port of a service, best first; nothing where the service does not run."""


class SupportsContents(Protocol):
    """``sandboxer drift --deep``: ``extension.contents(transport, request, [record], inputs)[record.id].files``."""

    def contents(
        self, transport: HostTransport, request: ObserveRequest, records: Sequence[Record], inputs: InputSource
    ) -> Mapping[str, Contents]:
        """Return by id what differs from the delivered files in these sandboxes of one host, in one command.

        ``contents.compare_contents`` does it for files that were delivered as they are in the input. An error of one
        sandbox is part of its result. Raise HostError.
        """


@dataclass(frozen=True, slots=True)
class HostChecks:
    """A backend's part of a check of a host.

    ``scripts`` are shell files, by the names that ``scripts.script`` takes, run in the doctor's one command behind its
    own parts: they print sections, and change nothing. ``checks`` evaluate what was printed, in order. A section
    `disk-usage` has the commands that show what of the backend's fills the disk, for the doctor's own check of it.
    """

    scripts: tuple[str, ...]
    checks: tuple[Callable[[HostFacts], Iterator[Check]], ...]


class SupportsHostChecks(Protocol):
    """``sandboxer doctor``: ``for check in extension.host_checks().checks: report += check(facts)``."""

    def host_checks(self) -> HostChecks:
        """Return what this backend needs of a host, beyond what the core checks."""


@runtime_checkable
class SupportsRemoval(Protocol):
    """The end of an apply: ``host_command(…, "session.sh", *extension.removal_scripts(), "cleanup.sh", …)``."""

    def removal_scripts(self) -> Sequence[str]:
        """Return shell files that help to remove leftovers which the login may not remove, such as root's files.

        Each appends to `removers` the name of a function that takes a path; see `force_remove` in session.sh. Or it
        appends to `sweepers` one that removes what no record needs, such as images. The backend's own sessions load
        them too.
        """


@dataclass(frozen=True, slots=True)
class ExpectRequest:
    """A request for what will happen to the services of a sandbox, determined without its host.

    ``former`` is the sandbox as applied, None where it begins a new life: in place of the one that ``observed`` shows,
    or ``elsewhere``, where nothing of it is. ``local`` runs commands on this machine, None where a plan may run none.
    """

    former: DesiredSandbox | None
    desired: DesiredSandbox
    observed: ObservedSandbox
    inputs: InputSource
    elsewhere: bool = False
    local: HostTransport | None = None

    @property
    def engine(self) -> str:
        """The engine that has the sandbox; empty if it needs none, or if that is not known."""
        return self.observed.engine or ""


@runtime_checkable
class SupportsExpectedServices(Protocol):
    """``sandboxer plan``: ``change = replace(change, expected=extension.expected_services(request))``."""

    def expected_services(self, request: ExpectRequest) -> ExpectedServices:
        """Return what ``provision`` will do with each service, by the files of both commits and what was observed.

        It is for a reader of a plan; nothing depends on it. Where it cannot be known, the value has the reason.
        """


@dataclass(frozen=True, slots=True)
class ProfileFinding:
    """A finding about a key of a sandbox's profile, at a path such as ``("spec", "reachability", "ports", 0)``."""

    path: tuple[str | int, ...]
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a sandbox's input.

    ``diagnostics`` are findings in its files, whose locations are relative to the input's tree. Warnings prevent
    nothing; with an error, a host would refuse the sandbox.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    of_profile: tuple[ProfileFinding, ...] = ()


@runtime_checkable
class SupportsJudging(Protocol):
    """``sandboxer validate``, and every plan: ``extension.judge([desired], inputs)[desired.name].diagnostics``."""

    def judge(self, sandboxes: Sequence[DesiredSandbox], inputs: InputSource) -> Mapping[str, Judgement]:
        """Return by name what is wrong with the inputs of sandboxes, without contacting a host.

        Nothing that a host would accept may be an error. What only the host can decide, or what cannot be read, is
        no finding.
        """


class SupportsCost(Protocol):
    """Placement by cost, reserved: ``min(hosts, key=lambda host: extension.estimate_cost(desired, host))``."""

    def estimate_cost(self, desired: DesiredSandbox, host: Host) -> float:
        """Return what the sandbox would cost on a host in an hour, in a unit that all hosts share."""


CAPABILITIES: Mapping[str, type] = {
    "logs": SupportsLogs,
    "exec": SupportsExec,
    "copy": SupportsCopy,
    "addresses": SupportsAddresses,
    "contents": SupportsContents,
    "host_checks": SupportsHostChecks,
    "removal_scripts": SupportsRemoval,
    "expected_services": SupportsExpectedServices,
    "judge": SupportsJudging,
    "estimate_cost": SupportsCost,
}
