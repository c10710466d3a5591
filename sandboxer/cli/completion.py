"""``sandboxer completion``, and the answers to a shell: names of sandboxes and their parts come live from the hosts.

A shell requests completions by running the program with click's variable set. After any failure there is nothing to
complete: an error message would land in the middle of the user's command line.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from sandboxer.cli.choice import Choice
from sandboxer.cli.console import write
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.model.text import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandboxer.model.documents import Manifests
    from sandboxer.model.record import Record
    from sandboxer.model.run_events import RunEvent

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = ("sandboxer", "sandbox")
LABEL_PATTERN = r"[A-Za-z0-9._/-]+=[A-Za-z0-9._-]*"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
#: The longest wait after Tab, in seconds: for the hosts, and in total.
OBSERVE_SECONDS, MOST_SECONDS = 2.2, 3.0


@click.command()
@click.argument("shell", type=Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the completion script of a shell.

    Completes commands, options, and the names of sandboxes, services, ports, profiles and hosts. Those of sandboxes,
    services and ports come from the hosts that answer within 3 seconds.

    \b
    Examples:
      source <(sandboxer completion bash)              in ~/.bashrc
      source <(sandboxer completion zsh)               in ~/.zshrc, after compinit
      sandboxer completion fish | source               in ~/.config/fish/config.fish
    """
    made, cli = get_completion_class(shell), click.get_current_context().find_root().command
    if made is not None:
        write("\n".join(made(cli, {}, program, variable_of(program)).source() for program in PROGRAMS))
    return EXIT_DONE


def variable_of(program: str) -> str:
    """Return the variable by which a shell requests completions of the program of this name."""
    return f"_{program}_COMPLETE".upper()


def answer(cli: click.Command, program: str, instruction: str) -> NoReturn:
    """Print the completions of a command line for a shell, and end the process: soon, and without any other output."""
    threading.Timer(MOST_SECONDS, os._exit, (EXIT_DONE,)).start()
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends
    with suppress(Exception, SystemExit, KeyboardInterrupt):
        shell_complete(cli, {}, program, variable_of(program), instruction)
        sys.stdout.flush()
    os._exit(EXIT_DONE)  # do not wait for unfinished connections


# --- completed values


def completes(command: click.Command, name: str) -> None:
    """Attach completion to the parameters of a command that stand for sandboxes, their parts, profiles or hosts."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    for argument in arguments[: _NAMED.get(name, 0)]:
        argument.type = NamesOrFiles(sandboxes) if name == "cp" else Names(sandboxes)
    for argument in arguments:
        if found := _ARGUMENTS.get((name, argument.name or "")):
            argument.type = found
    for option in command.params:
        if found := next((_OPTIONS[word] for word in option.opts if word in _OPTIONS), None):
            option.type = found


class Names(click.types.StringParamType):
    """A name, completed by the names that ``find`` returns for a fleet's folder, each with a description.

    A shell expands its input: nothing is completed but what ``pattern`` matches.
    """

    def __init__(self, find: Callable[[Path], Mapping[str, str]], pattern: str = NAME_PATTERN) -> None:
        self._find = find
        self._pattern = pattern

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names with this prefix, except those given before."""
        given = ctx.params.get(param.name or "")
        before = set(given) if isinstance(given, list | tuple) else set()
        found = self._find(_folder(ctx))
        return [
            CompletionItem(name, help=found[name])
            for name in sorted(found)
            if name.startswith(incomplete) and name not in before and re.fullmatch(self._pattern, name)
        ]


class Parts(click.types.StringParamType):
    """A part of the sandbox that the command names, completed by what ``find`` returns of its record."""

    def __init__(self, find: Callable[[Record], Mapping[str, str]]) -> None:
        self._find = find

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the parts with this prefix, except those given before; a local port may precede one."""
        given = ctx.params.get(param.name or "")
        before = set(given) if isinstance(given, list | tuple) else set()
        # Behind an option that waits for its value, click leaves the arguments as they are.
        name = ctx.params.get("name") or next((word for word in ctx.args if not word.startswith("-")), None)
        parts: dict[str, str] = {}
        for record in records(_folder(ctx)).values():
            if record and name in (record.name, record.id):
                parts |= self._find(record)
        local, colon, start = incomplete.rpartition(":")
        return [
            CompletionItem(local + colon + part, help=parts[part])
            for part in sorted(parts)
            if part.startswith(start) and local + colon + part not in before and re.fullmatch(_PART, part)
        ]


class NamesOrFiles(Names):
    """One end of a copy: ``NAME:PATH``, or a local file if no name has this prefix."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names with their colon, or else the shell's own files."""
        found = [] if "/" in incomplete else super().shell_complete(ctx, param, incomplete)
        named = [CompletionItem(f"{item.value}:", help=item.help) for item in found]
        return named or [CompletionItem(incomplete, type="file")]


def sandboxes(root: Path) -> dict[str, str]:
    """Return the sandboxes observed within 2 seconds: their names, and the IDs of those without a record."""
    found: dict[str, str] = {}
    for (host, identifier), record in records(root).items():
        found[record.name if record else identifier] = f"{record.phase} on {host}" if record else host
    return found


def services(record: Record) -> dict[str, str]:
    """Return the services of a sandbox, and for one that has finished, that it has."""
    return {name: "finished" if service.completed else "" for name, service in record.services.items()}


def ports(record: Record) -> dict[str, str]:
    """Return the names of a sandbox's ports, and the service and the container port of each."""
    declared = record.spec.get("reachability", {}).get("ports", ())
    return {str(port["name"]): f"{port.get('service', '')} {port.get('port', '')}".strip() for port in declared}


def records(root: Path) -> dict[tuple[str, str], Record | None]:
    """Return the records observed within 2 seconds, by host and ID; None for a sandbox without one."""
    from sandboxer.model.observed import Reachable
    from sandboxer.model.run_events import HostObserved
    from sandboxer.wiring.fleet_hosts import open_fleet

    found: dict[tuple[str, str], Record | None] = {}

    def receive(event: RunEvent) -> None:
        if isinstance(event, HostObserved) and isinstance(event.observation, Reachable):
            for identifier, one in event.observation.found.items():
                found[event.observation.host, identifier] = one.record

    def observe_host() -> None:
        with suppress(Exception), open_fleet(root, find_inputs=False, emit=receive) as (_source, hosts):
            hosts.observe()

    request = threading.Thread(target=observe_host, daemon=True)
    request.start()
    request.join(OBSERVE_SECONDS)
    return dict(found)


def profiles(root: Path) -> dict[str, str]:
    """Return the profiles of the manifests, and the extension of each."""
    return {name: profile.spec.extension for name, profile in _manifests(root).profiles.items()}


def hosts(root: Path) -> dict[str, str]:
    """Return the hosts of the manifests, and the address of each."""
    return {name: host.spec.address or host.spec.connection for name, host in _manifests(root).hosts.items()}


def labels(root: Path) -> dict[str, str]:
    """Return the labels of the manifests' sandboxes as selectors, and how many sandboxes have each."""
    found = Counter(
        f"{key}={value}" for one in _manifests(root).sandboxes.values() for key, value in one.metadata.labels.items()
    )
    return {label: f"{count} in git" for label, count in found.items()}


def in_git(root: Path) -> dict[str, str]:
    """Return the sandboxes of the manifests, and the profile of each."""
    return {name: sandbox.spec.profile for name, sandbox in _manifests(root).sandboxes.items()}


_NAMED = {
    "get": 1, "resume": 1, "recreate": 1, "destroy": 1, "wait": 1, "extend-ttl": 1, "unlock": 1, "events": 1, "logs": 1,
    "forward": 1, "ssh": 1, "cp": 2,
}  # fmt: skip
"""Of each command that takes sandboxes, how many of its arguments, from the first on, are names."""

_ARGUMENTS: Mapping[tuple[str, str], click.types.StringParamType] = {
    ("doctor", "hosts"): Names(hosts),
    ("render", "name"): Names(in_git),
    ("ssh", "service"): Parts(services),
    ("forward", "ports"): Parts(ports),
}
"""Of a command, the other arguments that are names."""

_OPTIONS: Mapping[str, click.types.StringParamType] = {
    "--profile": Names(profiles),
    "--host": Names(hosts),
    "--forget-host": Names(hosts),
    "--target": Names(in_git),
    "--exclude": Names(in_git),
    "--replace": Names(in_git),
    "--selector": Names(labels, LABEL_PATTERN),
    "--service": Parts(services),
}


def _manifests(root: Path) -> Manifests:
    """Return the manifests, whatever else is wrong with them; connects to no host."""
    from sandboxer.wiring.source import FleetSource

    return FleetSource(root).manifests()


def _folder(context: click.Context) -> Path:
    """Return the fleet's folder, by the working directory or the value of -C, which no shell has expanded yet."""
    from sandboxer.wiring.edges import find_fleet

    given: Any = context.find_root().params.get("directory")
    return find_fleet(Path(given).expanduser().resolve() if given else Path.cwd())
