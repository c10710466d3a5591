"""What lies on the host under the names that a stack uses, looked at right before the engine is told to use it.

A tag may have been given by hand, and an engine finds an image by more than its name. So what counts is what is there:
an image that carries another sandbox's label is refused, and so are the triggers of a base image that no Dockerfile of
a sandbox may have. A base that is not here yet is fetched first, or nobody could look at it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions.compose_ssh.dockerfile_policy import BuildInputs, problem_with_trigger
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.model.identity import project_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.extensions.compose_ssh.box import Box
    from sandboxer.extensions.compose_ssh.policy import Hardened

PULL_SECONDS = 900.0


def check_images(box: Box, hardened: Hardened) -> None:
    """Raises ComposeRefused where an image of the stack is another sandbox's, or would have a build do what it may not.

    Raises ProvisionFailed where that cannot be told.
    """
    others = [name for name in hardened.images if name not in hardened.bases]
    findings = Findings(box.work.name)
    if others and any(map(_strange(box), _look(box, *others))):
        for name in others:
            _whose(box, name, findings)
    for name in sorted(hardened.bases):
        if not _look(box, name):
            _pull(box, name)
        _whose(box, name, findings)
        _triggers(box, name, findings)
    findings.raise_any()


def _look(box: Box, *names: str) -> list[dict[str, Any]]:
    """What the engine says of those of these images that are there."""
    return list(_read(box, "images", *names))


def _read(box: Box, verb: str, *names: str) -> Iterator[dict[str, Any]]:
    what = f"the images {', '.join(names)} cannot be looked at"
    reply = box.bench.must(what, verb, box.work.place.engine, *names)
    for line in [reply.text] if verb == "triggers" else reply.text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProvisionFailed(box.work.name, f"{what}: {box.work.place.engine} said {line[:200]!r}")
        yield found


def _strange(box: Box) -> Any:
    return lambda image: image.get("sandbox") not in ("", None, box.work.id)


def _whose(box: Box, name: str, findings: Findings) -> None:
    for image in filter(_strange(box), _look(box, name)):
        findings.add(
            f"image {name}",
            f"was built for another sandbox ({str(image['sandbox'])[:8]}); build it here, or name what it is made from",
        )


def _triggers(box: Box, name: str, findings: Findings) -> None:
    inputs = BuildInputs(project_name(box.work.name, box.work.id), podman=box.work.place.engine == "podman")
    for image in _read(box, "triggers", name):
        for trigger in _told(image):
            problem = problem_with_trigger(str(trigger), inputs)
            if problem is not None:
                findings.add(f"image {name}", f"its trigger `ONBUILD {str(trigger)[:80]}` may not run: {problem}")


def _told(image: dict[str, Any]) -> list[Any]:
    """The triggers of an image: Docker names them, Podman's store has its whole configuration."""
    config = image.get("config", {"config": {"OnBuild": image.get("triggers")}})
    inner = config.get("config") if isinstance(config, dict) else None
    triggers = inner.get("OnBuild") if isinstance(inner, dict) else None
    return triggers if isinstance(triggers, list) else [triggers] if triggers else []


def _pull(box: Box, name: str) -> None:
    box.work.progress(f"pulling {name}")
    reply = box.bench.call("pull", box.work.place.engine, name, timeout=PULL_SECONDS)
    if reply.code != 0:
        raise ProvisionFailed(
            box.work.name,
            f"{box.work.name} on {box.work.place.host} is built from {name}, which is not there and cannot be pulled:"
            f" {reply.words}",
            hint="name an image that the host has or can pull",
        )
