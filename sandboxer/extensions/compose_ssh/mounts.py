"""What a container is given beside its image: volumes, configs, secrets and the content of env files."""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import env_files, limits
from sandboxer.extensions.compose_ssh.access import take_access
from sandboxer.extensions.compose_ssh.delivery import Delivery, escape
from sandboxer.extensions.compose_ssh.grammar import flag, shown, size, too_many, word
from sandboxer.extensions.compose_ssh.names import valid_name
from sandboxer.extensions.compose_ssh.rules import off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.extensions.compose_ssh.policy import Access
    from sandboxer.extensions.compose_ssh.scope import Scope

_UNFIT = re.compile(r'[:,"\\\x00-\x1f\x7f]')
_VOLUME = ("type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs")
_REFERENCE = ("source", "target", "uid", "gid", "mode")
_recursive = word("enabled|disabled|readonly|writable", "enabled, disabled, readonly or writable")
_subpath = word(r"[A-Za-z0-9_.@ -]+(?:/[A-Za-z0-9_.@ -]+)*", "a relative path below the volume", 1024)
_mode = word(r"[0-9]{1,4}", "a mode, such as 1777", 4)


def written_to(services: dict[str, Any], delivery: Delivery) -> Iterator[str]:
    """Yield the paths in the tree that some service mounts and may write to."""
    for service in services.values():
        volumes = service.get("volumes") if isinstance(service, dict) else None
        for volume in volumes if isinstance(volumes, list) else ():
            if isinstance(volume, dict) and volume.get("type") == "bind" and off(volume.get("read_only")):
                found = delivery.find(volume.get("source"))
                if found is not None:
                    yield found


@dataclass(slots=True)
class Mounts:
    """Rewrites the mounts of services, and collects the top-level entries that they need."""

    model: dict[str, Any]
    root: Scope
    delivery: Delivery
    volumes: set[str] = field(default_factory=set)
    configs: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str, service: dict[str, Any], scope: Scope) -> dict[str, Any]:
        """Return the ``volumes``, ``configs``, ``secrets`` and ``volumes_from`` that a service has."""
        lists = [service.get(key) for key in ("volumes", "configs", "secrets", "volumes_from", "tmpfs")]
        if too_many(limits.MOUNTS, sum(len(one) for one in lists if isinstance(one, list)), scope):
            return {}
        volumes = [self._volume(item, name, here) for here, item in scope.at("volumes").items(service.get("volumes"))]
        configs = [self._config(item, name, here) for here, item in scope.at("configs").items(service.get("configs"))]
        if scope.policy.podman:  # podman-compose has no configs: mount the same file, which is what Compose does too
            volumes += configs
            configs = []
        found: dict[str, list[Any]] = {
            "volumes": volumes,
            "configs": configs,
            "secrets": self.references(service.get("secrets"), name, scope.at("secrets"), mounted=True),
            "volumes_from": [
                _from(item, at) for at, item in scope.at("volumes_from").items(service.get("volumes_from"))
            ],
        }
        present = {key: [item for item in items if item is not None] for key, items in found.items()}
        return {key: items for key, items in present.items() if items}

    def environment(self, service: dict[str, Any], scope: Scope) -> dict[str, Any]:
        """Return the ``environment`` of a service that has env files, their content included; else nothing."""
        here = scope.at("env_file")
        given = service.get("env_file")
        if not given or (isinstance(given, list) and too_many(limits.MOUNTS, len(given), here)):
            return {}
        found: dict[str, str | None] = {}
        for at, item in here.items(given):
            found |= self._env_file(item, at)
        own = scope.at("environment").mapping(service.get("environment"))
        read = {key: None if text is None else escape(text) for key, text in found.items()}
        return {"environment": read | {key: text for key, text in own.items() if text is not None or key not in read}}

    def _env_file(self, item: Any, scope: Scope) -> dict[str, str | None]:
        entry = scope.only(scope.mapping(item), ("path", "required", "format"))
        optional = "required" in entry and off(entry["required"])
        source = self.delivery.find(entry.get("path"), scope, optional=optional)
        if source is None:
            return {}
        if not self.delivery.tree.is_file(source):
            scope.refuse("is a folder; an env file is a file")
            return {}
        data, most = scope.policy.read(source), limits.VARIABLES_BYTES.most
        try:
            env_files.check(data)
            return env_files.variables(data, scope.policy.variables, most, raw=entry.get("format") == "raw")
        except ValueError as error:
            scope.refuse(str(error))
            return {}

    def root_labels(self) -> dict[str, str]:
        """Return the labels that everything of the sandbox carries, as values of a compose file."""
        return {key: escape(text) for key, text in sorted(self.root.policy.labels.items())}

    def references(self, value: Any, name: str, scope: Scope, *, mounted: bool = False) -> list[Any]:
        """Return the secrets that a service or its build is given; ``mounted`` ones are files of the container."""
        return [self._secret(item, name, here, mounted) for here, item in scope.items(value)]

    def _volume(self, item: Any, name: str, scope: Scope) -> dict[str, Any] | None:
        volume = scope.only(scope.mapping(item), _VOLUME)
        volume.pop("consistency", None)
        read_only = not off(volume.pop("read_only", None))
        kind = volume.get("type")
        target(volume.get("target"), scope.at("target"))
        if kind == "bind":
            self._bind(volume, name, scope)
        elif kind == "volume" and volume.get("source") is None and scope.policy.podman:
            # podman-compose has no volumes without a name, and gives the names that it makes up no labels.
            digest = hashlib.sha256(str(volume.get("target")).encode()).hexdigest()[:8]
            volume["source"] = f"anonymous-{name}-{digest}"
            self.volumes.add(volume["source"])
        elif kind == "volume":
            self._named(volume, scope)
        elif kind == "tmpfs":
            here = scope.at("tmpfs")
            options = here.only(here.mapping(volume.get("tmpfs")), ("size", "mode"))
            if "size" in options and size(options["size"]) is None:
                here.at("size").refuse(f"{shown(options['size'])} is not a size such as 64m")
            if "mode" in options:
                _mode(options["mode"], here.at("mode"))
            volume["tmpfs"] = options
        else:
            scope.at("type").refuse(f"{kind!r} is not a supported mount type: bind, volume or tmpfs")
        kept = {
            key: volume[key] for key in ("type", "source", "target", str(kind)) if volume.get(key) not in (None, {})
        }
        return kept | ({"read_only": True} if read_only else {})

    def _bind(self, volume: dict[str, Any], name: str, scope: Scope) -> None:
        here = scope.at("bind")
        options = here.only(
            here.mapping(volume.get("bind")), ("create_host_path", "propagation", "recursive", "selinux")
        )
        if str(options.pop("propagation", "rprivate")) not in ("private", "rprivate"):
            here.at("propagation").refuse("would propagate mounts between container and host; remove it")
        if str(options.get("selinux", "z")) not in ("z", "Z"):
            here.at("selinux").refuse("may be z or Z")
        if "recursive" in options:
            _recursive(options["recursive"], here.at("recursive"))
        volume["bind"] = options | {"create_host_path": False}
        source = self.delivery.find(volume.get("source"), scope.at("source"))
        if source is not None:
            volume["source"] = self.delivery.path_on_host(source, name, live=True)

    def _named(self, volume: dict[str, Any], scope: Scope) -> None:
        here = scope.at("volume")
        options = here.only(here.mapping(volume.get("volume")), ("nocopy", "subpath"))
        if "nocopy" in options:
            options["nocopy"] = flag(options["nocopy"], here.at("nocopy"))
        if "subpath" in options and scope.policy.podman:
            # Docker, from version 26 on, opens it without leaving the volume; Podman follows links out of it.
            here.at("subpath").refuse("is not kept inside the volume by Podman; mount the whole volume")
        elif "subpath" in options:
            path = _subpath(options["subpath"], here.at("subpath"))
            if path is not None and ".." in path.split("/"):
                here.at("subpath").refuse("points outside the volume")
        volume["volume"] = options
        source = volume.get("source")
        if source is None:
            return
        declared = self.model.get("volumes")
        if not isinstance(source, str) or not isinstance(declared, dict) or source not in declared:
            scope.at("source").refuse(f"{source!r} is not a volume of the compose file; declare it under `volumes`")
            return
        self.volumes.add(source)

    def _reference(self, item: Any, kind: str, scope: Scope) -> tuple[dict[str, Any], str, dict[str, Any]] | None:
        """Return a service's reference to a config or secret: the reference, its name, and the top-level entry."""
        reference = scope.only(scope.mapping(item), _REFERENCE)
        name = reference.get("source")
        section = self.model.get(kind)
        if not isinstance(name, str) or not isinstance(section, dict) or name not in section:
            scope.refuse(f"{shown(name)} is not declared; declare it under `{kind}`")
            return None
        if not valid_name(name, self.root.at(kind).at(name)):
            return None
        if "target" in reference:
            target(reference["target"], scope.at("target"), relative=kind == "secrets")
        top = self.root.at(kind).at(name)
        return reference, name, top.mapping(section[name])

    def _config(self, item: Any, service: str, scope: Scope) -> dict[str, Any] | None:
        found = self._reference(item, "configs", scope)
        if found is None:
            return None
        reference, name, entry = found
        top = self.root.at("configs").at(name)
        if not off(entry.get("external")):
            top.at("external").refuse("is not made by the sandbox; use `file` or `content`")
        elif isinstance(entry.get("content"), str) and not scope.policy.podman:
            digest = hashlib.sha256(entry["content"].encode(errors="surrogatepass")).hexdigest()
            self.delivery.used[service].add(f"config:{name}:{digest}")
            self.configs[name] = {"content": entry["content"]}
        elif "file" in entry:
            source = self.delivery.find(entry["file"], top.at("file"))
            if source is None:
                return None
            access = self._access(reference, source, scope)
            path = self.delivery.path_on_host(source, service, access=access)
            if scope.policy.podman:
                where = reference.get("target") or f"/{name}"
                bind = {"create_host_path": False}
                return {"type": "bind", "source": path, "target": where, "read_only": True, "bind": bind}
            return self._named_so(self.configs, reference, access, path, default=f"/{name}")
        else:
            top.refuse("must have a `file`" + ("" if scope.policy.podman else " or `content`") + " of the input")
        return reference

    def _secret(self, item: Any, service: str, scope: Scope, mounted: bool) -> dict[str, Any] | None:
        found = self._reference(item, "secrets", scope)
        if found is None:
            return None
        reference, name, entry = found
        if not mounted:  # the build step itself determines who may read it
            take_access(reference, scope)
            if scope.policy.podman and "/" in str(reference.get("target")):
                scope.at("target").refuse("is the name of a build secret, which has no `/` on Podman")
        top = self.root.at("secrets").at(name)
        from_env = entry.get("environment")
        ours = name if name in scope.policy.secrets else str(from_env)
        if ours in scope.policy.secrets:
            secret = scope.policy.secrets[ours]
            access = take_access(reference, scope) if mounted else None
            self.delivery.used[service].add(f"secret:{ours}:{secret.version}:{access.words if access else 'all'}")
            path = self.delivery.secret_on_host(secret, access)
            return self._named_so(self.secrets, reference, access, path, default=name)
        if not off(entry.get("external")):
            top.at("external").refuse("is not made by the sandbox; name it under `secretRefs` in the Sandbox manifest")
        elif "file" in entry:
            source = self.delivery.find(entry["file"], top.at("file"))
            if source is not None:
                access = self._access(reference, source, scope) if mounted else None
                path = self.delivery.path_on_host(source, service, access=access)
                return self._named_so(self.secrets, reference, access, path, default=name)
        elif from_env is not None:
            top.at("environment").refuse(f"{from_env} is no secret of this sandbox; name it under `secretRefs`")
        else:
            top.refuse("must have a `file`, or be named under `secretRefs` in the Sandbox manifest")
        return None

    def _access(self, reference: dict[str, Any], source: str, scope: Scope) -> Access | None:
        """Return who may read a file of the input; None, the default, is everybody in the container, as git has it."""
        access = take_access(reference, scope)
        if access is not None and not self.delivery.tree.is_file(source):
            scope.refuse("is a folder, which has no `uid`, `gid` and `mode` of its own; name a file")
            return None
        return access

    def _named_so(
        self, entries: dict[str, Any], reference: dict[str, Any], access: Access | None, path: str, *, default: str
    ) -> dict[str, Any]:
        """Return a reference to a separate entry for the file.

        One file may be given to several services in several ways.
        """
        key = str(reference["source"])
        if access is not None:
            key = f"{key}.{'.'.join(access.words)}"
            while key in self.model["secrets" if entries is self.secrets else "configs"]:
                key += "_"
            reference = reference | {"source": key, "target": reference.get("target") or default}
        entries[key] = {"file": path}
        return reference


def target(value: Any, scope: Scope, *, relative: bool = False) -> None:
    """Refuse a path in the container that is not absolute, or that could be read as more than a path."""
    good = (
        isinstance(value, str) and 0 < len(value) <= 1024 and not _UNFIT.search(value) and ".." not in value.split("/")
    )
    if not good or not (posixpath.isabs(value) or (relative and "/" not in value)):
        scope.refuse(f"{shown(value)} is not an absolute path in the container without `:`, `,` and `..`")


def _from(item: Any, scope: Scope) -> str | None:
    """Return another service's mounts, as that service has them or read-only: Podman lets `rw` undo its `ro`."""
    if not isinstance(item, str) or item.startswith("container:"):
        scope.refuse("names a container outside the sandbox; name a service")
        return None
    name, colon, mode = item.partition(":")
    if name not in scope.services:
        scope.refuse(f"{shown(item)} is not a service of the compose file, with `:ro` behind it or not")
    elif colon and mode not in ("ro", "rw"):
        scope.refuse(f"{mode!r} is not a way to mount; it may be ro or rw")
    else:
        return f"{name}:ro" if mode == "ro" else name
    return None
