"""From files to manifests: every document parsed, validated and checked against the others, with all findings."""

from __future__ import annotations

from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sandboxer.model.documents import Document, Manifests
from sandboxer.model.manifest import API_VERSION, KINDS, Extension, Fleet, Host, Profile, Sandbox
from sandboxer.model.suggestion import did_you_mean, nearest
from sandboxer.model.text import is_name, printable
from sandboxer.profiles import yaml_nodes
from sandboxer.profiles.checks import check
from sandboxer.profiles.findings import report_errors
from sandboxer.profiles.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeVar

    from sandboxer.model.manifest import AnyManifest

    M = TypeVar("M", bound=AnyManifest)


_BEFORE = {"observe", "provision", "teardown"}


def load(files: Mapping[str, bytes]) -> Manifests:
    """Read a fleet's manifests: paths relative to the fleet's root, with forward slashes, and their bytes.

    Never raise for any content: errors are in ``diagnostics``, and documents with errors have no model.
    """
    report = Report()
    budget = yaml_nodes.Budget()
    documents: list[Document] = []
    for file in sorted(files):
        documents += _read(file, files[file], report, budget)
        if budget.left < 0:  # unread documents cannot be checked
            break
    built_in = built_in_extensions()
    if budget.left >= 0:
        check(report, files, documents, built_in)
    fleets = _by_name(documents, Fleet)
    return Manifests(
        fleet=next(iter(fleets.values()), None),
        hosts=_by_name(documents, Host),
        profiles=_by_name(documents, Profile),
        extensions={**built_in, **_described(_by_name(documents, Extension), built_in)},
        sandboxes=_by_name(documents, Sandbox),
        documents=tuple(documents),
        diagnostics=report.diagnostics(),
    )


@cache
def built_in_extensions() -> Mapping[str, Extension]:
    """Return the extensions that ship with Sandboxer, from the descriptions beside their code."""
    folder = FilePath(__file__).parent.parent / "extensions"
    found: dict[str, Extension] = {}
    for path in sorted(folder.glob("*/description.yaml")):
        for document in _read(path.name, path.read_bytes(), Report()):
            if isinstance(document.model, Extension):
                found[document.model.metadata.name] = document.model
    return found


def _described(extensions: Mapping[str, Extension], built_in: Mapping[str, Extension]) -> dict[str, Extension]:
    """Return the fleet's descriptions.

    An older one does not list the optional operations: a built-in implementation then has its own.
    """
    own = {one.spec.implementation: one.spec for one in built_in.values()}
    found = dict(extensions)
    for name, extension in extensions.items():
        spec, shipped = extension.spec, own.get(extension.spec.implementation)
        if shipped and not {*spec.capabilities.operations} - _BEFORE:
            can = spec.capabilities.model_copy(update={"operations": shipped.capabilities.operations})
            update = {"capabilities": can, "default_files": spec.default_files or shipped.default_files}
            found[name] = extension.model_copy(update={"spec": spec.model_copy(update=update)})
    return found


def _by_name(documents: list[Document], kind: type[M]) -> dict[str, M]:
    """Return the valid documents of a kind, by name; the first where a name occurs twice."""
    found: dict[str, M] = {}
    for document in documents:
        if isinstance(document.model, kind):
            found.setdefault(document.model.metadata.name, document.model)
    return found


def _read(file: str, data: bytes, report: Report, budget: yaml_nodes.Budget | None = None) -> Iterator[Document]:
    """Yield the documents of one file that are of a known kind; report the errors of each document."""
    source = yaml_nodes.read(file, data, budget)
    report.add_source(source)
    for root in source.documents:
        raw = Document(
            "", None, file, root.value if isinstance(root.value, dict) else {}, None, yaml_nodes.Positions(file, root)
        )
        if not isinstance(root.value, dict):
            message = f"a manifest must be a mapping, found {yaml_nodes.describe(root.value)}"
            report.add(raw, (), "wrong-type", message, "write apiVersion, kind, metadata and spec")
        elif (kind := _kind(raw, report)) is not None:
            yield _validate(raw, kind, report)


def _kind(document: Document, report: Report) -> str | None:
    """Return the document's kind if it is known.

    Otherwise that is its only finding, as its keys then mean nothing.
    """
    value: Any = document.value.get("kind")
    if isinstance(value, str) and value in KINDS:
        return value
    if not report.room(document.file):
        report.skip(document.file)
    elif "kind" not in document.value:
        hint = f"add `kind`: one of {', '.join(KINDS)}"
        report.add(document, (), "missing-key", "missing key `kind` in a manifest", hint)
    elif isinstance(value, str):
        report.add(
            document, ("kind",), "unknown-kind", f"unknown kind `{printable(value)}`", did_you_mean(value, KINDS)
        )
    else:
        message = f"`kind` must be a string, found {yaml_nodes.describe(value)}"
        report.add(document, ("kind",), "wrong-type", message, f"one of {', '.join(KINDS)}")
    return None


def _validate(raw: Document, kind: str, report: Report) -> Document:
    """Return the document with its model, or without a model and with its errors reported."""
    metadata = raw.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    document = Document(kind, name if is_name(name) else None, raw.file, raw.value, None, raw.positions)
    known_version = _check_version(document, report)
    _check_numbers(document, report)
    value = raw.value if known_version else {**raw.value, "apiVersion": API_VERSION}
    try:
        model = KINDS[kind].model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        report_errors(report, document, KINDS[kind], error)
        return document
    return Document(kind, document.name, raw.file, raw.value, model if known_version else None, raw.positions)


def _check_version(document: Document, report: Report) -> bool:
    version = document.value.get("apiVersion", API_VERSION)
    if version == API_VERSION or not isinstance(version, str):
        return True
    hint = f"did you mean `{API_VERSION}`?" if nearest(version, [API_VERSION]) else f"write `{API_VERSION}`"
    report.add(document, ("apiVersion",), "unknown-api-version", f"unknown apiVersion `{printable(version)}`", hint)
    return False


def _check_numbers(document: Document, report: Report) -> None:
    """Report a number whose text would change: an environment holds text, so it has to be quoted."""
    spec = document.value.get("spec")
    env = spec.get("env") if document.kind == "Sandbox" and isinstance(spec, dict) else None
    for name, value in env.items() if isinstance(env, dict) else ():
        path = ("spec", "env", name)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and document.positions.text(path) != str(value)
        ):
            message = f"`spec.env.{printable(name)}` is a number whose spelling would be lost"
            report.add(document, path, "ambiguous-number", message, "quote it")
