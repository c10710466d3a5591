"""The backend: the class that the entry point names, with the three methods of Sandboxer's protocol `Extension`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import CommandTimeout, HostUnreachable, OutputTooLarge, ProvisionFailed, SandboxerError
from sandboxer.extensions import records
from sandboxer.hosts.contents import compare_contents
from sandboxer.hosts.observation import observe_host
from sandboxer.model.lifecycle import Phase
from sandboxer_example_folder.folder import Folder
from sandboxer_example_folder.observe import FOLDER_PART

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.model.record import Record, WorkspaceFiles
    from sandboxer.reconcile.drift_report import Contents


class FolderBackend:
    """Sandboxes as directories. One instance serves all threads, so it keeps no state between calls."""

    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Observe the host. Raise a HostError if it cannot be observed in full."""
        return observe_host(transport, request, FOLDER_PART)

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Create the sandbox, or bring it to what is desired; return its record."""
        with Folder(operation) as folder:
            record = folder.observe_as_planned()
            if fresh and record is not None:
                folder.remove(record, again=True)
                record = None
            if record is None:
                request = desired.request.to_bytes() if desired.request else b""
                with operation.placing():  # meanwhile no other client creates it on another host
                    record = folder.begin(records.begin(operation, desired), request)
            else:
                record = folder.rewrite(records.attempt(record, desired), Phase.PROVISIONING)
            try:
                files = _deliver(folder, desired)
            except (HostUnreachable, CommandTimeout, OutputTooLarge):
                raise  # the session has ended: the next apply finds the attempt in the record, and repeats it
            except SandboxerError:
                folder.note_failure()
                raise
            return folder.rewrite(records.applied(record, desired, operation, workspace_files=files), Phase.READY)

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        """Remove the directory, its record last. Succeed if there is nothing to remove."""
        with Folder(operation) as folder:
            record = folder.observe_as_planned()
            if record is not None:
                folder.remove(record, tombstone=tombstone, again=operation.again)

    def contents(
        self, transport: HostTransport, request: ObserveRequest, records: Sequence[Record], inputs: InputSource
    ) -> Mapping[str, Contents]:
        """Return what differs from the delivered files, which are as in the input."""
        return compare_contents(transport, request, records, inputs)


def _deliver(folder: Folder, desired: DesiredSandbox) -> WorkspaceFiles:
    """Deliver the files of the commit, and the note of `setup` if the profile has one; return their sums."""
    tree = desired.tree
    if tree is None:
        raise ProvisionFailed(desired.name, f"{desired.name} has no input: {desired.input_error}")
    folder.operation.progress("delivering")
    folder.deliver(tree)
    note = desired.spec["setup"].get("note")
    if note is not None:
        folder.put("workspace/note.txt", f"{note}\n".encode())
    return folder.sums()
