"""Traces as the command line sends them: whole runs, and that no collector ever changes what a run comes to."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.collector import PARENT, Collector
from tests.support.hubs import HANGS, says
from tests.support.unreachable import unreachable_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gitrepo import GitRepo


@pytest.fixture
def fleet(tmp_path: Path) -> GitRepo:
    return unreachable_fleet(tmp_path / "fleet")


def run(fleet: GitRepo, *words: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in the fleet's folder; ``code`` is Python that runs before it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TRACE"))}
    start = f"import sys\n{code}\nfrom sandboxer.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", start, "-C", str(fleet.path), *words],
        env={**kept, "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_apply_comes_to_the_collector_whole(fleet: GitRepo) -> None:
    with Collector() as collector:
        done = run(fleet, "apply", "-y", TRACEPARENT=PARENT, **collector.environment)
        spans = {span.name: span for span in collector.spans}
    assert done.returncode == 1
    assert "Warning" not in done.stderr
    assert set(spans) == {"sandboxer apply", "look offline", "change web"}
    root = spans["sandboxer apply"]
    assert (root.trace, root.parent) == (PARENT[3:35], PARENT[36:52])
    assert (root.attributes["sandboxer.fleet"], root.attributes["sandboxer.exit_code"]) == ("acme", 1)
    assert root.error == "exit code 1"
    assert spans["change web"].attributes["sandboxer.outcome"] == "blocked"
    assert root.seconds >= spans["look offline"].seconds


def test_an_error_before_any_host_is_contacted_is_reported_too(fleet: GitRepo) -> None:
    with Collector() as collector:
        done = run(fleet, "apply", **collector.environment)
        (root,) = collector.spans
    assert done.returncode == 1
    assert root.error == "cannot ask for confirmation without a terminal"


def test_a_collector_that_does_not_answer_is_one_warning_and_changes_no_exit_code(fleet: GitRepo) -> None:
    for answer in (HANGS, says(500)):
        with Collector(otherwise=answer) as collector:
            done = run(fleet, "validate", **collector.environment)
        assert done.returncode == 0
        (warning,) = done.stderr.splitlines()
        assert warning.startswith(f"Warning: the trace is lost: {collector.url}")


def test_without_the_extra_one_warning_names_it(fleet: GitRepo) -> None:
    missing = "sys.modules['opentelemetry.sdk'] = None"
    environment: dict[str, Any] = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = run(fleet, "validate", code=missing, **environment)
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("Warning: no trace is sent: opentelemetry.sdk.resources is missing; install the extra")
    assert warning.endswith("pip install '.[otel]'")


def test_nothing_of_opentelemetry_is_imported_unless_it_is_requested(fleet: GitRepo) -> None:
    program = (
        "import atexit\n"
        "atexit.register(lambda: print([name for name in sys.modules if name.startswith('opentelemetry')]))"
    )
    for environment in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}):
        done = run(fleet, "validate", code=program, **environment)
        assert done.stdout.splitlines()[-1] == "[]"
