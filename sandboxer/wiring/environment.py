"""The values of environment variables that a plan changes, as git has them, for those who review the plan.

The new value is in the manifest. A record has only an HMAC of the applied one, so that one is read from the fleet's
repository at the applied commit, and shown only if it is the value that the HMAC is of.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.errors import SourceError
from sandboxer.model.hidden import Hidden
from sandboxer.model.plan import SENSITIVE, UNKNOWN, EnvValues, variable_of
from sandboxer.model.redaction import is_sensitive_name
from sandboxer.model.text import redact_urls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.adapters.git import FleetRepository
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.documents import Manifests
    from sandboxer.model.plan import Change, FieldChange, Plan
    from sandboxer.model.record import Record
    from sandboxer.wiring.planning import Planned

_DIRTY = "the applied value is not that of commit {commit} of the fleet: it was applied with uncommitted changes"


def with_environment(planned: Planned, repository: FleetRepository) -> Plan:
    """Return the plan with the values of the environment variables that it changes, those of sensitive names masked.

    Read only the fleet's repository, and raise nothing: where the applied value is unknown, the plan has the reason.
    """
    former = _Former(repository)

    def shown(change: Change) -> Change:
        desired = planned.observations.fleet.sandboxes.get(change.sandbox)
        names = [name for one in change.pending if (name := variable_of(one.path))]
        if not names or desired is None or desired.id != change.id:
            return change
        observed = planned.observations.sandbox(change.from_host or change.host or "", change.id)
        values = _Values(desired, observed.record if observed else None, former)
        pending = (
            replace(one, env=values.of(one, name)) if (name := variable_of(one.path)) else one for one in change.pending
        )
        return replace(change, pending=tuple(pending))

    return replace(planned.plan, changes=tuple(map(shown, planned.plan.changes)))


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of one sandbox's variables: ``record`` is of its last apply, None without one."""

    desired: DesiredSandbox
    record: Record | None
    former: _Former

    def of(self, change: FieldChange, name: str) -> EnvValues:
        """Return the values of a variable that differs."""
        given = self.desired.env.get(name)
        new = None if given is None or change.new is None else _without_credentials(given.reveal())
        if is_sensitive_name(name, self.desired.sensitive):
            return self._masked(change)
        if change.old is None or self.record is None:
            return EnvValues(None, new)
        found = self.former.at(self.record.fleet_commit)
        if found.unknown:
            return EnvValues(UNKNOWN, new, found.unknown, found.hint)
        if name in found.sensitive(self.record.name):
            return self._masked(change)
        old = found.value(self.record.name, name)
        if old is None or Hidden(old).hmac(self.record.salt) != self.record.spec.get("env", {}).get(name):
            return EnvValues(UNKNOWN, new, _DIRTY.format(commit=(self.record.fleet_commit or "")[:12]))
        return EnvValues(_without_credentials(old), new)

    @staticmethod
    def _masked(change: FieldChange) -> EnvValues:
        old, new = (None if value is None else SENSITIVE for value in (change.old, change.new))
        return EnvValues(old, new)


def _without_credentials(value: str) -> str:
    """Return a value as a plan may show it: one with a user or a password in a URL is masked, whatever its name."""
    return value if redact_urls(value) == value else SENSITIVE


@dataclass(frozen=True, slots=True)
class _Found:
    """The fleet at one commit, or why it cannot be read."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    unknown: str = ""
    hint: str = ""
    _loaded: dict[tuple[str, ...], Manifests] = field(default_factory=dict)

    def value(self, sandbox: str, variable: str) -> str | None:
        """Return the value of a variable; None if the sandbox was not in git, or had no such variable."""
        model = self._naming(sandbox).sandboxes.get(sandbox)
        return model.spec.env.get(variable) if model else None

    def sensitive(self, sandbox: str) -> Iterable[str]:
        """Return the variables that were listed as sensitive."""
        model = self._naming(sandbox).sandboxes.get(sandbox)
        if model is None:
            return ()
        profile = self._naming(model.spec.profile, "sensitive").profiles.get(model.spec.profile)
        return (*model.spec.sensitive, *(profile.spec.sensitive if profile else ()))

    def _naming(self, *words: str) -> Manifests:
        """Return the manifests of the files that have all these words: to load all takes long in a large fleet."""
        from sandboxer.profiles.loader import load

        needed = [word.encode() for word in words]
        paths = tuple(path for path, data in self.files.items() if all(word in data for word in needed))
        if paths not in self._loaded:
            self._loaded[paths] = load({path: self.files[path] for path in paths}).models()
        return self._loaded[paths]


@dataclass(frozen=True, slots=True)
class _Former:
    """The fleet at the commits that were applied, each read once."""

    repository: FleetRepository
    _found: dict[str | None, _Found] = field(default_factory=dict)

    def at(self, commit: str | None) -> _Found:
        """Return the fleet at a commit of a record."""
        if commit not in self._found:
            self._found[commit] = self._read(commit)
        return self._found[commit]

    def _read(self, commit: str | None) -> _Found:
        if commit is None:
            return _Found(unknown="the applied values are not in git: the fleet was applied without a commit")
        try:
            return _Found(self.repository.files_at(commit))
        except SourceError as error:
            return _Found(unknown=error.message, hint=error.hint)
