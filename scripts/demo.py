"""``make demo``: the main use on real hosts, from the first plan to the last clean-up, checked at every step."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console

from scripts import interrupts
from scripts.hosts import fetch, open_hosts
from scripts.hub import open_hub
from scripts.interrupts import run
from scripts.stage import Fleet, ShowFailed
from tests.lab import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.hosts import Hosts
    from scripts.hub import RunningHub


@dataclass(slots=True)
class Demo:
    """The demo, step by step. Every step runs real commands and checks their effects on the hosts."""

    fleet: Fleet
    hosts: Hosts
    hub: RunningHub
    console: Console
    numbers: Iterator[int]
    handles: dict[str, dict[str, Any]] = field(default_factory=dict)

    def play(self) -> None:
        """Run all steps. Raise ShowFailed at the first failed check."""
        self.validate()
        self.plan()
        self.apply()
        self.observation()
        self.fetch_pages()
        self.apply_again()
        self.repair()
        self.delete_an_orphan()
        self.delete_all()

    # --- the steps

    def validate(self) -> None:
        self.step("Check the manifests, without any host")
        self.fleet.sandboxer("validate")

    def plan(self) -> None:
        self.step("Plan: what would change, and why. Nothing is written anywhere")
        self.fleet.sandboxer("plan", "--detailed-exitcode", code=2)
        planned = self.fleet.ask("plan")
        reasons = {change["reason"] for change in planned["changes"]}
        self.check(reasons == {"create_because_absent"}, "every sandbox is to be created")
        stats, hosts = planned["stats"], len(self.hosts.names())
        one_each = stats["commands"] == hosts and stats["connections"] in (hosts, 0)
        self.check(one_each, "one connection to each host and one command there, whatever the number of sandboxes")

    def apply(self) -> None:
        self.step("Apply it")
        self.fleet.sandboxer("apply", "--yes")
        handles = self.fleet.ask("list")
        self.handles = {handle["name"]: handle for handle in handles}
        expected = min(len(handles), len(self.hosts.names()))
        well = all((h["phase"], h["sync"], h["health"]) == ("ready", "Synced", "Healthy") for h in handles)
        self.check(len(handles) == 4 and well, "four sandboxes are ready, Synced and Healthy")
        used = {handle["host"] for handle in handles}
        engines = sorted({self.hosts.engine(host) for host in used})
        self.check(set(self.hub.phases().values()) == {"ready"}, "State Hub shows them, ready")
        self.check(len(used) == expected, f"they are on {_counted(len(used), 'host')}, run by {' and '.join(engines)}")

    def observation(self) -> None:
        self.step("What is there, read from the hosts: there is no state file")
        self.fleet.sandboxer("list")

    def fetch_pages(self) -> None:
        self.step("Reach them")
        self.say("A sandbox has no network but its own, so it is reached through its host:")
        self.fetch(self.handles["shop-e2e"], "/cgi-bin/stock", "tunnel", "apples")
        self.passed("its two services talk to each other")
        self.say("One that may reach out has its port published, on the host's loopback alone:")
        self.fetch(self.handles["preview"], "/cgi-bin/greeting", "published", "Good morning")
        self.passed("the environment of its manifest reached it")

    def apply_again(self) -> None:
        self.step("Apply again: nothing to do")
        before = self.containers()
        self.fleet.sandboxer("apply", "--yes")
        self.check(self.containers() == before, "the very same containers run")

    def repair(self) -> None:
        self.step("Somebody removes a container by hand: drift, and its repair")
        handle = self.handles["shop-e2e"]
        name = self.container(handle, "stock")
        self.do(handle["host"], self.hosts.engine(handle["host"]), "rm", "-f", name)
        self.fleet.sandboxer("plan", "--detailed-exitcode", code=2)
        self.check(
            self.fleet.reasons() == {"shop-e2e": "repair_because_drift"}, "drift is distinguished from what git changed"
        )
        others = {other for other in self.containers() if other[0] != handle["host"]}
        self.fleet.sandboxer("apply", "--yes")
        self.check(others <= self.containers(), "no other sandbox was touched")
        self.fetch(self.fleet.ask("get", "shop-e2e"), "/cgi-bin/stock", "tunnel", "apples")
        self.passed("it serves again")

    def delete_an_orphan(self) -> None:
        self.step("A manifest is removed from git: its sandbox is an orphan, and goes")
        self.fleet.remove("orders")
        self.fleet.sandboxer("plan")
        self.check(self.fleet.reasons() == {"orders": "delete_because_orphaned"}, "the orphan alone is to go")
        self.fleet.sandboxer("apply", "--yes")
        self.check("orders" not in {handle["name"] for handle in self.fleet.ask("list")}, "it is gone")
        self.check(self.hub.phases()["orders"] == "destroyed", "and State Hub knows it")

    def delete_all(self) -> None:
        self.step("All of them are removed: a guard asks whether that is meant")
        self.fleet.remove("hello", "preview", "shop-e2e")
        self.fleet.sandboxer("apply", "--yes", code=1)
        self.check(len(self.fleet.ask("list")) == 3, "nothing was deleted")
        self.fleet.sandboxer("apply", "--yes", "--allow-empty")
        leaked = self.hosts.leaked()
        self.check(not leaked, f"no {self.hosts.watched} is left on any host", leaked)

    # --- on the hosts

    def fetch(self, handle: dict[str, Any], path: str, via: str, expected: str) -> None:
        """Fetch a page through the connection that a sandbox's handle names, and show it."""
        (way,) = handle["reachability"]
        self.check(way["via"] == via, f"{handle['name']} is on {handle['host']}, the way in is {way['url']} ({via})")
        command = self.hosts.connect(handle["host"], way["address"], way["host_port"] or way["port"])
        if command is None:
            self.say(f"GET {way['url']}{path}")
        else:
            self.say(f"$ printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | {' '.join(command)}", "bold")
        page = fetch(command, way, path)
        self.say(page.rstrip(), "cyan")
        if expected not in page:
            raise ShowFailed(f"the page of {handle['name']} does not say {expected!r}")

    def container(self, handle: dict[str, Any], service: str) -> str:
        """Return the container name of one service of a sandbox."""
        host = handle["host"]
        filters = (f"label=dev.sandboxer.id={handle['id']}", f"label=com.docker.compose.service={service}")
        return self.ask_host(host, "ps", "--format={{.Names}}", *(f"--filter={each}" for each in filters)).strip()

    def containers(self) -> set[tuple[str, str]]:
        """Return host and ID of every container of the fleet."""
        mine = f"--filter=label=dev.sandboxer.fleet={self.hosts.fleet}"
        return {
            (host, identifier)
            for host in self.hosts.names()
            for identifier in self.ask_host(host, "ps", "--quiet", "--no-trunc", mine).split()
        }

    def ask_host(self, host: str, *words: str) -> str:
        """Return the output of a host's engine. Raise ShowFailed if it fails."""
        command = self.hosts.command(host, self.hosts.engine(host), *words)
        if command[0] == "ssh":  # the remote shell must leave the braces alone
            command = [word if "{" not in word else f"'{word}'" for word in command]
        done = run(command, timeout=60)
        if done.returncode != 0:
            raise ShowFailed(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.strip()}")
        return done.stdout

    def do(self, host: str, *words: str) -> None:
        """Run an engine command on a host behind Sandboxer's back, and show it."""
        self.fleet.show(*self.hosts.command(host, *words))
        self.say(self.ask_host(host, *words[1:]).rstrip(), "dim")

    # --- output

    def step(self, title: str) -> None:
        """Print the heading of the next step."""
        self.console.print()
        self.console.rule(f"{next(self.numbers)}  {title}", align="left", style="blue")

    def say(self, text: str, style: str = "") -> None:
        """Print a text."""
        self.console.print(text, style=style, markup=False)

    def check(self, holds: bool, what: str, found: object = None) -> None:
        """Print that ``what`` holds; raise ShowFailed if it does not."""
        if not holds:
            raise ShowFailed(f"this should hold, and does not: {what}" + (f"\n{found}" if found else ""))
        self.passed(what)

    def passed(self, what: str) -> None:
        """Print the result of a successful check."""
        self.say(f"✓ {what}", "green")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def main() -> int:
    """Run the demo; return 0 if every check passed. Whatever happens, nothing is left behind."""
    began = time.monotonic()
    interrupts.install()
    if isinstance(sys.stdout, TextIOWrapper):  # a locale without our symbols must not fail
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False, soft_wrap=True)
    try:
        _play(console)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything is cleaned up.", style="bold red")
        return 130
    except (ShowFailed, LabError, subprocess.TimeoutExpired) as failed:
        console.print(f"\nDemo failed: {failed}", style="bold red", markup=False)
        return 1
    console.print(f"\nDemo passed in {time.monotonic() - began:.0f} s", style="bold green")
    return 0


def _play(console: Console) -> None:
    numbers = count(1)
    with ExitStack() as stack:
        with interrupts.held():
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="sandboxer-demo-")))
        console.rule(f"{next(numbers)}  Hosts, and a fleet in git", align="left", style="blue")

        def say(text: str) -> None:
            console.print(text, markup=False)

        hub = stack.enter_context(open_hub(folder))
        hosts = stack.enter_context(open_hosts(folder, say))
        # From here on, nothing may interrupt the clean-up.
        stack.callback(interrupts.ignore)
        fleet = Fleet.create(
            folder, console, name=hosts.fleet, hosts=hosts.manifests(), image=hosts.image, env={**hosts.env, **hub.env}
        )
        for host in hosts.names():
            say(f"  {host}  {hosts.engine(host)}")
        say(f"The fleet's repository is {fleet.folder}: this repository's manifests and profiles, and these hosts.")
        say("State Hub keeps what happens, and shows it here for as long as the demo runs:")
        console.print(f"  {hub.page}", style="bold", markup=False)
        Demo(fleet, hosts, hub, console, numbers).play()


if __name__ == "__main__":
    sys.exit(main())
