"""Where a service's image comes from: built from the input's files alone, under a name that only the sandbox has."""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.delivery import escape
from sandboxer.extensions.compose_ssh.dockerfile import MAX_BYTES
from sandboxer.extensions.compose_ssh.dockerfile_policy import BuildInputs, CheckedDockerfile, check_dockerfile
from sandboxer.extensions.compose_ssh.dockerignore import ignored
from sandboxer.extensions.compose_ssh.grammar import capped_size, flag
from sandboxer.extensions.compose_ssh.kernel import ulimits
from sandboxer.extensions.compose_ssh.normal import REMOTE_CONTEXT
from sandboxer.extensions.compose_ssh.rules import extra_hosts, image, labels, off
from sandboxer.extensions.compose_ssh.tree import NotInTreeError

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.delivery import Delivery
    from sandboxer.extensions.compose_ssh.grammar import Check
    from sandboxer.extensions.compose_ssh.mounts import Mounts
    from sandboxer.extensions.compose_ssh.scope import Scope

_PASSED = ("additional_contexts", "args", "context", "dockerfile", "dockerfile_inline", "extra_hosts", "labels",
           "network", "no_cache", "platforms", "pull", "secrets", "shm_size", "tags", "target", "ulimits")  # fmt: skip
_FRONTEND = "runs another image during the build; remove it"
_REFUSED = {
    "cache_from": "reads an external cache; remove it, since the engine keeps its own",
    "cache_to": "writes to the host or a registry; remove it",
    "entitlements": "gives the build rights over the host; remove it",
    "isolation": "is for Windows containers; remove it",
    "no_cache_filter": "is not supported in a sandbox; use `no_cache`",
    "privileged": "gives the build rights over the host; remove it",
    "provenance": _FRONTEND,
    "sbom": _FRONTEND,
    "ssh": "hands the host's SSH agent or keys to the build; use a build secret",
}
# In podman-compose's order of search; BuildKit takes the last one if the first of its own is missing.
_PODMAN_FILES = ("Containerfile", "ContainerFile", "containerfile", "Dockerfile", "DockerFile", "dockerfile")
_DOCKER_FILES = ("Dockerfile", "dockerfile")
_IGNORE_FILES = (".dockerignore", ".containerignore")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTEXT = re.compile(r"[a-z0-9][a-z0-9._/-]{0,127}")


@dataclass(slots=True)
class Images:
    """Collects what a stack's images are built from.

    ``built`` maps the name of each image that a service builds to that service: others that name it get the same image.
    ``named`` are the images from outside, ``bases`` those of them that builds start from, and ``files`` the Dockerfiles
    to deliver, by their path below the workspace.
    """

    built: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, dockerfile: CheckedDockerfile, ignored: bytes) -> str:
        """Add the images of a checked Dockerfile, and deliver it with the file that excludes files from its context.

        Return its path below the workspace.
        """
        self.named |= dockerfile.images
        self.bases |= dockerfile.bases
        digest = hashlib.sha256(f"{dockerfile.text}\0".encode() + ignored).hexdigest()
        path = f"dockerfile/{digest}/Dockerfile"
        self.files[path] = dockerfile.text.encode()
        if ignored:
            self.files[f"{path}.dockerignore"] = ignored
        return path


def images_of(services: dict[str, Any]) -> Images:
    """Return the collection for these services, before anything was added."""
    return Images(
        {
            service["image"]: name
            for name, service in sorted(services.items(), reverse=True)
            if service.get("build") is not None and isinstance(service.get("image"), str)
        }
    )


def image_keys(name: str, service: dict[str, Any], images: Images, mounts: Mounts, scope: Scope) -> dict[str, Any]:
    """Return the ``image``, ``build`` and ``pull_policy`` of a service.

    A built image is named after the sandbox: under the name in the file it would replace another sandbox's.
    """
    named = service.get("image")
    if service.get("build") is not None:
        build = _build(name, service["build"], images, mounts, scope.at("build"))
        return {"image": own_name(scope.policy.project, name), "build": build}
    builder = images.built.get(named) if isinstance(named, str) else None
    if builder is not None:
        return {"image": own_name(scope.policy.project, builder)}
    always = {"pull_policy": "always"} if scope.policy.pull == "always" else {}
    taken = image(named, scope.at("image"))
    if taken is not None:
        images.named.add(taken)
    return {"image": taken} | always


def own_name(project: str, service: str) -> str:
    """Return the name of the image that a sandbox's service is built as; image names have no capitals."""
    return f"{project}-{service.lower()}"


def _build(name: str, value: Any, images: Images, mounts: Mounts, scope: Scope) -> dict[str, Any]:
    given = dict(scope.mapping(value))
    for key, why in _REFUSED.items():
        if not off(given.pop(key, None)):
            scope.at(key).refuse(why)
    build = scope.only(given, _PASSED)
    for key in ("tags", "pull", "platforms"):  # a sandbox runs on its host's platform
        build.pop(key, None)
    build |= {key: check(build[key], scope.at(key)) for key, check in _CHECKS.items() if key in build}
    if build.get("network", "none") not in ("none", "default"):
        scope.at("network").refuse("leaves the build's own network; remove it")
    if scope.policy.egress == "deny":
        build["network"] = "none"
    if not off(build.get("extra_hosts")) and scope.policy.egress == "deny":
        scope.at("extra_hosts").refuse("a build has no network under `egress: deny`; remove it")
    elif "extra_hosts" in build:
        build["extra_hosts"] = extra_hosts(build["extra_hosts"], scope.at("extra_hosts"))
    if "args" in build:
        build["args"] = _arguments(build["args"], scope.at("args"))
    _contexts(name, build, images, mounts.delivery, scope)
    build["labels"] = labels(build.get("labels"), scope.at("labels")) | mounts.root_labels()
    if "secrets" in build:
        build["secrets"] = mounts.references(build["secrets"], name, scope.at("secrets"))
    return build


def _shm_size(value: Any, scope: Scope) -> str | None:
    checked: str | None = capped_size(int(scope.policy.memory or scope.policy.host_memory))(value, scope)
    return checked


_CHECKS: dict[str, Check] = {"no_cache": flag, "shm_size": _shm_size, "ulimits": ulimits}


def _arguments(value: Any, scope: Scope) -> dict[str, str]:
    """Return a build's arguments that have a value.

    A name alone is one of the sandbox's variables, never one of the host's.
    """
    own = {key: escape(text) for key, text in scope.policy.variables.items()}
    given = {key: own.get(key) if text is None else text for key, text in scope.mapping(value).items()}
    for key, text in given.items():
        if not _ARGUMENT.fullmatch(key):
            scope.at(key).refuse("is not the name of a build argument; use letters, digits and `_`")
        elif key.upper().startswith("BUILDKIT_"):
            scope.at(key).refuse("steers the engine's builder; remove it")
        elif text is not None and not isinstance(text, str):
            scope.at(key).refuse("must be a text")
    return {key: text for key, text in given.items() if isinstance(text, str)}


def _contexts(name: str, build: dict[str, Any], images: Images, delivery: Delivery, scope: Scope) -> None:
    """Set the directories that a build reads to where their content is delivered, and use the checked Dockerfile."""
    context = build.get("context")
    if isinstance(context, str) and REMOTE_CONTEXT.match(context):
        scope.at("context").refuse("would be fetched from an external source; commit it to the input repository")
        return
    source = delivery.find(context, scope.at("context"))
    if source is None:
        return
    if delivery.tree.is_file(source):
        scope.at("context").refuse("is a file; a build context is a folder")
        return
    for ignore in _IGNORE_FILES:
        if delivery.tree.is_link(posixpath.join(source, ignore)):
            scope.at("context").refuse(f"{ignore} is a link, which a builder follows on the host; make it a file")
    more = scope.at("additional_contexts")
    contexts = more.mapping(build.get("additional_contexts"))
    for key, value in contexts.items():
        if not _CONTEXT.fullmatch(key):
            more.at(key).refuse("is not a name for a context; use lower-case letters, digits, `.`, `_`, `/` and `-`")
        elif not isinstance(value, str) or REMOTE_CONTEXT.match(value) or ":" in value:
            more.at(key).refuse(
                "is not a folder of the input; copy from a stage (FROM IMAGE AS NAME), or commit the files"
            )
        else:
            found = delivery.find(value, more.at(key))
            contexts[key] = value if found is None else delivery.path_on_host(found, name)
    dockerfile, rules = _dockerfile(build, str(context), source, images, delivery, scope)
    left_out = _left_out(source, dockerfile, rules, delivery, scope)
    build["context"] = delivery.context_on_host(source, name, left_out)


def _left_out(source: str, dockerfile: str, rules: bytes, delivery: Delivery, scope: Scope) -> frozenset[str]:
    """Return the files of a context that its build does not see, by their paths in it.

    ``rules`` are those beside the Dockerfile, which BuildKit prefers. The Dockerfile and the rules always count. Where
    Podman has several files of rules, its releases differ in which they read.
    """
    names = _IGNORE_FILES if scope.policy.podman else _IGNORE_FILES[:1]
    paths = [path for one in names if delivery.tree.is_file(path := posixpath.join(source, one))]
    paths = [path for path in paths if not delivery.tree.is_link(path)]
    if scope.policy.podman and len(paths) + bool(rules) > 1:
        return frozenset()
    if not rules and paths:
        rules = scope.policy.read(paths[0])
    if not rules or len(rules) > MAX_BYTES:
        return frozenset()
    found = ignored(delivery.tree.below(source), rules, podman=scope.policy.podman)
    own = dockerfile.removeprefix(f"{source}/" if source else "")
    return found - {*_IGNORE_FILES, own, f"{own}.dockerignore"}


def _dockerfile(
    build: dict[str, Any], context: str, source: str, images: Images, delivery: Delivery, scope: Scope
) -> tuple[str, bytes]:
    """Check the Dockerfile against the policy, and name the one to deliver in its place.

    Return its path in the input, empty if it is in the compose file, and the rules beside it that exclude files from
    its context.
    """
    inline = build.pop("dockerfile_inline", None)
    path: str | None = ""
    rules = b""
    data: bytes | str
    if inline is not None:
        here = scope.at("dockerfile_inline")
        if not isinstance(inline, str) or "dockerfile" in build:
            here.refuse("must be a text, and the only Dockerfile of the build")
            return "", b""
        data = inline.replace("$$", "$")
    else:
        here = scope.at("dockerfile")
        path = _path(build.get("dockerfile"), context, delivery, here)
        if path is None:
            return "", b""
        data = scope.policy.read(path)
        rules = _rules_beside(path, delivery, scope)
    made = check_dockerfile(data, _build_inputs(build, source, delivery, scope), here.refuse)
    target = build.get("target")
    if made.text and target is not None and not (isinstance(target, str) and made.has_stage(target)):
        scope.at("target").refuse(
            f"{target!r} is not a stage of the Dockerfile; choose one of: {', '.join(made.stages)}"
        )
    elif target is not None:
        build["target"] = str(target).lower()
    build["dockerfile"] = escape(posixpath.join(scope.policy.workspace, images.add(made, rules)))
    return path or "", rules


def _path(given: Any, context: str, delivery: Delivery, scope: Scope) -> str | None:
    """Return the path in the tree of the Dockerfile that the engine would take; None, and a finding, if none."""
    if given is None:
        names = _PODMAN_FILES if scope.policy.podman else _DOCKER_FILES
        found = next((one for name in names if (one := delivery.find(posixpath.join(context, name)))), None)
        if found is None:
            scope.refuse("missing in the build context; commit a Dockerfile, or set its path")
            return None
    else:
        if not isinstance(given, str) or REMOTE_CONTEXT.match(given) or given in ("", "-"):
            scope.refuse(f"{given!r} is not the path of a file in the input; commit it there")
            return None
        found = delivery.find(posixpath.join(context, given), scope)
    if found is not None and not delivery.tree.is_file(found):
        scope.refuse("is a folder; a Dockerfile is a file")
        return None
    return found


def _rules_beside(dockerfile: str, delivery: Delivery, scope: Scope) -> bytes:
    """Return the file beside a Dockerfile that excludes files from BuildKit's context; empty if none."""
    try:
        path = delivery.tree.resolve(f"{dockerfile}.dockerignore")
    except NotInTreeError:
        return b""
    data = scope.policy.read(path) if delivery.tree.is_file(path) else b""
    if len(data) > MAX_BYTES:
        scope.refuse(f"{path} has {len(data)} bytes; at most {MAX_BYTES} are read")
    return data


def _build_inputs(build: dict[str, Any], source: str, delivery: Delivery, scope: Scope) -> BuildInputs:
    def plain(path: str) -> bool:
        normal = posixpath.normpath(posixpath.join(source, path.lstrip("/")))
        try:
            return "$" not in path and delivery.tree.trail(normal) == (normal,)
        except NotInTreeError:
            return False

    args = {key: text.replace("$$", "$") for key, text in build.get("args", {}).items()}
    contexts = build.get("additional_contexts")
    names = frozenset(contexts) if isinstance(contexts, dict) else frozenset()
    return BuildInputs(scope.policy.project, scope.policy.podman, args, names, plain)
