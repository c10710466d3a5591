"""A lab as a whole: its start, its use, and its complete removal."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tests.lab import cgroups, engine, image, manifests, network, snapshot, starter, state
from tests.lab.errors import LabError, wait_until
from tests.lab.host import DOCKER
from tests.lab.machine import prepare
from tests.lab.processes import Process, kill_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.lab.host import LabHost
    from tests.lab.snapshot import Snapshot
    from tests.lab.state import LabState

Cut = Literal["drop", "refuse"]

# Before any other rule: packets vanish, or every connection, new or old, is refused.
_CUTS: dict[Cut, tuple[str, ...]] = {
    "drop": ("raw", "PREROUTING", "-i", "eth0", "-j", "DROP"),
    "refuse": ("filter", "INPUT", "-i", "eth0", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"),
}


def default_name() -> str:
    """Return the name of the lab that a person starts from this checkout.

    It is ``SANDBOXER_LAB``, or a name that no other checkout has.
    """
    checkout = Path(__file__).parents[2]
    return os.environ.get("SANDBOXER_LAB") or f"dev-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]}"


class Lab:
    """A running lab. As a context manager it goes down at the end, whatever happens.

    Hosts are given by name or as a LabHost. Every failure or timeout is a LabError that describes it.
    """

    def __init__(self, lab_state: LabState) -> None:
        self._state = lab_state

    # -- up and down

    @classmethod
    def up(
        cls, name: str | None = None, *, docker: int = 3, podman: int = 1, both: int = 0,
        owner: Process | None = None, reuse: bool = False,
    ) -> Self:  # fmt: skip
        """Start a lab and return when every engine and every SSH server answers and the image is loaded.

        Hosts are lab-1, lab-2, ...: first those with Docker, then with Podman, then with both. The last of two or more
        Docker hosts has the unprivileged login ``sbx`` and host keys of three types. Once its ``owner`` has ended, a
        lab is abandoned, and the next start of any lab removes it; without an owner it stays. If a lab of this name
        already runs, ``reuse`` takes it as it is. Missing Debian packages are installed.
        """
        prepare()
        name = name or f"lab-{os.getpid()}"
        clear_abandoned()
        while True:
            if found := cls._running(name, reuse=reuse):
                return found
            with ExitStack() as held:
                with state.base_locked():
                    if state.exists(name):  # somebody was faster
                        continue
                    taken = [other.network for other in map(state.load, state.names()) if other]
                    new = state.LabState(name, network.free_network(taken), owner)
                    hosts = starter.choose_hosts(new, docker=docker, podman=podman, both=both)
                    held.enter_context(state.created(new))
                try:
                    return cls(starter.start(new, hosts))
                except BaseException as error:
                    _tear_down(name)
                    if isinstance(error, OSError | subprocess.SubprocessError):
                        raise LabError(f"the lab {name} cannot start: {error}") from error
                    raise

    @classmethod
    def attach(cls, name: str | None = None) -> Self:
        """Return the running lab of this name, or this checkout's own; raise LabError if none is running."""
        name = name or default_name()
        with state.lab_locked(name) as there:
            found = state.load(name) if there else None
        if found is None:
            raise LabError(f"there is no lab {name} on this machine; start it with `make lab-up`")
        if not state.running(found):
            raise LabError(
                f"the lab {name} is dead; `make lab-down` clears it away, `make lab-up` does so and starts it again"
            )
        return cls(found)

    @classmethod
    def _running(cls, name: str, *, reuse: bool) -> Self | None:
        """Return the lab of this name if it runs; remove one that is dead, or half up."""
        with state.lab_locked(name) as there:
            found = state.load(name) if there else None
            if found and state.running(found):
                if not reuse:
                    raise LabError(f"the lab {name} is running; end it first, or choose another name")
                return cls(found)
            if there:
                _tear_down(name)
        return None

    def down(self) -> None:
        """End the lab and remove all of it. Does nothing if it is already gone."""
        remove(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.down()

    # -- properties

    @property
    def name(self) -> str:
        """Its name; ``SANDBOXER_LAB`` takes it."""
        return self._state.name

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """Its hosts, lab-1 first."""
        return self._state.hosts

    @property
    def folder(self) -> Path:
        """The folder of its files: the keys, ``known_hosts``, ``ssh_config``, a folder for each host."""
        return self._state.folder

    @property
    def identity_file(self) -> Path:
        """The private key that every host's login accepts."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """All keys of all hosts, by address."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``: the hosts by name."""
        return self.folder / "ssh_config"

    def host(self, host: str | LabHost) -> LabHost:
        """Return the host of this name."""
        name = host if isinstance(host, str) else host.name
        for known in self.hosts:
            if known.name == name:
                return known
        raise LabError(f"the lab {self.name} has no host {name!r}; it has {', '.join(h.name for h in self.hosts)}")

    def host_manifests(self, root: str = "/tmp/sandboxer") -> str:
        """Return a ``kind: Host`` document for each host.

        It has the labels ``tier``, ``lab`` and ``engine``, and the host key pinned.
        """
        return manifests.host_manifests(self.hosts, root=root)

    # -- on its hosts

    def exec(
        self,
        host: str | LabHost,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,  # noqa: A002 -- as in subprocess.run
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a host as root, not over its network; see LabHost.execute."""
        return self.host(host).execute(argv, input=input, check=check, timeout=timeout, env=env)

    def docker(
        self, host: str | LabHost, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the command of the host's engine: ``docker``, or ``podman`` on a host with Podman alone."""
        return self.exec(host, [self.host(host).engine, *arguments], check=check, timeout=timeout)

    def ssh(
        self,
        host: str | LabHost,
        command: str,
        *,
        input: str | None = None,  # noqa: A002 -- as in subprocess.run
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as the host's login, with the OpenSSH client and pinned keys."""
        argv = ["ssh", "-F", str(self.ssh_config), self.host(host).name, command]
        try:
            done = subprocess.run(argv, input=input or "", capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{argv[3]}: {command}: not done within {timeout:g} seconds") from error
        if check and done.returncode != 0:
            raise LabError(f"{argv[3]}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def load_image(self, host: str | LabHost, tag: str = image.IMAGE, labels: dict[str, str] | None = None) -> None:
        """Load the lab's image under a tag; with other ``labels`` it has another ID."""
        engine.load(self.host(host), image.archive(tag, labels))

    # -- faults of a host

    def cut(self, host: str | LabHost, mode: Cut = "drop") -> AbstractContextManager[object]:
        """Cut a host off: ``drop`` lets packets vanish, ``refuse`` answers each TCP connection with a reset.

        It takes effect at once; used as a context manager, the result heals the host on exit.
        """
        self.heal(host)
        table, chain, *rule = _CUTS[mode]
        self.exec(host, ["iptables", "--wait", "10", "-t", table, "-I", chain, *rule])
        return _undo(self.heal, host)

    def heal(self, host: str | LabHost) -> None:
        """End every cut of a host."""
        for cut in _CUTS.values():
            table, chain, *rule = cut
            self.exec(host, ["iptables", "--wait", "10", "-t", table, "-D", chain, *rule], check=False)

    def stop_engine(self, host: str | LabHost, mode: engine.StopMode = "kill") -> AbstractContextManager[object]:
        """Stop Docker Engine: ``kill``: containers continue; ``stop``: they stop too; ``freeze``: it hangs.

        It takes effect at once; used as a context manager, the result starts the engine on exit.
        """
        engine.stop(self.host(host), mode)
        return _undo(self.start_engine, host)

    def start_engine(self, host: str | LabHost) -> None:
        """Start Docker Engine again, however it was stopped, and wait until it answers."""
        engine.start(self.host(host))

    # -- contents of a host

    def snapshot(self, host: str | LabHost) -> Snapshot:
        """Return everything on a host that could have leaked; raise LabError if its engine does not answer."""
        return snapshot.take(self.host(host))

    def inspected(self, host: str | LabHost, label: str) -> list[dict[str, Any]] | None:
        """Return the engine's description of each container with a label, ``key=value``; None if one went meanwhile."""
        there = self.host(host)
        if there.engine == DOCKER:
            return engine.containers(there, label)
        ids = self.docker(host, "ps", "-aq", "--no-trunc", "--filter", f"label={label}").stdout.split()
        done = self.docker(host, "inspect", *ids, check=False) if ids else None
        return [] if done is None else None if done.returncode else json.loads(done.stdout)

    def leaked(
        self, host: str | LabHost, before: Snapshot, *, seconds: float = 30, ignored: str = "(?!)"
    ) -> dict[str, list[str]]:
        """Return what is on a host that was not ``before``, by kind; things being removed have ``seconds`` to go.

        What matches the regular expression ``ignored`` as a whole is left out.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = self.snapshot(host).leaked_since(before)
            leaked = {
                kind: own for kind, new in found.items() if (own := [x for x in new if not re.fullmatch(ignored, x)])
            }
            if not leaked or time.monotonic() >= deadline:
                return leaked
            time.sleep(0.1)


def remove(name: str) -> bool:
    """End the lab of this name, running or dead, and remove all of it. Return whether there was one."""
    with state.lab_locked(name) as there:
        if there:
            _tear_down(name)
    return there


def clear_abandoned() -> None:
    """Remove every lab of this machine whose owner has ended."""
    for name in state.names():
        found = state.load(name)
        if found and found.abandoned():
            remove(name)


def _tear_down(name: str) -> None:
    """Remove all of a lab whose lock is held, however far it has been created or removed."""
    found = state.load(name)
    kill_all(state.processes(name), seconds=30)
    if found:
        network.remove(found.network)
    with state.base_locked():
        cgroups.remove(name)
        # A copy by the starter may still write for a moment, although it was killed.
        wait_until(lambda: _removed(state.folder(name)), seconds=10, what=f"the end of {state.folder(name)}")


def _undo(action: Callable[[str | LabHost], None], host: str | LabHost) -> AbstractContextManager[object]:
    stack = ExitStack()
    stack.callback(action, host)
    return stack


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
