"""Creates a sandbox's directory, brings it in place to what is desired, and removes it: recorded first and last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions import records
from sandboxer.extensions.dir_ssh.directory import VERBS, WorkDirectory
from sandboxer.hosts.session import HostSession
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import named

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.record import Record


def provision(operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
    """Create the sandbox, or bring it to what is desired; ``fresh`` first removes what a former life left of it."""
    with HostSession(operation, *VERBS) as session:
        directory = WorkDirectory(operation, session)
        record = directory.observe_as_planned()
        if fresh and record is not None:
            _remove(directory, record, again=True)
            record = directory.observe()
        record = _begin(directory, desired, record)
        if operation.only_requested:
            return record
        with directory.noting_failure():
            return _bring_up(directory, desired, record)


def teardown(operation: Operation, *, tombstone: str | None = None) -> None:
    """Remove everything of a sandbox; ``tombstone``, the document's digest of an expired one, is kept."""
    with HostSession(operation, *VERBS) as session:
        directory = WorkDirectory(operation, session)
        record = directory.observe_as_planned()
        if record is not None:
            _remove(directory, record, tombstone, again=operation.again)


def _begin(directory: WorkDirectory, desired: DesiredSandbox, record: Record | None) -> Record:
    """Write the record of the operation to the host before anything else, and return it."""
    operation = directory.operation
    operation.progress("recording")
    if record is not None:
        return directory.rewrite(records.attempt(record, desired), Phase.PROVISIONING)
    request = desired.request.to_bytes() if desired.request else b""
    with operation.placing():
        return directory.begin(records.begin(operation, desired), request)


def _bring_up(directory: WorkDirectory, desired: DesiredSandbox, record: Record) -> Record:
    operation, tree, spec = directory.operation, desired.tree, desired.spec
    if tree is None:
        raise ProvisionFailed(desired.name, f"{named('sandbox', desired.name)} has no input: {desired.input_error}")
    directory.begin_step("deliver", "delivering")
    directory.bring(tree, all_of_it=spec["workspace"]["mode"] == "copy")
    directory.begin_step("secrets")
    sealed = records.sealed_for(record, desired)["secrets"]
    secrets = [directory.put_secret(one, sealed[one.name]["version"])[0] for one in desired.secrets]
    directory.put_variables(desired.env)
    directory.begin_step("start", "starting")
    directory.work(record, tree, spec["setup"].get("work", "replace"))
    files = directory.sums([f"tree/{tree.digest}", *secrets])
    return directory.rewrite(records.applied(record, desired, operation, workspace_files=files), Phase.READY)


def _remove(directory: WorkDirectory, record: Record, tombstone: str | None = None, *, again: bool = False) -> None:
    """Remove one life of the sandbox, its processes first and its record last; the caller holds its lock."""
    directory.begin_step("destroy", "destroying")
    with directory.noting_failure():
        record = directory.begin_removal(record, expired=tombstone is not None, again=again)
        directory.end_processes(record)
        if tombstone is not None:
            directory.put_tombstone(tombstone)
        directory.remove(record)
