"""What the backends find wrong in the inputs of a fleet's sandboxes, with the places in their repositories."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.extensions.capabilities import SupportsJudging
from sandboxer.model.text import plain_line, redact_urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.extensions.capabilities import Judgement, ProfileFinding
    from sandboxer.extensions.registry import Registry
    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.model.documents import Manifests
    from sandboxer.model.protocols import InputSource, InputTree


def judged(
    fleet: Fleet, manifests: Manifests, files: Mapping[str, bytes], registry: Registry, inputs: InputSource
) -> Fleet:
    """Return the fleet whose sandboxes have the findings of their backends.

    ``files`` are the manifests' bytes. A sandbox without an input, or whose backend judges none, has no findings. Raise
    ExtensionError.
    """
    by_extension: dict[str, list[DesiredSandbox]] = {}
    for desired in fleet.sandboxes.values():
        if desired.tree is not None:
            by_extension.setdefault(desired.profile.spec.extension, []).append(desired)
    sandboxes = dict(fleet.sandboxes)
    for name, wanting in by_extension.items():
        backend = registry.get(name)
        # Whether a description names this capability does not matter: one of an earlier release does not.
        if not isinstance(backend, SupportsJudging):
            continue
        judgements = backend.judge(wanting, inputs)
        for desired in wanting:
            if (judgement := judgements.get(desired.name)) is not None:
                found = tuple(_placed(judgement, desired, manifests, files))
                sandboxes[desired.name] = replace(desired, diagnostics=found)
    return replace(fleet, sandboxes=sandboxes)


def _placed(
    judgement: Judgement, desired: DesiredSandbox, manifests: Manifests, files: Mapping[str, bytes]
) -> Iterator[Diagnostic]:
    for found in judgement.of_profile:
        yield _in_profile(found, desired, manifests, files)
    for one in judgement.diagnostics:
        yield _in_repository(one, desired.tree) if desired.tree else one


def _in_repository(found: Diagnostic, tree: InputTree) -> Diagnostic:
    """Return a finding in a file of an input: by its path in the fleet's folder, or in the repository that it names."""
    file = posixpath.normpath(posixpath.join(tree.path, found.location.file))
    repo = posixpath.normpath(tree.repo) if "://" not in tree.repo else ""
    inside = repo and not repo.startswith(("..", "/")) and ":" not in repo
    if inside:
        file = posixpath.normpath(posixpath.join(repo, file))
    location = replace(found.location, file=file)
    return replace(found, location=location, repo="" if inside else redact_urls(tree.repo))


def _in_profile(
    found: ProfileFinding, desired: DesiredSandbox, manifests: Manifests, files: Mapping[str, bytes]
) -> Diagnostic:
    """Return a finding about a key of a profile, with its place in the manifest."""
    document = manifests.document("Profile", desired.profile.metadata.name)
    if document is None:
        return Diagnostic("error", found.code, found.message, Location(""), found.hint)
    location, width = document.positions.span(found.path)
    lines = files.get(document.file, b"").decode("utf-8-sig", "replace").splitlines()
    line = plain_line(lines[location.line - 1]) if location.line <= len(lines) else ""
    return Diagnostic("error", found.code, found.message, location, found.hint, line, width)
