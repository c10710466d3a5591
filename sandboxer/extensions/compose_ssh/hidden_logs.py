"""Logs without what no output shows: the secrets of a sandbox, and the values of its sensitive variables.

They are those that its containers got, read from the host: another machine may know others, or none.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ObservationIncomplete
from sandboxer.extensions.capabilities import LogLine
from sandboxer.hosts.scripts import host_command
from sandboxer.hosts.sections import Sections
from sandboxer.model.redaction import Redactor, is_sensitive_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from sandboxer.extensions.capabilities import LiveSandbox, LogReader
    from sandboxer.model.protocols import HostTransport

READ_SECONDS = 60.0


class HiddenLogs:
    """The lines of another reader, without what they may not show (``capabilities.LogReader``)."""

    def __init__(self, sandbox: LiveSandbox, reader: LogReader) -> None:
        self._sandbox, self._reader = sandbox, reader

    def lines(self) -> Iterator[LogLine]:
        """Yield each line, however long it takes to arrive. Raise HostError, SandboxError."""
        with self._sandbox.connect() as transport:
            redactor = redactor_of(self._sandbox, transport)
        for line in self._reader.lines():
            yield hidden(line, redactor)

    def close(self) -> None:
        """End it, with everything that runs on the host for it. Idempotent."""
        self._reader.close()


def hidden(line: LogLine, redactor: Redactor) -> LogLine:
    """Return a line without hidden values; its bytes are the same where it has none."""
    text = line.data.decode("utf-8", "surrogateescape")
    shown = redactor.redact(text)
    return line if shown == text else LogLine(line.service, line.replica, shown.encode("utf-8", "surrogateescape"))


def redactor_of(sandbox: LiveSandbox, transport: HostTransport) -> Redactor:
    """Return the redactor of what the sandbox's containers got. Raise ObservationIncomplete."""
    nonce, host = secrets.token_hex(16), sandbox.observed.host
    command = host_command(
        "prelude.sh",
        "sandboxer.extensions.compose_ssh:hidden.sh",
        timeout=READ_SECONDS,
        nonce=nonce,
        root=sandbox.root,
        fleet=sandbox.fleet,
        id=sandbox.observed.id,
    )
    sections = Sections(transport.run(command).stdout, nonce)
    if not sections.complete:
        raise ObservationIncomplete(host, f"reading what the logs of {sandbox.name} may not show was interrupted")
    compose = sections.body("compose")
    model = _parsed(compose or b"")
    if sections.body("refused") is not None or (compose is not None and model is None):
        raise ObservationIncomplete(host, f"what the logs of {sandbox.name} may not show cannot be read on {host}")
    found = {body.decode("utf-8", "surrogateescape") for name, _, body in sections if name == "secret"}
    values = sensitive_values(model, sandbox.sensitive)
    return Redactor(sorted(found), sorted(values), sandbox.services.keys())


def sensitive_values(model: Any, sensitive: Container[str] = ()) -> set[str]:
    """Return the values of sensitive variables in a compose file as it runs; an empty set if it is none."""
    services = model.get("services") if isinstance(model, dict) else None
    values: set[str] = set()
    for service in services.values() if isinstance(services, dict) else ():
        variables = service.get("environment") if isinstance(service, dict) else None
        for name, value in variables.items() if isinstance(variables, dict) else ():
            if isinstance(value, str) and is_sensitive_name(name, sensitive):
                values.add(value.replace("$$", "$"))
    return values


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
