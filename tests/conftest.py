"""Shared fixtures: a lab of real hosts for a whole run, one for each process that runs tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab import Lab

# Set by the run's first process for its workers: its ID, from which their labs are named.
_RUN = "SANDBOXER_TEST_RUN"

# Modules that a run of one half of the tests need not import; each worker would, and it takes seconds.
_OTHER_HALF = {"lab": ("unit",), "not lab": ("attacks", "faults", "lab")}

# If one of their tests began last, every other process would wait for it.
_LONGEST = {"test_demo.py", "test_kill.py", "test_lost_connection.py"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Return whether to ignore a folder: one that contains nothing that ``-m`` selects, unless it is named."""
    chosen = {config.rootpath / "tests" / folder for folder in _OTHER_HALF.get(config.getoption("markexpr"), ())}
    return True if collection_path in chosen and config.args == config.getini("testpaths") else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with tests of a minute and more first, whatever the order of the others."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


def pytest_configure(config: pytest.Config) -> None:
    """Name this run."""
    if not _is_worker(config):
        os.environ[_RUN] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run's labs, also after Ctrl-C; a lab that existed before stays."""
    if not _is_worker(config):
        from tests.lab import lab, state

        run = f"test-{os.environ[_RUN]}"
        for name in state.names():
            if name == run or name.startswith(f"{run}-"):
                lab.remove(name)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Return three Docker hosts and a Podman host: the lab that ``SANDBOXER_LAB`` names, else one for this run.

    Tests cut cables and stop engines, so each of a run's processes (``-n``) has a separate lab. A test that breaks
    something repairs it. If no lab can run, the test fails with the reason.
    """
    from tests.lab import Lab, LabError, Process

    run, worker, given = os.environ[_RUN], os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("SANDBOXER_LAB")
    if given and worker:
        pytest.fail(f"the lab {given} cannot serve several processes: leave out -n, or SANDBOXER_LAB", pytrace=False)
    try:
        if given:
            return Lab.attach(given)
        name = f"test-{run}-{worker}" if worker else f"test-{run}"
        return Lab.up(name, owner=Process.of(int(run)), reuse=True)
    except LabError as error:
        pytest.fail(f"there is no lab: {error}", pytrace=False)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
