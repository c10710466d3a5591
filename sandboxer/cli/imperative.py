"""``sandboxer create``, ``recreate``, ``destroy`` and ``wait``: one sandbox at a time, without a commit."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.client_session import calling, warned
from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.main import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import Duration, Pair, lock_timeout_option, output_option
from sandboxer.cli.session import session
from sandboxer.errors import TRANSIENT, SandboxerError, SandboxNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.client import Sandbox


@click.command()
@click.option("--profile", required=True, metavar="NAME", help="The profile that it is made with.")
@click.option("--name", metavar="NAME", help="Its name; left out, one after its profile.")
@click.option("--input", "inputs", multiple=True, type=Pair(), metavar="KEY=VALUE", help="repo=PATH-OR-URL, ref=REV.")
@click.option("--ttl", metavar="DURATION", help="How long it lives; left out, the profile's default.")
@click.option("--consumer", metavar="ACTOR/PROJECT", help="For whom it is: adm, agt or atm, and a project.")
@click.option("--label", "labels", multiple=True, type=Pair(), metavar="KEY=VALUE", help="May be given again.")
@click.option("--env", multiple=True, type=Pair(), metavar="KEY=VALUE", help="A variable; may be given again.")
@click.option("--secret", "secrets", multiple=True, type=Pair(), metavar="NAME=SOURCE", help="env:NAME or file:PATH.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only on this host; may be given again.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is ready: it is made in the background.")
@lock_timeout_option
@output_option("text", "json", "name")
def create(lock_timeout: timedelta, output: str, profile: str, name: str | None, no_wait: bool, **given: Any) -> int:
    """Create a sandbox without a commit.

    Waits until it is ready. It is checked as a manifest of these words would be. Git neither changes nor deletes it: it
    ends with its time to live, or with `sandboxer destroy`.

    \b
    Examples:
      sandboxer create --profile profile.compose-e2e --input repo=../checkout
      sandboxer create --profile profile.compose-e2e --name try-1 --ttl 30m -o json
      sandboxer create --profile profile.compose-e2e --consumer atm/wise-validator --env LOG_LEVEL=debug
      sandboxer create --profile profile.compose-e2e --no-wait -o name
    """
    with calling(lock_timeout) as client:
        made = client.create(
            profile,
            name=name,
            inputs=dict(given["inputs"]),
            ttl=given["ttl"],
            consumer=given["consumer"],
            labels=dict(given["labels"]),
            env=dict(given["env"]),
            secret_refs=dict(given["secrets"]),
            hosts=list(given["hosts"]),
            wait=not no_wait,
        )
    if no_wait:
        _go_on_with(made)
    _show(made, output)
    return EXIT_DONE


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("--give-up", is_flag=True, help="Where it cannot be made, mark it as failed.")
@lock_timeout_option
@output_option("text", "json")
def resume(name: str, give_up: bool, lock_timeout: timedelta, output: str) -> int:
    """Finish creating a requested or interrupted sandbox.

    The request is on its host, so any machine can finish it. A sandbox that is ready is left as it is.

    \b
    Examples:
      sandboxer resume try-1
      sandboxer resume 1f2e3d4c -o json
    """
    with calling(lock_timeout) as client:
        try:
            made = client.resume(name)
        except SandboxerError as error:
            if give_up and not isinstance(error, (*TRANSIENT, SandboxNotFound)):
                client.give_up(name, error.message)
            raise
    _show(made, output)
    return EXIT_DONE


@click.command()
@click.argument("name", metavar="NAME|ID")
@lock_timeout_option
@output_option("text", "json")
def recreate(name: str, lock_timeout: timedelta, output: str) -> int:
    """Recreate a sandbox from the latest commit.

    Its ID and inputs stay the same. Its volumes are deleted. An expired sandbox of git comes back this way; an
    imperative one is recreated as it was requested.

    \b
    Examples:
      sandboxer recreate checkout-e2e
      sandboxer recreate 1f2e3d4c -o json
    """
    with calling(lock_timeout) as client:
        made = client.recreate(name)
    _show(made, output)
    return EXIT_DONE


@click.command()
@click.argument("names", metavar="[NAME|ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every imperative sandbox; never one of git's.")
@click.option("--mine", is_flag=True, help="With --all: only those that you asked for, from this machine.")
@click.option("--without-record", "unrecorded", metavar="ID", help="What has this ID's labels and no record.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; --all and --without-record ask otherwise.")
@lock_timeout_option
@output_option("text", "json")
def destroy(
    names: tuple[str, ...],
    every: bool,
    mine: bool,
    unrecorded: str | None,
    yes: bool,
    lock_timeout: timedelta,
    output: str,
) -> int:
    """Delete sandboxes and everything in them.

    Deleting one that does not exist succeeds. One of git's comes back with the next apply. What fails keeps no other
    from its turn. --all and --without-record show what they are about to remove and ask first; without a terminal they
    need -y.

    --without-record removes containers, networks and volumes that carry the labels of an ID, and its directory, where
    no record and no manifest claims them: what a plan lists as `ambiguous`.

    \b
    Examples:
      sandboxer destroy try-1
      sandboxer destroy 1f2e3d4c 5a6b7c8d
      sandboxer destroy --all --mine
      sandboxer destroy --without-record 1f2e3d4c
    """
    if [bool(names), every, unrecorded is not None].count(True) != 1 or (mine and not every):
        hint = "give names or IDs, --all, or --without-record ID; --mine goes with --all"
        raise UsageError("no sandboxes specified", hint=hint)
    if unrecorded is not None:
        return _destroy_unrecorded(unrecorded, yes=yes, lock_timeout=lock_timeout, output=output)
    unseen: list[str] = []
    chosen = list(dict.fromkeys(names)) if names else _all_there(unseen, mine=mine, yes=yes, output=output)
    if chosen is None:
        session().said("info", "Nothing was changed.")
        return EXIT_ERROR
    ends: dict[str, str] = {}
    for name in chosen:
        try:
            with calling(lock_timeout) as client:
                ends[name] = "destroyed" if client.destroy(name) else "absent"
        except SandboxerError as error:
            session().failed(error)
            ends[name] = "failed"
    if output == "json":
        write(json.dumps([{"sandbox": name, "outcome": end} for name, end in ends.items()], indent=2))
    else:
        for name, end in ends.items():
            stdout().print(f"{name}: {end}", markup=False)
    return EXIT_ERROR if unseen or "failed" in ends.values() else EXIT_DONE


def _destroy_unrecorded(identifier: str, *, yes: bool, lock_timeout: timedelta, output: str) -> int:
    """Show what carries the labels of an ID and is on no record, ask, and remove it."""
    _need_a_terminal(yes=yes)
    from sandboxer.render.listing import unrecorded_text

    with calling() as client:
        found = client.unrecorded(identifier)
    if found:
        (stdout() if output == "text" else stderr()).print(unrecorded_text([one.to_json() for one in found]))
        if not yes and not click.confirm("\nRemove all of this?", default=False, err=True):
            session().said("info", "Nothing was changed.")
            return EXIT_ERROR
        with calling(lock_timeout) as client:
            found = client.destroy_unrecorded(identifier)
    outcome = "destroyed" if found else "absent"
    if output == "json":
        removed = [one.to_json() for one in found]
        write(json.dumps({"id": identifier, "outcome": outcome, "removed": removed}, indent=2, ensure_ascii=False))
    else:
        stdout().print(f"{identifier}: {outcome}", markup=False)
    return EXIT_DONE


def _need_a_terminal(*, yes: bool) -> None:
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on", hint="give -y where that need not be approved")


def _all_there(unseen: list[str], *, mine: bool, yes: bool, output: str) -> Sequence[str] | None:
    """Return the IDs of all imperative sandboxes, after showing them; None if the user declines.

    For each host that was not observed in full, print a warning and append a sentence to ``unseen``.
    """
    from sandboxer.client import SandboxFilter
    from sandboxer.render.listing import list_table
    from sandboxer.wiring.edges import who

    _need_a_terminal(yes=yes)

    def warn(words: str) -> None:
        unseen.append(words)
        warned(words)

    with calling(warn=warn) as client:
        handles = [one.handle for one in client.list(SandboxFilter(imperative=True, by=who() if mine else None))]
    (stdout() if output == "text" else stderr()).print(list_table(handles, wide=False))
    if handles and not yes and not click.confirm("\nRemove all of these?", default=False, err=True):
        return None
    return [handle.id for handle in handles]


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("--for", "phase", type=click.Choice(["ready", "destroyed"]), default="ready", show_default=True)
@click.option("--timeout", type=Duration(), default="5m", show_default=True, help="How long to wait at most.")
@output_option("text", "json")
def wait(name: str, phase: str, timeout: timedelta, output: str) -> int:
    """Wait until a sandbox is ready or destroyed.

    Exits 1 if it failed, or the timeout is over.

    \b
    Examples:
      sandboxer wait checkout-e2e
      sandboxer wait try-1 --for destroyed --timeout 10m
    """
    from sandboxer.client import Client

    found = Client().wait(name, "ready" if phase == "ready" else "destroyed", timeout.total_seconds())
    if found is not None:
        _show(found, output)
    return EXIT_DONE


def _go_on_with(sandbox: Sandbox) -> None:
    """Finish the create in a separate process, which outlives this one and its terminal."""
    nothing = subprocess.DEVNULL
    words = [sys.executable, "-m", "sandboxer", "resume", "--give-up", sandbox.id]
    subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    session().said("info", f"{sandbox.name} is made in the background: `sandboxer wait {sandbox.name}` waits for it.")


def _show(sandbox: Sandbox, output: str) -> None:
    if output == "name":
        write(sandbox.name)
    elif output == "json":
        write(json.dumps(sandbox.handle.to_json(), indent=2, ensure_ascii=False))
    else:
        from sandboxer.render.listing import handle_text

        stdout().print(handle_text(sandbox.handle, datetime.now(UTC)))
