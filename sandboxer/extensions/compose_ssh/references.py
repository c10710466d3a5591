"""The image references that a stranger's file may hold: names in a registry, and nothing that is read otherwise.

An engine takes more than names: Podman a transport (``docker-archive:/any/file``) and a path, both of them the id of
any image of the host or a prefix of one, and podman-compose puts the text on a command line, where a leading dash makes
it an option. And a name may be that of an image that was built for another sandbox.
"""

from __future__ import annotations

import re

LONGEST = 255

# The text before the first colon of a reference that makes Podman (containers/image) read the rest as another kind of
# address. `docker` is not one of them unless `//` follows: Podman then takes the text for a name, such as `docker:27`.
TRANSPORTS = frozenset({
    "atomic", "containers-storage", "dir", "docker-archive", "docker-daemon", "oci", "oci-archive", "ostree", "sif",
    "tarball",
})  # fmt: skip
_DIGESTS = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake3"})

# As in distribution/reference, without IPv6 hosts, and with capitals only where every version takes them for a host's.
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ANY_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PORT = r":[0-9]{1,5}"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*(?:{_PORT})?|{_ANY_LABEL}(?:\.{_ANY_LABEL})+(?:{_PORT})?|{_ANY_LABEL}{_PORT})"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@sha256:(?P<digest>[0-9a-f]{64}))?",
    re.ASCII,
)
_HEX = re.compile(r"[0-9a-f]+")
# A compose project of ours, and the images built for it: sbx-<name>-<id>[-<service>].
_PROJECT_END = re.compile(r"(?<=-)[0-9a-f]{8}(?![a-z0-9])")
_PROJECT = re.compile(r"sbx-[a-z0-9-]+-[0-9a-f]{8}")


def problem_with_reference(text: object, project: str) -> str | None:
    """Return why the sandbox of this compose project may not use a reference; None if it may.

    The reason is a clause that follows the place of the text (``services.web.image: ...``). ``project`` is the compose
    project, ``sbx-<name>-<id>``, whose own images may be named.
    """
    if not isinstance(text, str):
        return "is not text; write the name of an image, such as registry.example/app:1.2"
    if len(text) > LONGEST + 200:
        return f"has {len(text)} characters; the name of an image has at most {LONGEST}"
    head = re.split(r"[:@]", text, maxsplit=1)[0]
    if head in TRANSPORTS or text.startswith("docker://"):
        return f"{text!r} names the transport `{head}:`, which reads the host's files; name an image of a registry"
    if head in _DIGESTS or (_HEX.fullmatch(text) and len(text) in (12, 64)):
        return f"{text!r} is an id, which could be that of any image of the host; name an image of a registry"
    match = _REFERENCE.fullmatch(text)
    if match is None or len(match["name"]) > LONGEST:
        return f"{text!r} is not the name of an image, such as registry.example/app:1.2"
    if _others(match["name"].rsplit("/", 1)[-1], project):
        return f"{text!r} is the name of an image that was built for another sandbox; build it here, or name its base"
    return None


def tagged(text: str) -> str:
    """Return the reference in a form that no engine takes for a prefix of an image's id: ``db`` is ``db:latest``."""
    return f"{text}:latest" if _HEX.fullmatch(text) else text


def _others(name: str, project: str) -> bool:
    """Return whether a name without registry and path can be read as that of an image built for another project."""
    projects = (name[: end.end()] for end in _PROJECT_END.finditer(name))
    return any(_PROJECT.fullmatch(one) and one != project for one in projects)
