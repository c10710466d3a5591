"""The compose file of a sandbox: as Compose itself reads it, then hardened, and never otherwise."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret, Policy, ReachablePort
from sandboxer.extensions.compose_ssh.source import inspect
from sandboxer.model.identity import Ownership, project_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.compose_ssh.box import Box
    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.hidden import Hidden
    from sandboxer.model.record import Record
    from sandboxer.model.seams import InputTree


@dataclass(frozen=True, slots=True)
class Variables:
    """What a compose file may use as ``${NAME}``, and the secrets among it."""

    values: Mapping[str, Hidden]
    secrets: Mapping[str, DeliveredSecret]

    def redact(self, text: str) -> str:
        """The text without any of the values: a container's log or Compose's complaint may repeat one."""
        for name, value in sorted(self.values.items(), key=lambda item: -len(item[1].reveal())):
            plain = value.reveal()
            # An environment value such as `1` would blank out half of a text; a secret is blanked out all the same.
            if plain and (name in self.secrets or len(plain) > 3):
                text = text.replace(plain, "(hidden)")
        return text

    def to_dotenv(self, *, podman: bool = False) -> bytes:
        """An env file that Compose, or podman-compose, reads back to the very same values."""
        lines = [_PODMAN_NAMES] if podman else []
        quoted = _quoted_for_podman if podman else _quoted
        lines += [f"{name}={quoted(value.reveal())}\n" for name, value in sorted(self.values.items())]
        return "".join(lines).encode("utf-8", "surrogateescape")


# podman-compose fills in ${NAME} whatever the quotes, and takes a backslash before the last one for an escape: so what
# it would take for more than itself is written as a variable, and what is filled in is not read again.
_PODMAN_NAMES = "SANDBOXER_DOLLAR='$'\nSANDBOXER_QUOTE=\"'\"\nSANDBOXER_BACKSLASH=\\\n"
_PODMAN_WORDS = str.maketrans({"$": "${SANDBOXER_DOLLAR}", "'": "${SANDBOXER_QUOTE}", "\\": "${SANDBOXER_BACKSLASH}"})


def _quoted_for_podman(value: str) -> str:
    return f"'{value.translate(_PODMAN_WORDS)}'"


def _quoted(value: str) -> str:
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'


def sources(box: Box, desired: DesiredSandbox, tree: InputTree) -> tuple[str, ...] | None:
    """What must be delivered: None for the whole tree, else what Compose reads. Raises ComposeRefused."""
    inputs, files = box.work.inputs, desired.profile.spec.compose.files
    report = inspect(
        {path: inputs.read(tree, path) for path in files},
        lambda path: inputs.read(tree, path),
        tree.entries,
        sandbox=desired.name,
    )
    return None if desired.profile.spec.workspace.mode == "copy" else report.files


def render(
    box: Box, desired: DesiredSandbox, tree: InputTree, record: Record, command: str, variables: Variables
) -> Hardened:
    """Compose's own reading of the files, made into what may run. Raises ComposeRefused, ProvisionFailed."""
    spec = desired.profile.spec.compose
    project = posixpath.dirname(spec.files[0])
    podman = "podman" in command
    options = [word for path in spec.files for word in ("-f", posixpath.relpath(path, project or "."))]
    options += [word for profile in spec.profiles for word in ("--profile", profile)]
    options += ["config"] if podman else ["config", "--format", "json"]
    reply = box.bench.call(
        "render",
        command,
        project_name(desired.name, desired.id),
        tree.digest,
        project or ".",
        *options,
        payload=variables.to_dotenv(podman=podman),
    )
    if reply.code != 0:
        said = variables.redact(reply.text)
        raise ProvisionFailed(
            desired.name,
            f"{command} cannot read {', '.join(spec.files)} of {tree.repo} at {tree.commit[:12]}: {said}",
            hint="repair the compose file, commit, and apply again",
        )
    model = _parsed(reply.output, podman=podman)
    folder = posixpath.normpath(posixpath.join(box.tree_path(tree), project))
    return harden(
        normalise(model, folder, literal=podman), _policy(box, desired, tree, record, variables, podman=podman)
    )


def _parsed(output: bytes, *, podman: bool) -> dict[str, Any]:
    return yaml.load(output, Loader=yaml.CSafeLoader) if podman else json.loads(output)  # type: ignore[no-any-return]


def _policy(
    box: Box, desired: DesiredSandbox, tree: InputTree, record: Record, variables: Variables, *, podman: bool
) -> Policy:
    spec, place = desired.profile.spec, box.work.place
    owner = Ownership(
        fleet=record.fleet,
        id=record.id,
        name=record.name,
        uid=record.uid,
        root=place.root,
        origin=record.origin,
        until=record.until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return Policy(
        sandbox=desired.name,
        project=project_name(desired.name, desired.id),
        workspace=box.workspace,
        tree_dir=box.tree_path(tree),
        host_cpus=place.cpus,
        host_memory=place.memory_bytes,
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
    )
