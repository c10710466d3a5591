"""Checks across documents: references, duplicates, and limits that another document sets.

The checks read the plain documents, so that they also cover a document with an error elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sandboxer.model.manifest import Extension, Fleet, Host, Profile, Sandbox
from sandboxer.model.quantity import format_duration, parse_duration
from sandboxer.model.request import FILE as REQUEST_FILE
from sandboxer.model.suggestion import did_you_mean, nearest
from sandboxer.model.text import is_env_name, is_host_key, is_name, printable
from sandboxer.profiles.findings import subject
from sandboxer.profiles.setup_schema import check_schema, check_setup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sandboxer.model.documents import Document
    from sandboxer.model.fleet_manifests import Secrets
    from sandboxer.profiles.report import Report
    from sandboxer.profiles.yaml_nodes import Path

FLEET_FILE = "sandboxer.yaml"


def check(report: Report, files: Iterable[str], documents: list[Document], built_in: Mapping[str, Extension]) -> None:
    """Report every error between the documents. ``built_in`` are extensions that need no document."""
    _check_fleets(report, files, documents)
    _check_duplicates(report, documents)
    known = _Known(documents, built_in)
    for document in documents:
        if document.kind == "Sandbox":
            _check_sandbox(report, document, known)
        elif document.kind == "Profile":
            _check_profile(report, document, known)
        elif document.kind == "Extension":
            _check_extension(report, document)
        elif document.kind == "Host":
            _check_host(report, document)
            _check_chosen(report, document, known)
        elif document.kind == "Fleet":
            _check_allowed(report, document, known)


class _Known:
    """The names of all documents, including those with errors, and the models of those without."""

    def __init__(self, documents: list[Document], built_in: Mapping[str, Extension]) -> None:
        self.names: dict[str, set[str]] = defaultdict(set)
        self.names["Extension"] = set(built_in)
        self.hosts: dict[str, Host] = {}
        self.profiles: dict[str, Profile] = {}
        self.extensions: dict[str, Extension] = dict(built_in)
        self.secrets: Secrets | None = None
        self.variables: dict[str, set[str]] = defaultdict(set)  # of a profile's sandboxes, by its name
        for document in documents:
            if document.name is not None:
                self.names[document.kind].add(document.name)
            model = document.model
            if isinstance(model, Profile):
                self.profiles.setdefault(model.metadata.name, model)
            elif isinstance(model, Host):
                self.hosts.setdefault(model.metadata.name, model)
            elif isinstance(model, Extension):
                self.extensions[model.metadata.name] = model
            elif isinstance(model, Fleet):
                self.secrets = model.spec.secrets
            elif isinstance(model, Sandbox):
                self.variables[model.spec.profile].update(model.spec.env)


def _at(document: Document, *path: str | int) -> Any:
    """Return the plain value at ``path``; None without one."""
    value: Any = document.value
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _check_fleets(report: Report, files: Iterable[str], documents: list[Document]) -> None:
    fleets = [document for document in documents if document.kind == "Fleet"]
    for document in fleets:
        if document.file != FLEET_FILE:
            message = f"the Fleet must be in {FLEET_FILE}"
            report.add(document, ("kind",), "misplaced-fleet", message, f"move it to {FLEET_FILE}")
    if not fleets and not report.positions(FLEET_FILE):
        what = "contains no Fleet" if FLEET_FILE in files else "is missing"
        report.add_file(FLEET_FILE, "missing-fleet", f"{FLEET_FILE} {what}", "add one Fleet document to this file")
    for document in fleets[1:]:
        message = f"duplicate Fleet; the first one is at {fleets[0].locate()}"
        report.add(document, ("kind",), "duplicate-name", message, "remove one of the two")


def _check_duplicates(report: Report, documents: list[Document]) -> None:
    first: dict[tuple[str, str], Document] = {}
    for document in sorted(documents, key=lambda one: one.file == REQUEST_FILE):  # the request comes last
        if document.name is None or document.kind == "Fleet":
            continue
        other = first.setdefault((document.kind, document.name), document)
        if other is not document:
            message = (
                f"duplicate {document.kind} `{document.name}`; the first one is at {other.locate(('metadata', 'name'))}"
            )
            report.add(document, ("metadata", "name"), "duplicate-name", message, "rename or remove one of the two")


def _check_reference(report: Report, document: Document, path: Path, kind: str, name: Any, known: _Known) -> None:
    if not is_name(name) or name in known.names[kind] or not report.room(document.file):
        return
    hint = did_you_mean(name, known.names[kind]) or f"add a {kind} to the fleet first"
    message = f"{subject(path)} refers to the {kind} `{printable(name)}`, which does not exist"
    report.add(document, path, "unknown-reference", message, hint)


def _check_sandbox(report: Report, document: Document, known: _Known) -> None:
    profile = _at(document, "spec", "profile")
    _check_reference(report, document, ("spec", "profile"), "Profile", profile, known)
    for index, host in _items(_at(document, "spec", "placement", "hosts")):
        _check_reference(report, document, ("spec", "placement", "hosts", index), "Host", host, known)
        _check_host_fits(report, document, ("spec", "placement", "hosts", index), host, profile, known)
    model = known.profiles.get(profile) if isinstance(profile, str) else None
    _check_ttl(report, document, model)
    _check_supported(report, document, known.extensions.get(model.spec.extension) if model else None)
    _check_sensitive(report, document)
    for index, secret in _items(_at(document, "spec", "secretRefs")):
        source = secret.get("from") if isinstance(secret, dict) else None
        if isinstance(source, str) and source.startswith(("env:", "file:")):
            _check_secret(report, document, ("spec", "secretRefs", index, "from"), source, known)


def _check_sensitive(report: Report, document: Document) -> None:
    """Report a name that is no variable: a typing error would show the value that it is to hide."""
    env = _at(document, "spec", "env")
    known = set(env) if isinstance(env, dict) else set()
    for index, name in _items(_at(document, "spec", "sensitive")):
        if is_env_name(name) and name not in known and report.room(document.file):
            path: Path = ("spec", "sensitive", index)
            message = f"{subject(path)} lists `{printable(name)}`, which `spec.env` does not set"
            hint = did_you_mean(name, known) or "remove it, or list the profile's variables in the Profile"
            report.add(document, path, "unknown-variable", message, hint)


def _check_sensitive_names(report: Report, document: Document, known: _Known) -> None:
    """Warn of a name that none of the profile's sandboxes sets, if one of them sets a similar one."""
    variables = known.variables.get(document.name or "", set())
    for index, name in _items(_at(document, "spec", "sensitive")):
        meant = nearest(name, variables) if isinstance(name, str) and name not in variables else None
        if meant is not None and report.room(document.file):
            path: Path = ("spec", "sensitive", index)
            message = f"{subject(path)} lists `{printable(name)}`, which no Sandbox of this profile sets"
            report.add(document, path, "unknown-variable", message, f"did you mean `{meant}`?", severity="warning")


def _check_secret(report: Report, document: Document, path: Path, source: str, known: _Known) -> None:
    """Report a secret that the Fleet does not allow to this sandbox. A request learns no more than that."""
    actor, project = _at(document, "spec", "consumer", "actor"), _at(document, "spec", "consumer", "project")
    consumer = f"{actor}/{project}" if isinstance(actor, str) and isinstance(project, str) else None
    profile, imperative = str(_at(document, "spec", "profile")), document.file == REQUEST_FILE
    if known.secrets is None or known.secrets.permits(source, profile, consumer, imperative=imperative):
        return
    entries = [one for one in known.secrets.allow if one.ref == source]
    if imperative:
        message = f"{subject(path)} refers to a secret that the Fleet does not allow for this profile and consumer"
        hint = f"allow the secret in spec.secrets.allow of {FLEET_FILE} with `ref`, `profiles` and `consumers`"
    elif entries:
        message = f"{subject(path)} refers to a secret that the Fleet does not allow for this profile and consumer"
        whose = f" and consumer `{printable(consumer)}`" if consumer else " without a consumer"
        hint = f"allow the secret in spec.secrets.allow of {FLEET_FILE} for `{printable(profile)}`{whose}"
    else:
        message = f"{subject(path)} refers to a secret that the Fleet does not allow"
        hint = f"add `{printable(source)}` to spec.secrets.allow in {FLEET_FILE}"
    report.add(document, path, "secret-not-allowed", message, hint)


def _check_allowed(report: Report, document: Document, known: _Known) -> None:
    """Report secrets that are bound to profiles that do not exist."""
    for index, entry in _items(_at(document, "spec", "secrets", "allow")):
        for number, name in _items(entry.get("profiles") if isinstance(entry, dict) else None):
            path: Path = ("spec", "secrets", "allow", index, "profiles", number)
            _check_reference(report, document, path, "Profile", name, known)


def _check_host_fits(report: Report, document: Document, path: Path, host: Any, profile: Any, known: _Known) -> None:
    """Report a named host that the profile's extension cannot reach, or whose engine it cannot drive."""
    if not (isinstance(host, str) and host in known.hosts and isinstance(profile, str) and profile in known.profiles):
        return
    extension = known.extensions.get(known.profiles[profile].spec.extension)
    if extension is None:
        return
    spec, can = known.hosts[host].spec, extension.spec.capabilities
    required = (("connection", spec.connection, can.connections), ("runtime", spec.runtime, can.runtimes))
    for key, value, offered in required:
        if value not in offered and value != "auto" and offered:
            message = f"{subject(path)} refers to {host} with {key} {value}, unsupported by {extension.metadata.name}"
            report.add(document, path, "unsupported", message, f"choose one of: {', '.join(offered)}")


def _check_ttl(report: Report, document: Document, profile: Profile | None) -> None:
    text = _at(document, "spec", "ttl")
    if profile is None or not isinstance(text, str):
        return
    try:
        ttl = parse_duration(text)
    except ValueError:
        return
    most = profile.spec.ttl.max
    if ttl > most:
        message = f"`spec.ttl` is {printable(text)}, but {profile.metadata.name} allows at most {format_duration(most)}"
        report.add(document, ("spec", "ttl"), "out-of-range", message, f"write {format_duration(most)} or less")


def _check_profile(report: Report, document: Document, known: _Known) -> None:
    name = _at(document, "spec", "extension")
    _check_reference(report, document, ("spec", "extension"), "Extension", name, known)
    extension = known.extensions.get(name) if isinstance(name, str) else None
    if extension is None:
        return
    _check_supported(report, document, extension)
    _check_sensitive_names(report, document, known)
    kinds = extension.spec.capabilities.isolation
    _check_declared(report, document, ("spec", "isolation"), _at(document, "spec", "isolation"), kinds)
    if not isinstance(document.model, Profile):
        return
    for path, message, hint in check_setup(document.model.spec.setup, extension):
        report.add(document, ("spec", "setup", *path), "bad-setup", message, hint)


def _check_supported(report: Report, document: Document, extension: Extension | None) -> None:
    """Report the keys that are set although the extension declares that it cannot carry them out."""
    if extension is None:
        return
    for key in extension.spec.unsupported:
        path: Path = ("spec", *key.split("."))
        if path[-1] in (_at(document, *path[:-1]) or {}) and report.room(document.file):
            message = f"{subject(path)} is not supported by {extension.metadata.name}"
            report.add(document, path, "unsupported", message, "remove it, or choose a profile of another extension")


def _check_extension(report: Report, document: Document) -> None:
    if isinstance(document.model, Extension) and document.model.spec.setup_schema is not None:
        for path, message, hint in check_schema(document.model.spec.setup_schema):
            report.add(document, ("spec", "setupSchema", *path), "bad-schema", message, hint)


def _check_host(report: Report, document: Document) -> None:
    key = document.model.spec.host_key if isinstance(document.model, Host) else None
    if key is not None and not is_host_key(key):
        message = "`spec.hostKey` is not a valid public key: connections to the host will fail"
        hint = "use a line of `ssh-keyscan HOST`, without the host's name"
        report.add(document, ("spec", "hostKey"), "bad-host-key", message, hint, severity="warning")


def _check_chosen(report: Report, document: Document, known: _Known) -> None:
    """Report a host's connection or engine that no extension declares."""
    able = [one.spec.capabilities for one in known.extensions.values()]
    connections = dict.fromkeys(name for can in able for name in can.connections)
    connection = _at(document, "spec", "connection") or "ssh"
    _check_declared(report, document, ("spec", "connection"), connection, [*connections])
    runtimes = dict.fromkeys(name for can in able for name in can.runtimes)
    runtime = _at(document, "spec", "runtime") or "auto"
    _check_declared(report, document, ("spec", "runtime"), runtime, [*runtimes, "auto"])


def _check_declared(report: Report, document: Document, path: Path, value: Any, declared: Sequence[str]) -> None:
    """Report a name that no extension declares which is meant here; what is no name is an error already."""
    if not is_name(value) or value in declared or not report.room(document.file):
        return
    expected = " or ".join(f"`{word}`" for word in declared)
    hint = did_you_mean(value, declared) if len(declared) > 1 else f"write `{declared[0]}`"
    message = f"{subject(path)} must be {expected}, found `{printable(value)}`"
    report.add(document, path, "bad-value", message, hint)


def _items(value: Any) -> Iterator[tuple[int, Any]]:
    return enumerate(value) if isinstance(value, list) else iter(())
