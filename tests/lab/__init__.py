"""A lab of real SSH hosts with real container engines, on one Linux machine.

Each host is a network, mount, PID, IPC and UTS namespace with a separate address, file system, OpenSSH server and
engine; nothing that happens on it reaches the machine, and everything on it ends with the lab::

    with Lab.up(docker=3, podman=1, owner=Process.me()) as lab:
        lab.ssh("lab-1", "docker ps")

``python -m tests.lab --help`` is the same for a shell.
"""

from __future__ import annotations

from tests.lab.errors import LabError
from tests.lab.host import LabHost
from tests.lab.image import IMAGE
from tests.lab.lab import Lab
from tests.lab.machine import unavailable
from tests.lab.processes import Process
from tests.lab.snapshot import Snapshot

__all__ = ["IMAGE", "Lab", "LabError", "LabHost", "Process", "Snapshot", "unavailable"]
