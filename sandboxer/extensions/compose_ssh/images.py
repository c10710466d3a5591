"""How a service's image comes to be: built from the input's files alone, under a name of the sandbox's own."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.delivery import escape
from sandboxer.extensions.compose_ssh.normal import REMOTE_CONTEXT
from sandboxer.extensions.compose_ssh.rules import extra_hosts, image, labels, off

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.delivery import Delivery
    from sandboxer.extensions.compose_ssh.mounts import Mounts
    from sandboxer.extensions.compose_ssh.scope import Scope

_PASSED = ("additional_contexts", "args", "cache_from", "context", "dockerfile", "dockerfile_inline", "extra_hosts",
           "labels", "network", "no_cache", "no_cache_filter", "platforms", "provenance", "pull", "sbom", "secrets",
           "shm_size", "tags", "target", "ulimits")  # fmt: skip
_DOCKERFILES = ("Containerfile", "ContainerFile", "containerfile", "Dockerfile", "DockerFile", "dockerfile")
_REFUSED = {
    "cache_to": "writes to the host or a registry; remove it",
    "entitlements": "gives the build rights over the host; remove it",
    "isolation": "is for Windows containers; remove it",
    "privileged": "gives the build rights over the host; remove it",
    "ssh": "hands the host's SSH agent or keys to the build; use a build secret",
}


def built_images(services: dict[str, Any]) -> dict[str, str]:
    """For each image name that a service builds: the service. Others that name it get the same image."""
    return {
        service["image"]: name
        for name, service in sorted(services.items(), reverse=True)
        if service.get("build") is not None and isinstance(service.get("image"), str)
    }


def image_keys(
    name: str, service: dict[str, Any], built: dict[str, str], mounts: Mounts, scope: Scope
) -> dict[str, Any]:
    """The ``image``, ``build`` and ``pull_policy`` of a service.

    A built image is named after the sandbox: under the file's own name it would replace that of another sandbox.
    """
    asked = service.get("image")
    if service.get("build") is not None:
        build = _build(name, service["build"], mounts, scope.at("build"))
        return {"image": own_name(scope.policy.project, name), "build": build}
    builder = built.get(asked) if isinstance(asked, str) else None
    if builder is not None:
        return {"image": own_name(scope.policy.project, builder)}
    always = {"pull_policy": "always"} if scope.policy.pull == "always" else {}
    return {"image": image(asked, scope.at("image"))} | always


def own_name(project: str, service: str) -> str:
    """The name of the image that a sandbox's service is built as; images have no capitals."""
    return f"{project}-{service.lower()}"


def _build(name: str, value: Any, mounts: Mounts, scope: Scope) -> dict[str, Any]:
    given = dict(scope.mapping(value))
    for key, why in _REFUSED.items():
        if not off(given.pop(key, None)):
            scope.at(key).refuse(why)
    build = scope.only(given, _PASSED)
    for key in ("tags", "pull"):
        build.pop(key, None)
    _contexts(name, build, mounts.delivery, scope)
    for here, item in scope.at("cache_from").items(build.get("cache_from")):
        if "type=" in str(item) and "type=registry" not in str(item):
            here.refuse("reads a cache from the host; name an image")
    if build.get("network", "none") not in ("none", "default"):
        scope.at("network").refuse("leaves the build's own network; remove it")
    if scope.policy.egress == "deny":
        build["network"] = "none"
    if "extra_hosts" in build:
        build["extra_hosts"] = extra_hosts(build["extra_hosts"], scope.at("extra_hosts"))
    build["labels"] = labels(build.get("labels"), scope.at("labels")) | mounts.root_labels()
    if "secrets" in build:
        build["secrets"] = mounts.references(build["secrets"], name, scope.at("secrets"))
    return build


def _contexts(name: str, build: dict[str, Any], delivery: Delivery, scope: Scope) -> None:
    """Puts the folders and the Dockerfile that a build reads where their content says."""
    context = build.get("context")
    if isinstance(context, str) and REMOTE_CONTEXT.match(context):
        scope.at("context").refuse("would be fetched from elsewhere; commit it to the input repository")
        return
    source = delivery.find(context, scope.at("context"))
    if source is None:
        return
    if delivery.tree.is_file(source):
        scope.at("context").refuse("is a file; a build context is a folder")
        return
    build["context"] = delivery.place(source, name)
    _dockerfile(name, build, str(context), source, delivery, scope)
    more = scope.at("additional_contexts")
    contexts = more.mapping(build.get("additional_contexts"))
    for key, value in contexts.items():
        if not (isinstance(value, str) and value.startswith(("service:", "docker-image://"))):
            found = delivery.find(value, more.at(key))
            contexts[key] = value if found is None else delivery.place(found, name)


def _dockerfile(name: str, build: dict[str, Any], context: str, source: str, delivery: Delivery, scope: Scope) -> None:
    """Names the Dockerfile that is read, without links: in a copy of the context they would lead elsewhere."""
    here = scope.at("dockerfile")
    ignoring = [posixpath.join(source, file) for file in (".containerignore", ".dockerignore")]
    if build.get("dockerfile_inline") is None:
        # podman-compose looks for one by itself, and would read through a link.
        asked = [str(build["dockerfile"])] if build.get("dockerfile") else _DOCKERFILES
        found = (delivery.find(posixpath.join(context, file), here, optional=len(asked) > 1) for file in asked)
        dockerfile = next(filter(None, found), None)
        if dockerfile is None:
            if len(asked) > 1:
                here.refuse("is not said, and the context has no Dockerfile")
            return
        inside = not source or dockerfile.startswith(source + "/")
        given = escape(posixpath.relpath(dockerfile, source or ".")) if inside else delivery.place(dockerfile, name)
        build["dockerfile"] = given
        ignoring += [dockerfile + end for end in (".containerignore", ".dockerignore")] if inside else []
    for file in ignoring:
        if delivery.tree.is_link(file):
            scope.at("context").refuse(f"{file} is a link, which the engine would follow on the host; make it a file")
