"""Logs show no secret and no sensitive value of the containers, and everything else byte for byte."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import ObservationIncomplete
from sandboxer.extensions.capabilities import LogLine
from sandboxer.extensions.compose_ssh.hidden_logs import HiddenLogs, redactor_of, sensitive_values

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "0badcafe"
ENVIRONMENT = {"DB_PASSWORD": "tulip$$bulb", "LEVEL": "debug-all", "PIN": "4711-0815", "ON": "1"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Any]:
    """A sandbox on this machine: a secret in two forms, and what runs."""
    root = tmp_path / "root"
    directory = root / "acme" / ID
    (directory / "secrets").mkdir(parents=True)
    for path in (root, root / "acme"):
        path.chmod(0o700)
    for name in ("TOKEN.1", "TOKEN.1.444"):
        (directory / "secrets" / name).write_text("s3cr3t-value\nof two lines\n")
    (directory / "secrets" / "link").symlink_to("/etc/hostname")
    (directory / "compose.json").write_text(json.dumps({"services": {"web": {"environment": ENVIRONMENT}}}))
    transport = LocalTransport("here")
    yield SimpleNamespace(
        name="web", root=str(root), fleet="acme", observed=SimpleNamespace(host="here", id=ID),
        sensitive=frozenset({"PIN"}), services={"tulip": ()}, connect=lambda: nullcontext(transport),
    )  # fmt: skip
    transport.close()


class Reader:
    closed = False

    def __init__(self, *lines: bytes) -> None:
        self._lines = lines

    def lines(self) -> Iterator[LogLine]:
        yield from (LogLine("web", 2, line) for line in self._lines)

    def close(self) -> None:
        self.closed = True


def test_lines_are_hidden_as_in_errors_and_else_unchanged(sandbox: Any) -> None:
    given = (b"s3cr3t-value", b"of two lines!", b"login tulip$bulb", b"pin 4711-0815", b"debug-all 1 \xff\x00\x1b[2J")
    reader = Reader(*given)
    logs = HiddenLogs(sandbox, reader)
    shown = list(logs.lines())
    assert [line.data for line in shown] == [b"(hidden)", b"(hidden)!", b"login (hidden)", b"pin (hidden)", given[-1]]
    assert {line.source for line in shown} == {"web-2"}
    logs.close()
    assert reader.closed


def test_a_sandbox_without_anything_on_its_host_has_nothing_to_hide(sandbox: Any) -> None:
    sandbox.observed.id = "00000000"
    with sandbox.connect() as transport:
        assert redactor_of(sandbox, transport).redact("s3cr3t-value") == "s3cr3t-value"


@pytest.mark.parametrize(
    "model", [None, [], {"services": []}, {"services": {"a": []}}, {"services": {"a": {"environment": ["A_KEY=b"]}}}]
)
def test_what_is_no_compose_file_has_no_values(model: Any) -> None:
    assert sensitive_values(model) == set()


@pytest.mark.parametrize("fault", ["a link", "torn"])
def test_what_cannot_be_read_is_an_error_and_never_nothing_to_hide(sandbox: Any, fault: str) -> None:
    directory = Path(sandbox.root) / "acme" / ID
    if fault == "a link":
        directory.rename(directory.with_name("elsewhere"))
        directory.symlink_to(directory.with_name("elsewhere"))
    else:
        (directory / "compose.json").write_text('{"services": ')
    with sandbox.connect() as transport, pytest.raises(ObservationIncomplete, match="cannot be read on here"):
        redactor_of(sandbox, transport)
