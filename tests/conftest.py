"""What all tests share: one lab of real hosts for a whole run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab import Lab

# Set by the run's first process for its workers: its own id, after which their common lab is called.
_RUN = "SANDBOXER_TEST_RUN"


def pytest_configure(config: pytest.Config) -> None:
    """Names this run."""
    if not _is_worker(config):
        os.environ[_RUN] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the run's lab, also after Ctrl-C; a lab that was there before stays."""
    if not _is_worker(config):
        from tests.lab.lab import remove

        remove(_lab_of_run())


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Three Docker hosts and a Podman host: the lab that ``SANDBOXER_LAB`` names, else one for this run.

    A test that breaks something mends it. Where there can be no lab, the test fails with the reason.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail(
            "the lab's tests cut cables and stop engines: run them one after the other, without -n", pytrace=False
        )
    from tests.lab import Lab, LabError, Process

    try:
        if name := os.environ.get("SANDBOXER_LAB"):
            return Lab.attach(name)
        return Lab.up(_lab_of_run(), owner=Process.of(int(os.environ[_RUN])), reuse=True)
    except LabError as error:
        pytest.fail(f"there is no lab: {error}", pytrace=False)


def _lab_of_run() -> str:
    return f"test-{os.environ[_RUN]}"


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
