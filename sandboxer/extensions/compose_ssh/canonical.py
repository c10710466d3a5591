"""The canonical form of compose files by the Compose of the machine that plans, where it has one.

It is never needed, and never trusted: it only makes a plan's expectation exact. The program is Docker Compose from the
extra ``compose`` of this distribution, or the one that is installed. It reads what a host's Compose would be given, in
the same confinement; where this machine cannot confine it, it does not run.
"""

from __future__ import annotations

import json
import posixpath
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxer.errors import SandboxerError
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.render import compose_options, moved, packed
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.extensions.compose_ssh.source import SourceReport
    from sandboxer.model.protocols import HostTransport

SECONDS = 45.0
MAX_OUTPUT = 16 * 1024 * 1024
_PROGRAM = "compose/docker-compose"  # in the package that the extra installs


def canonical_model(
    local: HostTransport,
    report: SourceReport,
    variables: bytes,
    files: Sequence[str],
    profiles: Sequence[str],
    *,
    project: str,
    tree: str,
) -> dict[str, Any] | None:
    """Return the normalised model that Compose prints on this machine, its paths below ``tree``; None without one.

    ``variables`` are those of the files, as ``Variables.to_dotenv`` writes them. Return None as well where Compose
    cannot be confined, refuses the files, or reads them differently: whoever calls has a reading of its own.
    """
    folder = posixpath.dirname(files[0])
    options = compose_options(files, profiles)
    command = host_command(
        "prelude.sh",
        "sandboxer.extensions.compose_ssh:confine.sh",
        "sandboxer.extensions.compose_ssh:render.sh",
        "sandboxer.extensions.compose_ssh:canonical.sh",
        timeout=SECONDS,
        max_output=MAX_OUTPUT,
        lines=options,
        command=packaged() or "",
        project=project,
        folder=folder or ".",
        count=len(options),
    )
    try:
        result = local.run(replace(command, stdin=command.stdin + packed(report, variables)))
    except SandboxerError:
        return None
    place, _, printed = result.stdout.partition(b"\n")
    try:
        model = json.loads(printed) if result.exit_code == 0 else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(model, dict):
        return None
    root = place.decode("utf-8", "surrogateescape")
    normal = normalise(model, posixpath.join(root, folder))
    findings = Findings(project)
    report.parts.compare(normal, findings, root=root, project=project)
    return None if findings.lines else moved(normal, root, tree)


def packaged() -> str | None:
    """Return the path of the program that the extra installed; None without it."""
    # Not by an import: the first place of Python's path may be the working directory, which may be a stranger's.
    path = Path(sysconfig.get_path("purelib")) / _PROGRAM
    return str(path) if path.is_file() else None
