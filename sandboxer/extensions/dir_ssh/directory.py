"""The directory of one sandbox on its host: its record, the delivered tree, and the copy to work in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import StaleChange
from sandboxer.extensions.recorded_directory import RecordedDirectory, is_whole
from sandboxer.hosts.escaping import escaped, standard_input
from sandboxer.model.observed import FileSums
from sandboxer.model.record import WorkspaceFiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.model.hidden import Hidden
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record

VERBS = ("files.sh", "delivery.sh", "sandboxer.extensions.dir_ssh:verbs.sh")
END_SECONDS = 60.0
COPY_SECONDS = 600.0


class WorkDirectory(RecordedDirectory):
    """The directory of one sandbox. Every write goes through the session, and so happens under the lock."""

    def observe(self) -> Record | None:
        """Return the record, now that nobody else may change it; None if there is none."""
        data = self.session.must("its record cannot be read", "record").output
        self.session.call("sweep", "")
        return self.take(data, self.session.call("journal_end").output)

    def observe_as_planned(self) -> Record | None:
        """Return the record, which must be what the plan was made from. Raise StaleChange if it is not."""
        record, operation = self.observe(), self.operation
        seen = (record.generation, record.uid) if record else (0, "")
        if seen != (operation.expected_generation, operation.expected_uid):
            message = f"{operation.name} on {operation.target.host} changed after the plan"
            raise StaleChange(operation.name, message, hint="plan again")
        return record

    def bring(self, tree: InputTree, *, all_of_it: bool) -> None:
        """Deliver the tree unless it is complete on the host; without ``all_of_it``, deliver an empty directory."""
        path = f"tree/{tree.digest}"
        entries = tree.entries.values() if all_of_it else ()
        found = self.files()
        if found is None or path not in found or not is_whole(found[path], entries):
            self.deliver(tree, None if all_of_it else ())

    def put_variables(self, values: Mapping[str, Hidden]) -> None:
        """Write what commands in the sandbox get as environment."""
        lines = [f"{name}={escaped(value.reveal())}" for name, value in sorted(values.items())]
        self.put("env", standard_input(lines))

    def work(self, record: Record, tree: InputTree, mode: str) -> None:
        """Create the working copy from a delivered tree, unless there is one; in mode ``keep``, one of any tree counts.

        Processes that run in a former copy are ended.
        """
        what = "its files cannot be copied to work in"
        self.session.must(what, "work", record.uid, tree.digest, mode, timeout=COPY_SECONDS)

    def sums(self, keep: list[str]) -> WorkspaceFiles | None:
        """Remove what was delivered and is not in ``keep``; return the sums of what stays, None if they are unknown."""
        found = self.tidy(keep)
        if found is None:
            return None
        total = next(iter(found.values()), FileSums())
        return WorkspaceFiles(files=total.files, bytes=total.bytes, seconds=total.seconds)

    def end_processes(self, record: Record) -> None:
        """End every process that was started in the sandbox. Raise ProvisionFailed if one stays."""
        self.session.must("its processes cannot be ended", "end", record.uid, timeout=END_SECONDS)
