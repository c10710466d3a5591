"""ext.compose-ssh: sandboxes as compose projects, managed over one session with the host's shell."""

# Modules that change a host are imported when something is changed: a plan needs none of them.

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions.compose_ssh.engines import ENGINES
from sandboxer.extensions.compose_ssh.observe import engine_part
from sandboxer.hosts.observation import observe_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.extensions.capabilities import (
        CopyMode,
        ExpectRequest,
        HostChecks,
        Judgement,
        LiveSandbox,
        LogReader,
        LogRequest,
    )
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container, HostObservation
    from sandboxer.model.protocols import Command, HostTransport, InputSource, Terminal
    from sandboxer.model.record import Record
    from sandboxer.model.service_operation import ExpectedServices
    from sandboxer.reconcile.drift_report import Contents


class ComposeSsh:
    """Backend for Docker Compose and podman-compose on any host with a shell."""

    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Observe one host; see the Extension protocol."""
        return observe_host(transport, request, engine_part(request))

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Create the sandbox, or bring it to what is desired; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.provision import provision

        _must_have_engine(operation)
        return provision(operation, desired, fresh=fresh)

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        """Remove everything of the sandbox, its record last; see the Extension protocol."""
        from sandboxer.extensions.compose_ssh.teardown import teardown

        _must_have_engine(operation)
        teardown(operation, tombstone=tombstone)

    def logs(self, sandbox: LiveSandbox, request: LogRequest) -> LogReader:
        """Return the lines of the containers' logs, without secrets and sensitive values; see SupportsLogs."""
        from sandboxer.extensions.compose_ssh.hidden_logs import HiddenLogs

        if request.follow:
            from sandboxer.extensions.compose_ssh.follow import LogFollower

            return HiddenLogs(sandbox, LogFollower(sandbox, request))
        from sandboxer.extensions.compose_ssh.container_logs import ContainerLogs

        return HiddenLogs(sandbox, ContainerLogs(sandbox, request))

    def exec(
        self, sandbox: LiveSandbox, container: Container | None, command: Sequence[str], terminal: Terminal | None
    ) -> Command:
        """Return the command that runs one in a container, or in the workspace; see SupportsExec."""
        from sandboxer.extensions.compose_ssh.connect import exec_command

        return exec_command(sandbox, container, command, terminal)

    def copy(self, sandbox: LiveSandbox, container: Container | None, mode: CopyMode, path: str) -> Command:
        """Return the command that copies out of a container, or into it; see SupportsCopy."""
        from sandboxer.extensions.compose_ssh.connect import copy_command

        return copy_command(sandbox, container, mode, path)

    def addresses(self, sandbox: LiveSandbox, service: str, port: int) -> Sequence[tuple[str, int]]:
        """Return where the host reaches a port of a service; see SupportsAddresses."""
        from sandboxer.extensions.compose_ssh.connect import addresses

        return addresses(sandbox, service, port)

    def contents(
        self, transport: HostTransport, request: ObserveRequest, records: Sequence[Record], inputs: InputSource
    ) -> Mapping[str, Contents]:
        """Return what differs from the delivered files; see SupportsContents."""
        from sandboxer.extensions.compose_ssh.contents import delivered
        from sandboxer.hosts.contents import compare_contents

        return compare_contents(transport, request, records, inputs, delivered)

    def host_checks(self) -> HostChecks:
        """Return the checks of the engine and of Compose; see SupportsHostChecks."""
        from sandboxer.extensions.compose_ssh.host_checks import HOST_CHECKS

        return HOST_CHECKS

    def expected_services(self, request: ExpectRequest) -> ExpectedServices:
        """Return what an apply is expected to do with each service; see SupportsExpectedServices."""
        from sandboxer.extensions.compose_ssh.plan_review import expected_services

        return expected_services(request)

    def judge(self, sandboxes: Sequence[DesiredSandbox], inputs: InputSource) -> Mapping[str, Judgement]:
        """Return what is wrong with the compose files; see SupportsJudging."""
        from sandboxer.extensions.compose_ssh.judging import judge

        return judge(sandboxes, inputs)

    def removal_scripts(self) -> Sequence[str]:
        """Return the script that removes what containers wrote as root; see SupportsRemoval."""
        from sandboxer.extensions.compose_ssh.directory import REMOVAL_SCRIPTS

        return REMOVAL_SCRIPTS


def _must_have_engine(operation: Operation) -> None:
    """Raise ProvisionFailed for an engine that is not one of ours: on the host it is the name of a command."""
    host, engine = operation.target.host, operation.target.engine
    if engine not in ENGINES:
        found = f"{engine} is neither Docker nor Podman" if engine else "there is no engine"
        message = f"{operation.name} on {host}: {found}"
        raise ProvisionFailed(operation.name, message, hint=f"see `sandboxer doctor {host}`")
