"""Normalises what Compose accepts in several forms to the long one, as ``docker compose config`` prints it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REMOTE_CONTEXT = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://|^git@|^github\.com/")

_LISTS = ("cap_add", "cap_drop", "cache_from", "dns", "dns_opt", "dns_search", "env_file", "expose", "group_add",
          "links", "security_opt", "tmpfs", "volumes_from")  # fmt: skip
_MAPS = ("environment", "labels", "args", "sysctls", "additional_contexts", "annotations")
_PROPAGATION = ("shared", "rshared", "slave", "rslave", "private", "rprivate")


def normalise(model: Mapping[str, Any], project_dir: str, *, literal: bool = False) -> dict[str, Any]:
    """Return the long form of a merged compose model; parts already in it, as from ``docker compose config``, stay.

    ``project_dir`` is the absolute path on the host that relative paths start from. ``literal`` says that the values
    are interpolated and a ``$`` in them stands for itself, as ``podman-compose config`` prints them. In the result a
    ``$`` is always written ``$$``, because ``up`` interpolates again. Values of a wrong type stay as they are: harden
    refuses them. Published ports stay in short syntax, because none of them is kept.
    """
    result: dict[str, Any] = _copy(dict(model), literal)
    for kind in ("services", "networks", "volumes", "secrets", "configs"):
        change = _service if kind == "services" else _resource
        if isinstance(result.get(kind), dict):
            section = result[kind].items()
            result[kind] = {name: change({} if entry is None else entry, project_dir) for name, entry in section}
    return result


def _copy(value: Any, literal: bool) -> Any:
    if isinstance(value, dict):
        return {str(_copy(key, literal)): _copy(item, literal) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item, literal) for item in value]
    return value.replace("$", "$$") if literal and isinstance(value, str) else value


def _resource(entry: Any, project_dir: str) -> Any:
    if isinstance(entry, dict):
        if isinstance(entry.get("file"), str):
            entry["file"] = absolute(entry["file"], project_dir)
        if "labels" in entry:
            entry["labels"] = _mapped(entry["labels"])
    return entry


def _service(service: Any, project_dir: str) -> Any:
    if not isinstance(service, dict):
        return service
    if isinstance(service.get("build"), str):
        service["build"] = {"context": service["build"]}
    _shared(service)
    if isinstance(service.get("build"), dict):
        service["build"] = _build(service["build"], project_dir)
    _each(service, "volumes", lambda item: _volume(item, project_dir))
    _each(service, "env_file", lambda item: _env_file(item, project_dir))
    _each(service, "configs", _source)
    _each(service, "expose", _text)
    if isinstance(service.get("networks"), list):
        service["networks"] = {str(name): None for name in service["networks"]}
    if not service.get("networks") and not service.get("network_mode"):
        service["networks"] = {"default": None}
    if isinstance(service.get("depends_on"), list):
        service["depends_on"] = {
            str(name): {"condition": "service_started", "required": True} for name in service["depends_on"]
        }
    return service


def _shared(part: dict[str, Any]) -> None:
    """Normalise the keys that services and builds have in common."""
    for key in _LISTS:
        if part.get(key) is not None and not isinstance(part[key], list | dict):
            part[key] = [part[key]]
    for key in _MAPS:
        if key in part:
            part[key] = _mapped(part[key])
    if "extra_hosts" in part:
        part["extra_hosts"] = _hosts(part["extra_hosts"])
    _each(part, "secrets", _source)


def _build(build: dict[str, Any], project_dir: str) -> dict[str, Any]:
    _shared(build)
    build["context"] = _context(build.get("context", "."), project_dir)
    if isinstance(build.get("additional_contexts"), dict):
        contexts = build["additional_contexts"].items()
        build["additional_contexts"] = {name: _context(value, project_dir) for name, value in contexts}
    return build


def _context(value: Any, project_dir: str) -> Any:
    if not isinstance(value, str) or value.startswith("service:") or REMOTE_CONTEXT.match(value):
        return value
    return absolute(value, project_dir)


def absolute(path: str, folder: str) -> str:
    """Return a path made absolute and cleaned; one in a home directory stays as it is, because nobody has one here."""
    return path if path.startswith("~") else posixpath.normpath(posixpath.join(folder, path))


def _volume(item: Any, project_dir: str) -> Any:
    volume = _short_volume(item) if isinstance(item, str) else item
    if isinstance(volume, dict) and volume.get("type") == "bind" and isinstance(volume.get("source"), str):
        volume["source"] = absolute(volume["source"], project_dir)
    return volume


def _short_volume(text: str) -> dict[str, Any]:
    parts = text.split(":", 2)
    if len(parts) == 1:
        return {"type": "volume", "target": text}
    kind = "bind" if parts[0][:1] in ("/", ".", "~") else "volume"
    volume: dict[str, Any] = {"type": kind, "source": parts[0], "target": parts[1]}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            volume["read_only"] = option == "ro"
        elif option in ("z", "Z"):
            volume.setdefault("bind", {})["selinux"] = option
        elif option in _PROPAGATION:
            volume.setdefault("bind", {})["propagation"] = option
        elif option == "nocopy":
            volume["volume"] = {"nocopy": True}
        else:
            volume.setdefault("options", []).append(option)
    return volume


def _env_file(item: Any, project_dir: str) -> Any:
    entry = {"path": item, "required": True} if isinstance(item, str) else item
    if isinstance(entry, dict) and isinstance(entry.get("path"), str):
        entry["path"] = absolute(entry["path"], project_dir)
    return entry


def _source(item: Any) -> Any:
    return {"source": item} if isinstance(item, str) else item


def _hosts(value: Any) -> Any:
    """Return host entries as ``name=address``, which both Compose tools accept with the colons of IPv6."""
    if isinstance(value, dict):
        pairs = [(name, address) for name, many in value.items() for address in _as_list(many)]
        return [f"{name}={address}" for name, address in pairs]
    if isinstance(value, list):
        return [item if "=" in str(item) else str(item).replace(":", "=", 1) for item in value]
    return value


def _mapped(value: Any) -> Any:
    if isinstance(value, list):
        pairs = [str(item).partition("=") for item in value]
        return {key: text if equals else None for key, equals, text in pairs}
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    return {} if value is None else value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _each(part: dict[str, Any], key: str, change: Callable[[Any], Any]) -> None:
    if isinstance(part.get(key), list):
        part[key] = [change(item) for item in part[key]]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
