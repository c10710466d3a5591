"""The compose file of a sandbox: as Compose itself reads it, then hardened, and never otherwise.

The only bytes of a stranger's that Compose is given are env files: it reads our own plain form of each compose file, in
a directory that holds nothing else, and what it reads must match what was read from the files here.
"""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.errors import ProvisionFailed
from sandboxer.errors.cause import Cause
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret, Policy, ReachablePort
from sandboxer.extensions.compose_ssh.source import inspect
from sandboxer.model.identity import Ownership
from sandboxer.model.redaction import Redactor, is_sensitive_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sandboxer.extensions.compose_ssh.compose_tool import ComposeTool
    from sandboxer.extensions.compose_ssh.directory import SandboxDirectory
    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.extensions.compose_ssh.source import SourceReport
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.hidden import Hidden
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables that a compose file may use as ``${NAME}``, and the secrets among them.

    ``sensitive`` are those that the manifests list as sensitive, whatever their names.
    """

    values: Mapping[str, Hidden]
    secrets: Mapping[str, DeliveredSecret]
    sensitive: Collection[str] = ()

    def redact(self, text: str, services: Collection[str] = (), more: Iterable[str] = ()) -> str:
        """Return the text without secrets and sensitive values: a container's log or Compose's messages may repeat one.

        The names of these ``services`` stay whole. ``more`` are other values to hide, such as the compose file's own.
        """
        secrets = [value.reveal() for name, value in self.values.items() if name in self.secrets]
        environment = [
            value.reveal()
            for name, value in self.values.items()
            if name not in self.secrets and is_sensitive_name(name, self.sensitive)
        ]
        return Redactor(secrets, [*environment, *more], services).redact(text)

    def to_dotenv(self, *, podman: bool = False) -> bytes:
        """Return an env file that Compose, or podman-compose, reads back to the very same values."""
        lines = [_PODMAN_NAMES] if podman else []
        quoted = _quoted_for_podman if podman else _quoted
        lines += [f"{name}={quoted(value.reveal())}\n" for name, value in sorted(self.values.items())]
        return "".join(lines).encode("utf-8", "surrogateescape")


# podman-compose fills in ${NAME} whatever the quotes, and takes a backslash before the last one for an escape. So what
# it would misread is written as a variable, whose value it does not read again.
_PODMAN_NAMES = "SANDBOXER_DOLLAR='$'\nSANDBOXER_QUOTE=\"'\"\nSANDBOXER_BACKSLASH=\\\n"
_PODMAN_WORDS = str.maketrans({"$": "${SANDBOXER_DOLLAR}", "'": "${SANDBOXER_QUOTE}", "\\": "${SANDBOXER_BACKSLASH}"})


def _quoted_for_podman(value: str) -> str:
    return f"'{value.translate(_PODMAN_WORDS)}'"


def _quoted(value: str) -> str:
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'


def sources(directory: SandboxDirectory, desired: DesiredSandbox, tree: InputTree, tool: ComposeTool) -> SourceReport:
    """Return what Compose is to read, and what it needs of the tree. Raise ComposeRefused if it may not be read."""
    inputs, files = directory.operation.inputs, desired.profile.spec.compose.files
    return inspect(
        {path: inputs.read(tree, path) for path in files},
        lambda path: inputs.read(tree, path),
        tree.entries,
        sandbox=desired.name,
        podman=tool.podman,
    )


def render(
    directory: SandboxDirectory,
    desired: DesiredSandbox,
    tree: InputTree,
    record: Record,
    tool: ComposeTool,
    variables: Variables,
    report: SourceReport,
) -> Hardened:
    """Return Compose's own reading of the files, hardened. Raise ComposeRefused or ProvisionFailed."""
    spec = desired.profile.spec.compose
    folder = posixpath.dirname(spec.files[0])
    project = project_name(desired.name, desired.id)
    options = compose_options(spec.files, spec.profiles, podman=tool.podman)
    payload = packed(report, variables.to_dotenv(podman=tool.podman))
    reply = directory.session.call("render", tool.kind, tool.command, project, folder or ".", *options, payload=payload)
    if reply.code != 0:
        message = _reason(variables.redact(reply.text).replace(f"{directory.reading}/", ""))
        raise ProvisionFailed(
            desired.name,
            f"{tool.command} cannot read {', '.join(spec.files)} of {tree.repo} at {tree.commit[:12]}: {message}",
            hint="repair the compose file, commit, and apply again",
            cause=Cause("compose-invalid", f"{tool.command} cannot read {', '.join(spec.files)}: {message}"),
        )
    printed = _parsed(reply.output, podman=tool.podman)
    if printed is None:
        raise ProvisionFailed(desired.name, f"cannot parse the output of {tool.command} for {', '.join(spec.files)}")
    model = normalise(printed, posixpath.join(directory.reading, folder), literal=tool.podman)
    findings = Findings(desired.name)
    report.parts.compare(model, findings, root=directory.reading, project=project)
    findings.raise_any()
    return harden(
        moved(model, directory.reading, directory.tree_path(tree)),
        _policy(directory, desired, tree, record, variables, podman=tool.podman),
    )


def compose_options(files: Sequence[str], profiles: Sequence[str], *, podman: bool = False) -> list[str]:
    """Return Compose's options to print how it reads files, in the directory of the first one."""
    folder = posixpath.dirname(files[0]) or "."
    options = [word for path in files for word in ("-f", posixpath.relpath(path, folder))]
    options += [word for profile in profiles for word in ("--profile", profile)]
    return [*options, "config"] if podman else [*options, "config", "--format", "json"]


def packed(report: SourceReport, variables: bytes) -> bytes:
    """Return a tar of the directory in which Compose reads: ``variables``, and in ``files`` what it opens.

    It contains no links.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders = {posixpath.dirname(path) for path in report.opened} | set(report.folders)
        for folder in sorted({f"files/{folder}".rstrip("/") for folder in folders}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(entry)
        contents = {"variables": variables} | {f"files/{path}": data for path, data in report.opened.items()}
        for path, data in sorted(contents.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def moved(value: Any, before: str, after: str) -> Any:
    """Return the model with each path below one directory moved below another, whichever way its ``$`` is written."""
    if isinstance(value, dict):
        return {key: moved(item, before, after) for key, item in value.items()}
    if isinstance(value, list):
        return [moved(item, before, after) for item in value]
    if isinstance(value, str):
        for written in (before, before.replace("$", "$$")):
            if value == written or value.startswith(written + "/"):
                return after.replace("$", "$$") + value[len(written) :]
    return value


def _reason(message: str) -> str:
    """Return the message of Compose; of a Python traceback, the error at its end."""
    _, found, trace = message.rpartition("Traceback (most recent call last):")
    lines = [line for line in trace.splitlines() if line.strip()]
    return lines[-1].strip() if found and lines else message


def _parsed(output: bytes, *, podman: bool) -> dict[str, Any] | None:
    """Return the model that Compose printed; None if it is not a mapping."""
    try:
        model = yaml.load(output, Loader=yaml.CSafeLoader) if podman else json.loads(output)
    except (ValueError, yaml.YAMLError, RecursionError):
        return None
    return model if isinstance(model, dict) else None


def _policy(
    directory: SandboxDirectory,
    desired: DesiredSandbox,
    tree: InputTree,
    record: Record,
    variables: Variables,
    *,
    podman: bool,
) -> Policy:
    spec, target = desired.profile.spec, directory.operation.target
    owner = Ownership(
        fleet=record.fleet,
        id=record.id,
        name=record.name,
        uid=record.uid,
        root=target.root,
        origin=record.origin,
        latest_expiry=record.until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return Policy(
        sandbox=desired.name,
        project=project_name(desired.name, desired.id),
        workspace=directory.workspace,
        tree_dir=directory.tree_path(tree),
        host_cpus=target.cpus,
        host_memory=target.memory_bytes,
        labels=owner.labels(),
        entries=tree.entries,
        egress=spec.network.egress,
        ingress=spec.network.ingress,
        ports=tuple(ReachablePort(port.name, port.service, port.port) for port in spec.reachability.ports),
        cpus=spec.resources.cpus,
        memory=spec.resources.memory,
        pids=spec.resources.pids,
        secrets=variables.secrets,
        pull=spec.compose.pull,
        podman=podman,
        read=lambda path: directory.operation.inputs.read(tree, path),
        variables={name: value.reveal() for name, value in variables.values.items()},
    )
