"""A sandbox's directory on its host: its content, its record (written behind a fence) and the delivered files."""

from __future__ import annotations

import posixpath
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import ComposeRefused, ObservationIncomplete, ProvisionFailed, SandboxError, StaleChange
from sandboxer.errors.cause import Cause
from sandboxer.extensions.compose_ssh.compose_tool import ComposeTool, kind_by_name, kind_by_version
from sandboxer.extensions.compose_ssh.engines import read_engine
from sandboxer.extensions.compose_ssh.failure_patterns import code_of, hint_of
from sandboxer.extensions.recorded_directory import RecordedDirectory
from sandboxer.hosts.sections import Sections
from sandboxer.model.identity import LABEL_FLEET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.errors import SandboxerError
    from sandboxer.extensions.base import Operation
    from sandboxer.extensions.compose_ssh.policy import Bind, SecretFile
    from sandboxer.hosts.session import HostSession
    from sandboxer.model.observed import Container, Resource
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record

_NO_ANSWER = "does not answer"
#: What `removal_scripts` returns.
REMOVAL_SCRIPTS = ("sandboxer.extensions.compose_ssh:cleaner.sh", "sandboxer.extensions.compose_ssh:images.sh")
VERBS = (
    "sandboxer.extensions.compose_ssh:cleaner.sh",
    "sandboxer.extensions.compose_ssh:images.sh",
    "sandboxer.extensions.compose_ssh:engine.sh",
    "files.sh",
    "delivery.sh",
    "sandboxer.extensions.compose_ssh:confine.sh",
    "sandboxer.extensions.compose_ssh:render.sh",
    "sandboxer.extensions.compose_ssh:resolver.sh",
    "sandboxer.extensions.compose_ssh:verbs.sh",
)


REMOVAL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class State:
    """What exists of one sandbox while its lock is held, so that nobody else changes it."""

    record: Record | None
    trees: frozenset[str]
    containers: tuple[Container, ...]
    resources: tuple[Resource, ...]


class SandboxDirectory(RecordedDirectory):
    """The directory of one sandbox. Every write goes through the session, and so happens under the lock."""

    def __init__(self, operation: Operation, session: HostSession) -> None:
        super().__init__(operation, session)
        self._compose = ""

    @property
    def workspace(self) -> str:
        """The directory of delivered files."""
        return posixpath.join(self.path, "workspace")

    @property
    def reading(self) -> str:
        """The directory in which Compose reads the compose files; it exists only during that step."""
        return posixpath.join(self.path, ".compose", "files")

    def tree_path(self, tree: InputTree) -> str:
        """Return the path of a delivered tree."""
        return posixpath.join(self.workspace, "tree", tree.digest)

    def await_removals(self) -> None:
        """Wait until no container is being removed: the engine may still work for a client that was killed."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while time.monotonic() < deadline:
            if all(one.state != "removing" for one in self.observation(only_names=True).containers):
                return
            time.sleep(0.5)

    def observation(self, *, everything: bool = False, only_names: bool = False) -> State:
        """Return what exists now; networks and volumes too if ``everything`` is requested.

        Raise ObservationIncomplete if the engine, the record or one of the sandbox's containers cannot be read; with
        ``only_names``, for callers that need only to know which containers exist, a container may be unreadable. Raise
        StaleChange if the record is no longer the one that was observed or written here before.
        """
        operation, engine = self.operation, self.operation.target.engine
        reply = self.session.call("state", engine, "all" if everything else "containers")
        sections = Sections(reply.output + b"\n", self.session.nonce)
        broken = f"{operation.name} on {operation.target.host} cannot be read"
        if reply.code != 0 or not sections.complete:
            raise ObservationIncomplete(operation.target.host, f"{broken}: {reply.text[-300:]}")
        found = read_engine(engine, sections)
        if found is None or found.error:
            host = operation.target.host
            hint = f"start the engine, then apply again; see `sandboxer doctor {host}`"
            raise ObservationIncomplete(host, f"{engine} on {host} {_NO_ANSWER}", hint=hint)
        containers = tuple(c for c in found.containers if c.labels.get(LABEL_FLEET) == operation.fleet)
        unreadable = next((c.unreadable for c in containers if c.unreadable), None)
        if unreadable and not only_names:
            raise ObservationIncomplete(
                operation.target.host,
                f"{broken}: {unreadable}",
                hint=f"remove the sandbox with `sandboxer destroy {operation.name}`",
            )
        record = self.take(sections.body("record") or b"", sections.body("journal") or b"")
        trees = frozenset((sections.body("trees") or b"").decode("utf-8", "replace").split())
        self._compose = (sections.body("compose") or b"").decode("utf-8", "replace").strip()
        return State(record, trees, containers, found.resources)

    def observe_as_planned(self, *, only_names: bool = False) -> State:
        """Return what exists, which must be what the plan was made from. Raise StaleChange if it is not."""
        state = self.observation(only_names=only_names)
        record = state.record
        seen = (record.generation, record.uid) if record else (0, self.operation.expected_uid)
        uids = {c.labels.get("dev.sandboxer.uid", "") for c in state.containers}
        expected = {self.operation.expected_uid, *self.operation.lives}
        if seen != (self.operation.expected_generation, self.operation.expected_uid) or uids - expected:
            raise StaleChange(
                self.operation.name,
                f"{self.operation.name} on {self.operation.target.host} changed after the plan",
                hint="plan again",
            )
        return state

    def cause_of(self, error: SandboxerError) -> Cause:
        """Return why an operation failed: its own cause, an engine that is gone, or what the words stand for."""
        if isinstance(error, SandboxError) and error.cause is not None:
            return error.cause
        if isinstance(error, ComposeRefused):
            return Cause("compose-refused")
        if isinstance(error, ObservationIncomplete) and error.message.endswith(_NO_ANSWER):
            return Cause("engine-down")
        code = code_of(error.message)
        return Cause(code) if code else super().cause_of(error)

    def hint_of(self, code: str) -> str:
        """Return what to do about a failure whose error does not say."""
        hint = hint_of(code)
        return f"{hint}, then apply again" if hint else super().hint_of(code)

    def discard(self, paths: Iterable[str]) -> None:
        """Remove directories of the workspace, given by their paths in it."""
        self.session.must("the damaged files cannot be removed", "discard", *paths)

    def bind(self, tree: InputTree, bind: Bind) -> bool:
        """Put a mounted file or directory under its content's name; return whether it was missing."""
        target = posixpath.relpath(bind.destination, self.workspace)
        access = (
            ["as", self.operation.target.engine, *bind.access.words]
            if bind.access
            else ["rw" if bind.writable else "ro"]
        )
        what = f"{bind.source or 'the workspace'} cannot be installed"
        return self.session.must(what, "bind", target, tree.digest, bind.source or ".", *access).text == "made"

    def tidy_images(self, uid: str, used: Iterable[str]) -> None:
        """Remove the images that were built in this life and are not ``used``, by their names.

        What cannot be removed now is removed by the next apply, or with the sandbox.
        """
        self.session.call("tidy_images", self.operation.target.engine, uid, *used)

    def put_secret_file(self, file: SecretFile) -> None:
        """Make a secret's file readable as services get it, in a separate copy where that is not for everybody."""
        origin, path = self.below(file.origin), self.below(file.path)
        what = f"{origin} cannot be installed"
        self.session.must(what, "secret_file", origin, path, self.operation.target.engine, *file.access.words)

    def below(self, path: str) -> str:
        """Return the path, relative to the sandbox's directory, of an absolute path in it."""
        return posixpath.relpath(path, self.path)

    def compose_tool(self) -> ComposeTool:
        """Return the Compose to use: the one that the Host or the runner names, else the one found on the host.

        If its name does not identify it, its ``version`` is run. Raise ProvisionFailed if none is installed, or if that
        fails.
        """
        target = self.operation.target
        command = target.tool or self._compose
        hint = f"see `sandboxer doctor {target.host}`"
        if not command.split():
            missing = f"Compose is not installed on {target.host}: neither a plugin of Docker's nor docker-compose"
            raise ProvisionFailed(self.operation.name, missing, hint=hint)
        argv, kind = tuple(command.split()), kind_by_name(command)
        if kind is None:
            reply = self.session.call("engine", *argv, "version")
            if reply.code != 0:
                broken = f"`{command} version` fails on {target.host}: {reply.words}"
                raise ProvisionFailed(self.operation.name, broken, hint=hint)
            kind = kind_by_version(reply.text)
        return ComposeTool(kind, argv)
