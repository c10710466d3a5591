"""ext.dir-ssh: sandboxes as directories with a copy of the input's files to work in, on hosts without any engine."""

# Modules that change a host are imported when something is changed: a plan needs none of them.

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.hosts.observation import observe_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.extensions.capabilities import CopyMode, LiveSandbox
    from sandboxer.hosts.contents import Delivered, Listing
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container, HostObservation
    from sandboxer.model.protocols import Command, HostTransport, InputSource, InputTree, Terminal
    from sandboxer.model.record import Record
    from sandboxer.reconcile.drift_report import Contents


class DirSsh:
    """Backend for directories on any host with a shell. Everything of a sandbox is in its directory."""

    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Observe one host; see the Extension protocol."""
        return observe_host(transport, request)

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Create the sandbox, or bring it to what is desired; see the Extension protocol."""
        from sandboxer.extensions.dir_ssh.provision import provision

        return provision(operation, desired, fresh=fresh)

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        """Remove everything of the sandbox, its record last; see the Extension protocol."""
        from sandboxer.extensions.dir_ssh.provision import teardown

        teardown(operation, tombstone=tombstone)

    def exec(
        self,
        sandbox: LiveSandbox,
        container: Container | None,  # noqa: ARG002 - there are none
        command: Sequence[str],
        terminal: Terminal | None,
    ) -> Command:
        """Return the command that runs one in the working copy; see SupportsExec."""
        from sandboxer.extensions.dir_ssh.commands import exec_command

        return exec_command(sandbox, command, terminal)

    def copy(
        self,
        sandbox: LiveSandbox,
        container: Container | None,  # noqa: ARG002 - there are none
        mode: CopyMode,
        path: str,
    ) -> Command:
        """Return the command that copies out of the working copy, or into it; see SupportsCopy."""
        from sandboxer.extensions.dir_ssh.commands import copy_command

        return copy_command(sandbox, mode, path)

    def contents(
        self, transport: HostTransport, request: ObserveRequest, records: Sequence[Record], inputs: InputSource
    ) -> Mapping[str, Contents]:
        """Return what differs from the delivered files; see SupportsContents. The working copy is not compared."""
        from sandboxer.hosts.contents import compare_contents

        return compare_contents(transport, request, records, inputs, _delivered)


def _delivered(record: Record, listing: Listing, tree: InputTree, inputs: InputSource) -> Delivered:
    """Return what should be there: the whole tree, or nothing with ``workspace.mode: none``."""
    from sandboxer.hosts.contents import Delivered, whole_tree

    copied = record.spec.get("workspace", {}).get("mode") == "copy"
    return whole_tree(record, listing, tree, inputs) if copied else Delivered({})
