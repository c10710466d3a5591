"""The client: what a caller may ask of a fleet's sandboxes. How it is done is in the files beside this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sandboxer.client import ending, making, seen
from sandboxer.client.access import Access, SilentView
from sandboxer.client.values import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sandboxer.model.outcome import ApplyView
    from sandboxer.wiring import Run


@dataclass(frozen=True, slots=True)
class Client:
    """The sandboxes of a fleet. ``root`` is the folder of its ``sandboxer.yaml``.

    Every call looks at the hosts anew and keeps nothing; a client may be used from several threads. ``lock_timeout`` is
    how many seconds to wait for another client at the same sandbox. ``view`` is told what is done, ``warn`` what went
    wrong and failed nothing. ``around`` is entered while the hosts are looked at.

    Every method raises ManifestError, SourceError or ExtensionError where the fleet cannot be used, UsageError where
    what is asked for makes no sense, and SandboxError or HostError where it cannot be done.
    """

    root: Path | str = "."
    lock_timeout: float = 60.0
    view: ApplyView = field(default_factory=SilentView)
    warn: Callable[[str], None] = lambda _words: None
    around: Callable[[Run], AbstractContextManager[None]] | None = None

    # --- what there is

    def list(self) -> list[Sandbox]:
        """Every sandbox that the hosts show, git's and imperative ones alike. Of a silent host ``warn`` is told."""
        return [Sandbox(self, handle) for handle in seen.handles(self._access)]

    def get(self, name: str) -> Sandbox:
        """The sandbox of a name or id. Raises UsageError where there is none."""
        return Sandbox(self, seen.handle_named(self._access, name))

    def wait(self, name: str, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0) -> Sandbox | None:
        """Waits until a sandbox is ready, or gone; gives it, None where it is gone.

        Raises SandboxError after ``timeout`` seconds, and at once where it failed.
        """
        handle = seen.wait(self._access, name, phase, timeout)
        return Sandbox(self, handle) if handle else None

    # --- what changes it

    def create(
        self,
        profile: str,
        *,
        name: str | None = None,
        inputs: Mapping[str, str] | None = None,
        ttl: str | None = None,
        consumer: str | None = None,
        labels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        secret_refs: Mapping[str, str] | None = None,
        hosts: Sequence[str] = (),
    ) -> Sandbox:
        """Makes a sandbox and waits until it is ready; git neither knows nor ends it, its time to live does.

        Everything is as a Sandbox manifest has it: ``inputs`` are repo and ref, ``ttl`` is a duration, ``consumer`` is
        ``actor/project``, ``secret_refs`` are sources by name, ``hosts`` narrow the profile's placement. Without a
        ``name`` it gets one after its profile.
        """
        asked = making.asked_of(
            profile,
            name,
            inputs=inputs or {},
            ttl=ttl,
            consumer=consumer,
            labels=labels or {},
            env=env or {},
            secret_refs=secret_refs or {},
            hosts=hosts,
        )
        return Sandbox(self, making.create(self._access, asked))

    def recreate(self, name: str) -> Sandbox:
        """Makes a sandbox anew: the same id, the same inputs at a fresh commit. An expired one of git too."""
        return Sandbox(self, making.recreate(self._access, name))

    def destroy(self, name: str) -> bool:
        """Removes a sandbox and every copy of it; False where there was none, which is success too.

        One of git's comes back with the next apply, of which ``warn`` is told. Raises SandboxError where a host on
        which it may be did not answer.
        """
        return ending.destroy(self._access, name)

    # --- how

    @property
    def _access(self) -> Access:
        return Access(self.root, self.lock_timeout, self.view, self.warn, self.around)
