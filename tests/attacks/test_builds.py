"""Builds: the engine's builder reaches and reads nothing that the sandbox could not.

What is refused by reading the Dockerfile has its cases in ``tests/unit/test_dockerfile.py``; here is what a host shows.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("host", ["lab-1", "lab-4"], scope="module")]
