"""The desired state: each sandbox with its profile merged in, its input resolved, and its eligible hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.model.hidden import Hidden
    from sandboxer.model.manifest import Host, Profile, Sandbox
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.request import SandboxRequest


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A secret that the sandbox requests: its source, and its value where this run has it and may read it.

    ``present`` says whether the runner has it, even where the value was not read (a plan never reads one).
    """

    name: str
    source: str
    present: bool
    value: Hidden | None = None


@dataclass(frozen=True, slots=True)
class DesiredSandbox:
    """One desired sandbox.

    ``spec`` is the effective specification, profile merged in, under the manifest's own keys, without environment
    values and secrets: those are in ``env`` and ``secrets``, hidden. ``spec_digest`` is the digest of the Sandbox
    document as parsed. ``tiers`` are the names of the hosts that each placement selector matches, in order of
    preference, ``needed_files`` the files that the input must have, and ``formerly`` the hosts that it matched in the
    parent commit. ``input_error`` says why the input cannot be read; ``tree`` is then None, as it is where nothing is
    delivered. ``request`` is the request of an imperative sandbox. ``diagnostics`` are what its backend found wrong in
    its input before any host was touched.
    """

    fleet: str
    id: str
    name: str
    origin: str
    profile: Profile
    sandbox: Sandbox
    spec: Mapping[str, Any]
    spec_digest: str
    tiers: tuple[tuple[str, ...], ...]
    formerly: tuple[str, ...] = ()
    needed_files: tuple[str, ...] = ()
    tree: InputTree | None = None
    input_error: str | None = None
    env: Mapping[str, Hidden] = field(default_factory=dict)
    secrets: tuple[SecretValue, ...] = ()
    request: SandboxRequest | None = None
    ttl: timedelta | None = None
    expires_at: datetime | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The findings for which a host would refuse it."""
        return tuple(found for found in self.diagnostics if found.severity == "error")

    @property
    def sensitive(self) -> frozenset[str]:
        """The variables that its manifests list as sensitive, beside those with names that say so."""
        return frozenset((*self.sandbox.spec.sensitive, *self.profile.spec.sensitive))

    @property
    def eligible(self) -> tuple[str, ...]:
        """The hosts that the placement matches now, each once, in order of preference."""
        return tuple(dict.fromkeys(name for tier in self.tiers for name in tier))


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet at one commit, ready to be planned: its hosts, its sandboxes, and the commit.

    ``hosts`` are the hosts to observe; ``retired`` names those among them that only the parent commit still had.
    ``max_deletes`` and ``allow_empty`` are its guards. ``extensions`` are those that its profiles name.
    """

    name: str
    hosts: Mapping[str, Host]
    sandboxes: Mapping[str, DesiredSandbox]
    commit: str | None = None
    root_commit: str | None = None
    committed_at: datetime | None = None
    dirty: bool = False
    retired: frozenset[str] = frozenset()
    max_deletes: int | str = 10
    allow_empty: bool = False
    extensions: frozenset[str] = frozenset()
