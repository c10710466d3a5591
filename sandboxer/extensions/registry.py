"""The registry of backends: descriptions from the fleet, code from entry points and this package."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sandboxer.errors import CapabilityMissing, ExtensionError
from sandboxer.extensions.base import REQUIRED_OPERATIONS, Extension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import EntryPoint

    from sandboxer.model.manifest import Extension as Description

GROUP = "sandboxer.extensions"
BUILT_IN = {
    "compose-ssh": "sandboxer.extensions.compose_ssh.extension:ComposeSsh",
    "dir-ssh": "sandboxer.extensions.dir_ssh.extension:DirSsh",
}


@dataclass(slots=True)
class Registry:
    """Loads the code behind an extension's description once, and checks it against the description's claims.

    ``descriptions`` are those of the fleet and the built-in ones, by name.
    """

    descriptions: Mapping[str, Description]
    factories: Mapping[str, Callable[[], type]]
    _loaded: dict[str, Extension] = field(default_factory=dict)

    def get(self, name: str) -> Extension:
        """Return the backend of this name. Raise ExtensionError if there is none, or it is not what it claims to be."""
        if name not in self._loaded:
            description = self.descriptions.get(name)
            if description is None:
                known = ", ".join(sorted(self.descriptions)) or "none"
                raise ExtensionError(f"no extension `{name}`", hint=f"choose one of: {known}")
            self._loaded[name] = self._load(description)
        return self._loaded[name]

    @property
    def first(self) -> str:
        """The extension that observes every host: a built-in one, whatever the profiles name.

        What it keeps on a host may outlive its record, and the manifests that named it.
        """
        built_in = next(iter(BUILT_IN))
        names = [name for name, one in self.descriptions.items() if one.spec.implementation == built_in]
        return names[0] if names else next(iter(self.descriptions))

    def needs_engine(self, name: str) -> bool:
        """Return whether an extension's sandboxes need an engine on their host."""
        description = self.descriptions.get(name)
        return description is None or bool(description.spec.capabilities.runtimes)

    def supports(self, name: str, capability: str) -> bool:
        """Return whether an extension declares a capability, by the name of its method."""
        description = self.descriptions.get(name)
        return description is not None and capability in description.spec.capabilities.operations

    def capable(self, sandbox: str, name: str, capability: str) -> Any:
        """Return the backend of a sandbox, which has a capability.

        Raise CapabilityMissing if its extension does not declare it, and what ``get`` raises.
        """
        if not self.supports(name, capability):
            raise CapabilityMissing(sandbox, name, capability)
        return self.get(name)

    def _load(self, description: Description) -> Extension:
        name, implementation = description.metadata.name, description.spec.implementation
        factory = self.factories.get(implementation)
        if factory is None:
            known = ", ".join(sorted(self.factories))
            raise ExtensionError(
                f"extension `{name}` is implemented by `{implementation}`, which is not installed",
                hint=f"install the package that registers it in the entry-point group {GROUP}; installed are: {known}",
            )
        kind = factory()
        # A built-in class has what its description declares, which a test checks: a plan needs no check of it.
        operations = description.spec.capabilities.operations
        check_class(name, kind, REQUIRED_OPERATIONS if implementation in BUILT_IN else operations)
        instance: Extension = kind()
        return instance


def check_class(name: str, kind: object, operations: Iterable[str]) -> None:
    """Raise ExtensionError if a class lacks an operation that is required or that its description claims."""
    if not inspect.isclass(kind):
        raise ExtensionError(
            f"extension `{name}`: the entry point is not a class", hint="register a class as module:Class"
        )
    claimed = tuple(operations)
    unclaimed = [operation for operation in REQUIRED_OPERATIONS if operation not in claimed]
    if unclaimed:
        raise ExtensionError(
            f"extension `{name}` does not declare {', '.join(unclaimed)}",
            hint=f"add {', '.join(REQUIRED_OPERATIONS)} to spec.capabilities.operations",
        )
    for operation in claimed:
        method = getattr(kind, operation, None)
        if not callable(method):
            raise ExtensionError(
                f"extension `{name}` declares `{operation}`, but {kind.__module__}.{kind.__qualname__} lacks it",
                hint="remove the operation from spec.capabilities.operations, or implement the method",
            )
        expected = getattr(_protocol(operation), operation, None)
        if expected is not None and _parameters(method) != _parameters(expected):
            raise ExtensionError(
                f"extension `{name}`: {kind.__qualname__}.{operation} takes ({', '.join(_parameters(method))})",
                hint=f"accept the parameters ({', '.join(_parameters(expected))})",
            )


def _protocol(operation: str) -> type:
    if operation in REQUIRED_OPERATIONS:
        return Extension
    from sandboxer.extensions.capabilities import CAPABILITIES

    return CAPABILITIES.get(operation, Extension)


def _parameters(method: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(method).parameters)


def build_registry(
    descriptions: Mapping[str, Description], entry_points: Iterable[EntryPoint] | None = None
) -> Registry:
    """Return a registry of the described and the installed extensions.

    Raise ExtensionError if two packages register one implementation, or one takes a built-in's name. No third-party
    code is imported before a sandbox needs it.
    """
    if entry_points is None:
        from importlib.metadata import entry_points as installed

        entry_points = installed(group=GROUP)
    factories: dict[str, Callable[[], type]] = {name: _importer(path) for name, path in BUILT_IN.items()}
    owners = dict.fromkeys(BUILT_IN, "Sandboxer itself")
    for entry in entry_points:
        owner = entry.dist.name if entry.dist is not None else entry.value
        if entry.name in owners:
            raise ExtensionError(
                f"implementation `{entry.name}` is registered twice: by {owners[entry.name]} and by {owner}",
                hint="uninstall one of the two, or rename its entry point",
            )
        owners[entry.name] = owner
        factories[entry.name] = _entry_loader(entry)
    return Registry(descriptions, factories)


def _importer(path: str) -> Callable[[], type]:
    module, name = path.split(":")
    return lambda: getattr(import_module(module), name)


def _entry_loader(entry: EntryPoint) -> Callable[[], type]:
    def load() -> type:
        try:
            kind: type = entry.load()
        except Exception as error:  # a third party's module may raise anything at import
            raise ExtensionError(
                f"the code of extension implementation `{entry.name}` ({entry.value}) cannot be imported: {error!r}",
                hint="repair or uninstall its package",
            ) from error

        return kind

    return load
