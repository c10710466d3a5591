"""From manifests to desired sandboxes: the profile merged in, the input's commit resolved, the eligible hosts named."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors import InputUnavailable, ManifestError
from sandboxer.model.desired import DesiredSandbox, Fleet
from sandboxer.model.hidden import Hidden
from sandboxer.model.identity import sandbox_id
from sandboxer.model.jsontypes import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandboxer.model.desired import SecretValue
    from sandboxer.model.documents import Manifests
    from sandboxer.model.manifest import Extension, Host, Profile, Sandbox, SecretRef
    from sandboxer.model.protocols import InputSource, InputTree, Revision
    from sandboxer.model.request import SandboxRequest

    _Source = tuple[str, str, str]  # repository, ref, and the path of the workspace in it
    _Found = tuple[InputTree | None, str | None]

INPUT_SECONDS = 90.0
INPUTS_AT_ONCE = 32


def resolve(
    manifests: Manifests,
    revision: Revision,
    inputs: InputSource | None,
    secret: Callable[[SecretRef], SecretValue],
    former: Sequence[Manifests] = (),
) -> Fleet:
    """Return the desired fleet.

    ``former`` are the manifests of the parent commit (and of the commit itself, where the work tree differs from it): a
    sandbox may still be on a host that they named, so that host is still observed. ``secret`` returns whether a secret
    is available, and its value where this run may read it. Without ``inputs``, no input is read. Raise ManifestError if
    the manifests have errors.
    """
    if not manifests.ok or manifests.fleet is None:
        raise ManifestError(manifests.diagnostics)
    name = manifests.fleet.metadata.name
    # Newest first: the last manifest of a removed host counts.
    gone = {host: model for old in reversed(former) for host, model in old.hosts.items() if host not in manifests.hosts}
    hosts = {**gone, **manifests.hosts}
    documents = {document.name: document.value for document in manifests.documents if document.kind == "Sandbox"}
    found = _find_inputs([_source_of(manifests, model) for model in manifests.sandboxes.values()], inputs)
    sandboxes = {
        sandbox: _desired(name, model, documents[sandbox], manifests, found, secret, former)
        for sandbox, model in manifests.sandboxes.items()
    }
    return Fleet(
        name=name,
        hosts=hosts,
        sandboxes=sandboxes,
        commit=revision.commit,
        root_commit=revision.root_commit,
        committed_at=revision.committed_at,
        dirty=revision.dirty,
        retired=frozenset(gone),
        max_deletes=manifests.fleet.spec.guards.max_deletes,
        allow_empty=manifests.fleet.spec.guards.allow_empty,
        extensions=frozenset(profile.spec.extension for profile in manifests.profiles.values()),
    )


def with_request(fleet: Fleet, request: SandboxRequest, inputs: InputSource) -> Fleet:
    """Return the fleet with the requested sandbox: resolved like git's, imperative, and with its input."""
    git = fleet.sandboxes[request.name]
    given = git.sandbox.spec.inputs
    source = (given.repo, given.ref, git.profile.spec.workspace.path)
    tree, error = _checked(git.needed_files, git.profile, git.sandbox, _find_inputs([source], inputs)[source])
    spec = effective_spec(git.profile, git.sandbox, tree)
    own = replace(
        git, id=request.id, origin="api", request=request, tree=tree, input_error=error, spec=spec, formerly=()
    )
    return replace(fleet, sandboxes={**fleet.sandboxes, request.name: own})


def _desired(
    fleet: str,
    sandbox: Sandbox,
    document: Mapping[str, Any],
    manifests: Manifests,
    found: Mapping[_Source, _Found],
    secret: Callable[[SecretRef], SecretValue],
    former: Sequence[Manifests],
) -> DesiredSandbox:
    profile = manifests.profiles[sandbox.spec.profile]
    extension = manifests.extensions[profile.spec.extension]
    profile, needed = _isolated(profile, extension), _needed(profile, extension)
    name = sandbox.metadata.name
    tree, error = _checked(needed, profile, sandbox, found[_source_of(manifests, sandbox)])
    return DesiredSandbox(
        fleet=fleet,
        id=sandbox_id(fleet, name),
        name=name,
        origin="git",
        profile=profile,
        sandbox=sandbox,
        spec=effective_spec(profile, sandbox, tree),
        spec_digest=digest_of_document(document),
        tiers=tiers(profile, sandbox, manifests.hosts),
        formerly=tuple(_formerly(name, former)),
        needed_files=needed,
        tree=tree,
        input_error=error,
        env={key: Hidden(value) for key, value in sandbox.spec.env.items()},
        secrets=tuple(secret(reference) for reference in sandbox.spec.secret_refs),
        ttl=sandbox.spec.ttl,
        expires_at=sandbox.spec.expires_at,
    )


def digest_of_document(value: Mapping[str, Any]) -> str:
    """Return the digest of a document as parsed: comments, order and quoting do not count.

    A tombstone is bound to it.
    """
    return "sha256:" + hashlib.sha256(canonical(_plain(value))).hexdigest()


def digest_of_manifests(manifests: Manifests) -> str:
    """Return the digest of all documents as parsed.

    The files that they are in, and their order, do not count either.
    """
    documents = sorted(digest_of_document(document.value) for document in manifests.documents)
    return "sha256:" + hashlib.sha256(canonical(documents)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _source_of(manifests: Manifests, sandbox: Sandbox) -> _Source:
    """Return the location of a sandbox's files."""
    given = sandbox.spec.inputs
    return given.repo, given.ref, manifests.profiles[sandbox.spec.profile].spec.workspace.path


def _find_inputs(sources: Iterable[_Source], inputs: InputSource | None) -> Mapping[_Source, _Found]:
    """Return the tree at each location, or why it cannot be read; all of them together within 90 s."""
    # Local ones come first: an unresponsive server delays no other.
    distinct = sorted(set(sources), key=lambda source: (":" in source[0], source))
    if inputs is None:
        return dict.fromkeys(distinct, (None, "the input was not read"))
    deadline = time.monotonic() + INPUT_SECONDS

    def find(source: _Source) -> _Found:
        try:
            return inputs.resolve(*source, deadline), None
        except InputUnavailable as unavailable:
            return None, unavailable.message

    if len(distinct) < 2:
        return {source: find(source) for source in distinct}
    with ThreadPoolExecutor(max_workers=min(INPUTS_AT_ONCE, len(distinct)), thread_name_prefix="input") as pool:
        running = [pool.submit(find, source) for source in distinct]
        try:
            return {source: future.result() for source, future in zip(distinct, running, strict=True)}
        except BaseException:  # an interrupt waits neither for a server nor for a starting git
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(running, timeout=0.2).not_done:
                inputs.give_up()
            raise


def _checked(needed: Sequence[str], profile: Profile, sandbox: Sandbox, found: _Found) -> _Found:
    """Return a tree that has the files that are needed, or why it cannot be used."""
    tree, _ = found
    missing = [path for path in needed if path not in tree.entries] if tree else []
    if tree and missing:
        given, name, are = sandbox.spec.inputs, profile.metadata.name, "is" if len(missing) == 1 else "are"
        where = f"{given.repo} at {given.ref} ({tree.commit[:12]})"
        if "files" in profile.spec.compose.model_fields_set:
            return None, f"{', '.join(missing)}, required by {name}, {are} missing in {where}"
        default = f"{', '.join(missing)}, the default of {profile.spec.extension}, {are} missing in {where}"
        return None, f"{default}, and {name} sets no compose.files"
    return found


def _isolated(profile: Profile, extension: Extension) -> Profile:
    """Return the profile with the kind of isolation that it leaves to its extension."""
    if profile.spec.isolation is not None:
        return profile
    update = {"isolation": extension.spec.capabilities.isolation[0]}
    return profile.model_copy(update={"spec": profile.spec.model_copy(update=update)})


def _needed(profile: Profile, extension: Extension) -> tuple[str, ...]:
    """Return the files that an input must have: those that the profile names, else the extension's default."""
    compose = profile.spec.compose
    return compose.files if "files" in compose.model_fields_set else extension.spec.default_files


def effective_spec(profile: Profile, sandbox: Sandbox, tree: InputTree | None) -> dict[str, Any]:
    """Return what is applied: the profile, overridden by the sandbox, under the manifests' keys and as JSON values.

    Environment and secrets are not included, as they are hidden values. Keys without a value are left out.
    """
    kind = profile.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    own = sandbox.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    spec = {
        key: kind[key]
        for key in ("extension", "isolation", "scope", "network", "workspace", "compose", "resources", "setup")
    }
    spec |= {key: kind[key] for key in ("reachability", "readiness", "costClass") if key in kind}
    spec |= {key: own[key] for key in ("profile", "inputs", "syncPolicy", "suspend")}
    spec |= {key: own[key] for key in ("consumer", "expiresAt") if key in own}
    if "expiresAt" not in own:
        spec["ttl"] = own.get("ttl", kind["ttl"]["default"])
        if profile.spec.ttl.clock == "activity":
            spec["ttlClock"] = "activity"
    spec["labels"] = dict(sandbox.metadata.labels)
    spec["workspace"] = {**kind["workspace"], "digest": f"sha256:{tree.digest}" if tree else None}
    return spec


def tiers(profile: Profile, sandbox: Sandbox, hosts: Mapping[str, Host]) -> tuple[tuple[str, ...], ...]:
    """Return the hosts that each selector of the profile's placement matches, narrowed by the sandbox's, best first."""
    placement = profile.spec.placement
    selectors: Iterable[Mapping[str, str]] = (*placement.prefer, *placement.fallback) or ({},)
    allowed = sandbox.spec.placement.hosts
    matched = (
        tuple(
            name
            for name, host in sorted(hosts.items())
            if selector.items() <= host.metadata.labels.items() and (allowed is None or name in allowed)
        )
        for selector in selectors
    )
    return tuple(tier for tier in matched if tier)


def _formerly(name: str, former: Sequence[Manifests]) -> Iterable[str]:
    seen: dict[str, None] = {}
    for old in former:
        sandbox = old.sandboxes.get(name)
        profile = old.profiles.get(sandbox.spec.profile) if sandbox else None
        if sandbox and profile:
            seen |= dict.fromkeys(host for tier in tiers(profile, sandbox, old.hosts) for host in tier)
    return seen
