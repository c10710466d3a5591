"""Backends that hang, each in another way; ``NOTES`` is a file that gets the number of each process that does."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.model.protocols import Command
from sandboxer_example_folder.backend import FolderBackend

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.record import Record

NOTES = "CONFORMANCE_TEST_NOTES"


def hang() -> None:
    with Path(os.environ[NOTES]).open("a") as notes:
        notes.write(f"{os.getpid()}\n")
    while True:
        time.sleep(60)


class Hangs(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        hang()
        return super().provision(operation, desired, fresh=fresh)


class HangsInAThread(FolderBackend):
    """The thread that it waits for goes on when the wait is interrupted, and a Python that ends waits for it too."""

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        thread = threading.Thread(target=hang, daemon=False)
        thread.start()
        thread.join()
        return super().provision(operation, desired, fresh=fresh)


class HangsOnTheHost(FolderBackend):
    """A command on the host does not end: its number is noted, for it is a process of this machine."""

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        script = 'read -r notes; echo "$$" >>"$notes"; exec sleep 3600'
        operation.target.transport.run(Command(script, f"{os.environ[NOTES]}\n".encode(), timeout=3600))
        return super().provision(operation, desired, fresh=fresh)


class HangsWhateverHappens(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        while True:
            try:
                hang()
            except BaseException:  # noqa: BLE001 - that is its mistake
                continue


class EndsItsProcess(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        os._exit(3)
