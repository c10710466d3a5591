"""The lab from a shell: ``python -m tests.lab up``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

from tests.lab import lab as labs
from tests.lab import machine
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 if the lab fails, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        code: int = arguments.run(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description="A lab of real SSH hosts on one machine. Needs root on Linux; installs what is missing.",
    )
    parser.add_argument(
        "--name",
        default=labs.default_name(),
        help="which lab (default: $SANDBOXER_LAB, else %(default)s, this checkout's)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    sizes = argparse.ArgumentParser(add_help=False)
    sizes.add_argument("--docker", type=int, default=3, metavar="N", help="hosts with Docker (%(default)s)")
    sizes.add_argument("--podman", type=int, default=1, metavar="N", help="hosts with Podman (%(default)s)")
    sizes.add_argument("--both", type=int, default=0, metavar="N", help="hosts with both (%(default)s)")

    command("prepare", _prepare, "install what is missing, and nothing else")
    for name, run, text in (
        ("up", _up, "start the lab; it stays until `down`"),
        ("run", _run, "start the lab, run a command with SANDBOXER_LAB set to it, end the lab"),
    ):
        added = commands.add_parser(name, help=text, description=text, parents=[sizes])
        added.set_defaults(run=run)
    commands.choices["run"].add_argument("command", nargs="+", metavar="-- CMD")
    command("down", _down, "end the lab, also a dead one, and remove all of it")
    command("status", _status, "the lab's hosts, as JSON; exit 1 where it does not run")
    added = command("manifests", _manifests, "the hosts as `kind: Host` documents")
    added.add_argument("--root", default="/tmp/sandboxer", help="where sandboxes live on them (%(default)s)")
    added = command("exec", _exec, "run a program on a host, as root")
    added.add_argument("host")
    added.add_argument("command", nargs="+", metavar="-- CMD")
    return parser


def _prepare(_: argparse.Namespace) -> int:
    machine.prepare()
    return 0


def _up(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    lab = Lab.up(arguments.name, docker=arguments.docker, podman=arguments.podman, both=arguments.both)
    print(f"The lab {lab.name} is up, in {time.monotonic() - began:.1f} s:\n")
    for host in lab.hosts:
        print(f"  {host.name}  {host.address}  {host.user:4}  {' + '.join(host.engines)}")
    print(f"\n  ssh -F {lab.ssh_config} {lab.hosts[0].name}\n  SANDBOXER_LAB={lab.name} makes the tests use it.")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    sizes = {"docker": arguments.docker, "podman": arguments.podman, "both": arguments.both}
    with Lab.up(f"run-{os.getpid()}", owner=Process.me(), **sizes) as lab:
        return subprocess.run(arguments.command, env=os.environ | {"SANDBOXER_LAB": lab.name}, check=False).returncode


def _down(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    if labs.remove(arguments.name):
        print(f"The lab {arguments.name} is down, in {time.monotonic() - began:.1f} s.")
    else:
        print(f"There is no lab {arguments.name}.")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.name)
    print(json.dumps({"name": lab.name, "hosts": [asdict(host) for host in lab.hosts]}, indent=2))
    return 0


def _manifests(arguments: argparse.Namespace) -> int:
    print(Lab.attach(arguments.name).host_manifests(arguments.root), end="")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    host = Lab.attach(arguments.name).host(arguments.host)
    return subprocess.run(host.command(arguments.command), env=host.environment(), check=False).returncode


def _interrupted(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
