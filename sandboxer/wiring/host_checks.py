"""The doctor, for the hosts of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sandboxer.errors import UsageError
from sandboxer.lifecycle.doctor import CheckedHost, check_hosts
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named
from sandboxer.wiring.hosts import tool_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.extensions.capabilities import SupportsHostChecks
    from sandboxer.extensions.registry import Registry
    from sandboxer.model.documents import Manifests
    from sandboxer.model.host_report import HostReport
    from sandboxer.model.protocols import HostTransport


def check_host(
    manifests: Manifests,
    registry: Registry,
    transport: Callable[[str], HostTransport],
    names: Sequence[str] = (),
) -> list[HostReport]:
    """Return the doctor's reports on the hosts of these names; without any, on all of git's.

    Raise UsageError if a host is not in the fleet.
    """
    unknown = [name for name in names if name not in manifests.hosts]
    if unknown:
        hint = did_you_mean(unknown[0], manifests.hosts)
        raise UsageError(f"no {named('host', unknown[0])} in git", hint=hint)
    if not manifests.hosts:
        raise UsageError(
            "no Host in git, nothing to check",
            hint="add a Host manifest, for example from docs/examples/hosts.yaml",
        )
    fleet = manifests.fleet.metadata.name if manifests.fleet else ""
    hosts = [manifests.hosts[name] for name in dict.fromkeys(names or sorted(manifests.hosts))]
    longest = max((profile.spec.ttl.max for profile in manifests.profiles.values()), default=None)
    checked = [CheckedHost(host, fleet, tool_of(host), longest) for host in hosts]
    used = sorted({profile.spec.extension for profile in manifests.profiles.values()}) or [registry.first]
    able = [registry.get(name) for name in used if registry.supports(name, "host_checks")]
    backends = [cast("SupportsHostChecks", extension).host_checks() for extension in able]
    return check_hosts(checked, transport, backends)
