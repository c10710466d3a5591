"""What a stack is expected to become on a host, or why it may not run there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.expected.interpolation import STAND_IN
from sandboxer.extensions.compose_ssh.expected.stack import ABOVE, TREE
from sandboxer.extensions.compose_ssh.findings import Finding, Findings
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret, Policy, ReachablePort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandboxer.extensions.compose_ssh.expected.stack import ExpectedStack
    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.model.desired import DesiredSandbox

# A host that no ceiling is measured by: what depends on the real one's size is decided there.
WORKSPACE = f"{ABOVE}/workspace"
CPUS = 1024.0
MEMORY = 1 << 50


@dataclass(frozen=True, slots=True)
class Expectation:
    """The hardened stack, None where it may not run or is not known; and the findings that are certain."""

    hardened: Hardened | None
    findings: tuple[Finding, ...] = ()


def variables_of(desired: DesiredSandbox) -> dict[str, str | None]:
    """Return the variables that the compose files may use; None for a secret, whose value no plan reads."""
    values: dict[str, str | None] = {name: value.reveal() for name, value in desired.env.items()}
    return values | dict.fromkeys(secret.name for secret in desired.secrets)


def hardened(
    stack: ExpectedStack, desired: DesiredSandbox, read: Callable[[str], bytes], *, podman: bool = False
) -> Expectation:
    """Return what a stack is expected to become under the policy of a sandbox.

    ``read`` returns a file of the sandbox's input. What depends on a value that is not known here is left out, and no
    finding is about it: the host decides on it.
    """
    if () in stack.unknowns:
        return Expectation(None)
    policy = policy_of(desired, read, podman=podman)
    model: Any = stack.model
    for _ in range(3):
        findings = Findings(desired.name)
        try:
            return Expectation(harden(model, policy, findings))
        except ComposeRefused:
            certain = tuple(one for one in findings.lines.values() if not _is_uncertain(one, stack))
            if certain:
                return Expectation(None, certain)
            for path in stack.unknowns:
                model = _without(model, path)
    return Expectation(None)


def policy_of(desired: DesiredSandbox, read: Callable[[str], bytes], *, podman: bool) -> Policy:
    """Return the policy of a sandbox on a host that is not known yet."""
    spec = desired.profile.spec
    variables = {name: STAND_IN + name if value is None else value for name, value in variables_of(desired).items()}
    return Policy(
        sandbox=desired.name,
        project=project_name(desired.name, desired.id),
        workspace=WORKSPACE,
        tree_dir=TREE,
        host_cpus=CPUS,
        host_memory=MEMORY,
        entries=desired.tree.entries if desired.tree else {},
        egress=spec.network.egress,
        ingress=spec.network.ingress,
        ports=tuple(ReachablePort(port.name, port.service, port.port) for port in spec.reachability.ports),
        cpus=spec.resources.cpus,
        memory=spec.resources.memory,
        pids=spec.resources.pids,
        secrets={one.name: DeliveredSecret(f"{WORKSPACE}/secrets/1/{one.name}", 1) for one in desired.secrets},
        pull=spec.compose.pull,
        podman=podman,
        read=read,
        variables=variables,
    )


def _is_uncertain(finding: Finding, stack: ExpectedStack) -> bool:
    """Return whether a finding may be about a value that is not known here."""
    if STAND_IN in finding.where or STAND_IN in finding.why:
        return True
    return any(_related(finding.where, _written(path)) for path in stack.unknowns)


def _written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _related(one: str, other: str) -> bool:
    """Return whether one path leads to the other or past it."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and long[len(short) :][:1] in ("", ".", "[")


def _without(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return a model without what is at a path; the other items of a list keep their order."""
    step = path[0] if path else None
    if isinstance(value, dict) and step in value:
        rest: Mapping[str, Any] = {key: item for key, item in value.items() if key != step}
        return rest if len(path) == 1 else {**value, str(step): _without(value[step], path[1:])}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        inner = [] if len(path) == 1 else [_without(value[step], path[1:])]
        return [*value[:step], *inner, *value[step + 1 :]]
    return value
