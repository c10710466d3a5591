"""Checks the images that exist on the host under the names that a stack uses, right before the engine uses them.

A tag may have been given by hand, and an engine finds an image by more than its name. So only the images that exist
count: one that carries another sandbox's label is refused, and so are triggers of a base image that no Dockerfile of a
sandbox may have. A missing base is fetched first, because otherwise nobody could check it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ProvisionFailed
from sandboxer.errors.cause import Cause
from sandboxer.extensions.compose_ssh import failure_patterns
from sandboxer.extensions.compose_ssh.dockerfile_policy import BuildInputs, problem_with_trigger
from sandboxer.extensions.compose_ssh.engine_output import last_line, without_noise
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.service_states import PullProgress
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.extensions.compose_ssh.directory import SandboxDirectory
    from sandboxer.extensions.compose_ssh.policy import Hardened

PULL_SECONDS = 900.0


def check_images(directory: SandboxDirectory, hardened: Hardened, *, pull: bool = False) -> dict[str, str]:
    """Return the IDs of those images from outside that are on the host, by name; ``pull`` fetches each one first.

    Raise ComposeRefused if an image is another sandbox's, or would make a build do what it may not. Raise
    ProvisionFailed if that cannot be determined, or an image cannot be fetched.
    """
    others = [name for name in hardened.images if name not in hardened.bases]
    findings = Findings(directory.operation.name)
    for name in others if pull else ():
        _pull(
            directory,
            name,
            f"{named('sandbox', directory.operation.name)} is to run the newest {name}, which cannot be pulled",
        )
    found = _observe(directory, *others) if others else []
    if any(map(_strange(directory), found)):
        for name in others:
            _whose(directory, name, findings)
    for name in sorted(hardened.bases):
        if not _observe(directory, name):
            missing = f"is built from {name}, which is missing and cannot be pulled"
            _pull(directory, name, f"{directory.operation.name} on {directory.operation.target.host} {missing}")
        _whose(directory, name, findings)
        _triggers(directory, name, findings)
    findings.raise_any()
    return _ids(directory, others, found)


def image_ids(directory: SandboxDirectory, names: list[str]) -> dict[str, str]:
    """Return the IDs of those of these images that are on the host, by name."""
    return _ids(directory, names, _observe(directory, *names)) if names else {}


def _ids(directory: SandboxDirectory, names: list[str], found: list[dict[str, Any]]) -> dict[str, str]:
    """Match the engine's descriptions, which name no image; it describes them in the order that was requested."""
    if len(found) != len(names):  # some are missing, so each is looked up by itself
        return {name: str(one.get("id", "")) for name in names for one in _observe(directory, name)} if found else {}
    return {name: str(one.get("id", "")) for name, one in zip(names, found, strict=True)}


def _observe(directory: SandboxDirectory, *names: str) -> list[dict[str, Any]]:
    """Return the engine's description of those of these images that exist."""
    return list(_read(directory, "images", *names))


def _read(directory: SandboxDirectory, verb: str, *names: str) -> Iterator[dict[str, Any]]:
    what = f"the images {', '.join(names)} cannot be inspected"
    reply = directory.session.must(what, verb, directory.operation.target.engine, *names)
    for line in [reply.text] if verb == "triggers" else reply.text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProvisionFailed(
                directory.operation.name, f"{what}: {directory.operation.target.engine} printed {line[:200]!r}"
            )
        yield found


def _strange(directory: SandboxDirectory) -> Any:
    return lambda image: image.get("sandbox") not in ("", None, directory.operation.id)


def _whose(directory: SandboxDirectory, name: str, findings: Findings) -> None:
    for image in filter(_strange(directory), _observe(directory, name)):
        findings.add(
            f"image {name}",
            f"was built for another sandbox ({str(image['sandbox'])[:8]}); build it here, or name what it is made from",
        )


def _triggers(directory: SandboxDirectory, name: str, findings: Findings) -> None:
    inputs = BuildInputs(
        project_name(directory.operation.name, directory.operation.id),
        podman=directory.operation.target.engine == "podman",
    )
    for image in _read(directory, "triggers", name):
        for trigger in _listed_triggers(image):
            problem = problem_with_trigger(str(trigger), inputs)
            if problem is not None:
                findings.add(f"image {name}", f"its trigger `ONBUILD {str(trigger)[:80]}` may not run: {problem}")


def _listed_triggers(image: dict[str, Any]) -> list[Any]:
    """Return the triggers of an image: Docker lists them, Podman's store has the whole configuration."""
    config = image.get("config", {"config": {"OnBuild": image.get("triggers")}})
    inner = config.get("config") if isinstance(config, dict) else None
    triggers = inner.get("OnBuild") if isinstance(inner, dict) else None
    return triggers if isinstance(triggers, list) else [triggers] if triggers else []


def _pull(directory: SandboxDirectory, name: str, failing: str) -> None:
    directory.begin_step("pull", f"pulling {name}")
    pulled = PullProgress(lambda words: directory.operation.progress(f"pulling {name}: {words}"))
    engine, on_line = directory.operation.target.engine, pulled.line
    reply = directory.session.call("pull", engine, name, timeout=PULL_SECONDS, on_line=on_line)
    if reply.code != 0:
        words = without_noise(reply.text)
        code = failure_patterns.code_of(words) or "pull-failed"
        raise ProvisionFailed(
            directory.operation.name,
            f"{failing}: {words}",
            hint=failure_patterns.hint_of(code),
            cause=Cause(code, f"the image {name} cannot be pulled: {last_line(words, 500)}"),
        )
