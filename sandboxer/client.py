"""The library: sandboxes in one call each, without git. The commands call exactly this.

::

    with Client("fleet").create(profile="profile.compose-e2e", inputs={"repo": "."}) as sandbox:
        print(sandbox.handle["reachability"])
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sandboxer.errors import ProvisionFailed, SandboxError, UsageError
from sandboxer.model.asked import Asked
from sandboxer.model.lifecycle import Action, Phase, Reason
from sandboxer.reconcile.change import with_fingerprint
from sandboxer.reconcile.options import Options
from sandboxer.wiring import ApplyOptions, Run
from sandboxer.wiring.found import find, handle_of, partial, sandboxes_there, silent
from sandboxer.wiring.reporting import reported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change, Plan
    from sandboxer.wiring.found import There

POLL_SECONDS = 1.0
_TRIES = 3
_SHORT_NAME = 28
_NO_GUARD = 1_000_000  # against many at once: here one sandbox, named by a person, is carried out and no other


class HostNotSeen(SandboxError):
    """A sandbox was not found, and may be on a host that did not answer in full."""


class SilentView:
    """Follows nothing."""

    def started(self, change: Change) -> None:
        """Work on a change begins."""

    def progressed(self, change: Change, step: str) -> None:
        """Work on a change has come to a step."""

    def ended(self, outcome: Outcome) -> None:
        """Work on a change is over."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that is there: its ``handle``, as ``sandboxer get -o json`` writes it. As a context manager it ends."""

    client: Client
    handle: JsonObject

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.handle["id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.handle["name"])

    def destroy(self) -> None:
        """Removes it; raises as Client.destroy does."""
        self.client.destroy(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()


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
        with self._run() as run:
            decided = self._plan(run)
            for host, why in silent(run).items():
                self.warn(f"{host} did not answer: {why}")
            return [Sandbox(self, handle_of(run, there)) for there in sandboxes_there(run, decided)]

    def get(self, name: str) -> Sandbox:
        """The sandbox of a name or id. Raises UsageError where there is none."""
        with self._run() as run:
            home, *_ = find(run, self._plan(run), name)
            return Sandbox(self, handle_of(run, home))

    def wait(self, name: str, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0) -> Sandbox | None:
        """Waits until a sandbox is ready, or gone; gives it, None where it is gone.

        Raises SandboxError after ``timeout`` seconds, and at once where it failed.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                found = self._look_for(name)
            except HostNotSeen:  # what may be there is not gone
                found, now = None, "not seen"
            else:
                now = str(found.handle["phase"]) if found else Phase.DESTROYED.value
            if now == phase or (phase == "ready" and now == Phase.ACTIVE):
                return found
            if phase == "ready" and now == Phase.FAILED:
                raise SandboxError(name, f"{name} failed", hint=f"see `sandboxer events {name}`")
            if time.monotonic() >= deadline:
                raise SandboxError(name, f"{name} is {now} and not {phase} after {timeout:g} s")
            time.sleep(POLL_SECONDS)

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
        spec: dict[str, Any] = {"profile": profile}
        spec |= {"inputs": dict(inputs)} if inputs else {}
        spec |= {"ttl": ttl} if ttl else {}
        spec |= {"consumer": _consumer(consumer)} if consumer else {}
        spec |= {"env": dict(env)} if env else {}
        spec |= {"placement": {"hosts": list(hosts)}} if hosts else {}
        if secret_refs:
            spec["secretRefs"] = [{"name": key, "from": source} for key, source in secret_refs.items()]
        asked = Asked.new(name or _name_after(profile), spec, labels or {})
        return self._make(asked, "create", Options(targets=frozenset({asked.name}), allow_rollback=True))

    def recreate(self, name: str) -> Sandbox:
        """Makes a sandbox anew: the same id, the same inputs at a fresh commit. An expired one of git too."""
        home = self._find(name)
        if home is None or home.change.origin == "git":
            return self._renew(name if home is None else home.change.sandbox)
        asked = self._asked(home)
        options = Options(
            targets=frozenset({asked.name}),
            replaced=frozenset({asked.name}),
            allow_rollback=True,
            max_deletes=_NO_GUARD,
        )
        return self._make(asked, "recreate", options)

    def destroy(self, name: str) -> bool:
        """Removes a sandbox and every copy of it; False where there was none, which is success too.

        One of git's comes back with the next apply, of which ``warn`` is told. Raises SandboxError where a host on
        which it may be did not answer.
        """
        for _ in range(_TRIES):
            outcome = self._destroy_once(name)
            if outcome is not None:
                return outcome
        raise SandboxError(name, f"{name} is changed by others all the while", hint="try again")

    # --- how

    def _run(self, **given: Any) -> Run:
        return Run(Path(self.root), **given)

    def _plan(self, run: Run, options: Options | None = None) -> Plan:
        if self.around is None:
            return run.plan(options or Options())
        with self.around(run):
            return run.plan(options or Options())

    def _find(self, name: str) -> There | None:
        with self._run(find_inputs=False) as run:
            decided = self._plan(run)
            if not _is_there(run, decided, name):
                self._must_be_seen(run, name)
                return None
            return _copies(run, decided, name)[0]

    def _look_for(self, name: str) -> Sandbox | None:
        with self._run(find_inputs=False) as run:
            decided = self._plan(run)
            if not _is_there(run, decided, name):
                self._must_be_seen(run, name)
                return None
            return Sandbox(self, handle_of(run, _copies(run, decided, name)[0]))

    def _must_be_seen(self, run: Run, name: str) -> None:
        """Raises HostNotSeen where a sandbox that is not found may be on a host that did not answer in full."""
        unseen = sorted({*silent(run), *partial(run)})
        if unseen:
            message = f"{name} may be on {', '.join(unseen)}, which did not answer in full"
            raise HostNotSeen(name, message, hint="see `sandboxer doctor`, and try again")

    def _make(self, asked: Asked, command: str, options: Options) -> Sandbox:
        with self._run(asked=asked, read_secrets=True) as run:
            decided = self._plan(run, options)
            same = [there for there in sandboxes_there(run, decided) if there.change.sandbox == asked.name]
            if command == "create" and same:
                hint = f"give another --name, or `sandboxer destroy {asked.name}`"
                raise UsageError(f"there is a sandbox {asked.name} on {same[0].sight.host} already", hint=hint)
            self._carry_out(run, _only(decided, asked.id), command, of_git=False)
        made = self._look_for(asked.id)
        if made is None:
            raise SandboxError(asked.name, f"{asked.name} was made, and is gone again", hint="somebody removed it")
        return made

    def _renew(self, name: str) -> Sandbox:
        """As ``apply --replace`` of one sandbox that is in git."""
        with self._run(read_secrets=True) as run:
            if name not in run.sound().sandboxes:
                raise UsageError(f"there is no sandbox {name} in git or on the hosts", hint="see `sandboxer list`")
            if run.files.dirty:
                raise UsageError("the manifests have changes that are not committed", hint="commit them")
            options = Options(targets=frozenset({name}), replaced=frozenset({name}), max_deletes=_NO_GUARD)
            decided = _only(self._plan(run, options), run.fleet.sandboxes[name].id)
            self._carry_out(run, decided, "recreate", of_git=True)
        return self.get(name)

    def _apply(self, run: Run, decided: Plan, command: str, *, of_git: bool) -> Sequence[Outcome]:
        with reported(run, command) as reporter:
            how = ApplyOptions(lock_timeout=self.lock_timeout)
            outcomes = run.apply(decided, None, how, self.view, of_git=of_git)
            reporter.exit_code = 0 if all(outcome.ok for outcome in outcomes) else 1
        for problem in reporter.problems:
            self.warn(problem)
        return outcomes

    def _carry_out(self, run: Run, decided: Plan, command: str, *, of_git: bool) -> None:
        """Carries a plan out. Raises SandboxError for the first thing in it that did not go well."""
        for outcome in self._apply(run, decided, command, of_git=of_git):
            if not outcome.ok:
                message = outcome.error or outcome.change.message
                raise ProvisionFailed(outcome.change.sandbox, message, hint=outcome.hint)

    def _asked(self, home: There) -> Asked:
        """What an imperative sandbox was asked for with, as it lies beside its record."""
        with self._run(find_inputs=False) as run:
            return run.asked_for(home.change, home.sight.host, ApplyOptions(lock_timeout=self.lock_timeout))

    def _destroy_once(self, name: str) -> bool | None:
        """Whether there was one; None where somebody changed it meanwhile."""
        with self._run(find_inputs=False) as run:
            decided = self._plan(run)
            if not _is_there(run, decided, name):
                self._must_be_seen(run, name)
                return False
            copies = _copies(run, decided, name)
            for copy in copies:
                if copy.sight.doubt:
                    message = f"{name} on {copy.sight.host} is not removed: {copy.sight.doubt}"
                    raise SandboxError(name, message, hint="see `sandboxer plan`")
            if any(copy.change.sandbox in run.sound().sandboxes for copy in copies):
                self.warn(f"{copies[0].change.sandbox} is in git: the next apply makes it again")
            changes = tuple(_removal(copy) for copy in copies)
            outcomes = self._apply(run, replace(decided, changes=changes), "destroy", of_git=False)
            self._must_be_seen(run, name)
        if any(outcome.change.reason is Reason.BLOCKED_STALE for outcome in outcomes):
            return None
        for outcome in outcomes:
            if not outcome.ok:
                raise SandboxError(name, outcome.error or outcome.change.message, hint=outcome.hint)
        return True


def _is_there(run: Run, decided: Plan, name: str) -> bool:
    return any(name in (one.change.sandbox, one.change.id) for one in sandboxes_there(run, decided))


def _copies(run: Run, decided: Plan, name: str) -> Sequence[There]:
    """A sandbox's home, and copies of it that go. Raises UsageError where several sandboxes have that name."""
    found = find(run, decided, name)
    ids = sorted({copy.change.id for copy in found})
    if len(ids) > 1:
        raise UsageError(f"{name} is the name of {' and '.join(ids)}", hint="give the id of the one that is meant")
    return found


def _only(decided: Plan, identifier: str) -> Plan:
    """The plan without whatever else has the sandbox's name, such as an orphan of git's."""
    return replace(decided, changes=tuple(change for change in decided.changes if change.id == identifier))


def _removal(copy: There) -> Change:
    change = replace(
        copy.change,
        host=copy.sight.host,
        from_host=None,
        action=Action.DELETE,
        reason=Reason.DELETE_REQUESTED,
        message="it was asked for",
        generation=copy.sight.generation,
        uid=copy.sight.uid,
    )
    return with_fingerprint(change, [copy.sight])


def _consumer(text: str) -> dict[str, str]:
    actor, slash, project = text.partition("/")
    if not slash:
        raise UsageError(f"{text!r} names no consumer", hint="ACTOR/PROJECT, such as atm/wise-validator")
    return {"actor": actor, "project": project}


def _name_after(profile: str) -> str:
    """A name that nothing else has, after a profile's own."""
    own = re.sub(r"[^a-z0-9-]", "-", profile.removeprefix("profile."))[:_SHORT_NAME].strip("-") or "sandbox"
    return f"{own}-{secrets.token_hex(3)}"
