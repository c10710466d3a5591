"""``sandboxer create``, ``recreate``, ``destroy`` and ``wait``: one sandbox at a time, without a commit."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.choice import Choice
from sandboxer.cli.client_session import client_session, warned
from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.fleet_folder import fleet_folder, within_fleet
from sandboxer.cli.options import Duration, Pair, lock_timeout_option, output_option, selector_option
from sandboxer.cli.session import session
from sandboxer.errors import TRANSIENT, ManifestError, SandboxerError, SandboxNotFound, UsageError
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.client import Sandbox
    from sandboxer.model.selector import Selector


@click.command()
@click.option("--profile", required=True, metavar="NAME", help="The profile of the sandbox.")
@click.option("--name", metavar="NAME", help="The name. Default: generated from the profile.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=Pair(),
    metavar="KEY=VALUE",
    help="repo=PATH-OR-URL or ref=REV. Repeatable.",
)
@click.option("--ttl", metavar="DURATION", help="The time to live. Default: the profile's.")
@click.option("--consumer", metavar="ACTOR/PROJECT", help="An actor type (adm, agt or atm) and a project.")
@click.option("--label", "labels", multiple=True, type=Pair(), metavar="KEY=VALUE", help="Set a label. Repeatable.")
@click.option("--env", multiple=True, type=Pair(), metavar="KEY=VALUE", help="Set a variable. Repeatable.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    type=Pair(),
    metavar="NAME=SOURCE",
    help="Pass a secret from env:NAME or file:PATH. Repeatable.",
)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Allow only this host. Repeatable.")
@click.option("--no-wait", is_flag=True, help="Create in the background; do not wait until ready.")
@lock_timeout_option
@output_option("text", "json", "name")
def create(lock_timeout: timedelta, output: str, profile: str, name: str | None, no_wait: bool, **given: Any) -> int:
    """Create a sandbox without a commit.

    Waits until the sandbox is ready. The options are validated like a manifest. Applies from git do not change such a
    sandbox: it lives until it expires or `sandboxer destroy` deletes it.

    \b
    Examples:
      sandboxer create --profile profile.compose-e2e --input repo=../checkout
      sandboxer create --profile profile.compose-e2e --name try-1 --ttl 30m -o json
      sandboxer create --profile profile.compose-e2e --consumer atm/wise-validator --env LOG_LEVEL=debug
      sandboxer create --profile profile.compose-e2e --no-wait -o name
    """
    with client_session(lock_timeout) as client, _in_terms_of_options():
        made = client.create(
            profile,
            name=name,
            inputs=_inputs(given["inputs"]),
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


def _inputs(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the given inputs; a path is relative to the working directory, and in a request to the fleet's folder."""
    inputs = dict(pairs)
    repo = inputs.get("repo", "")
    remote = ":" in repo.partition("/")[0]  # a URL, or host:path
    if repo and not remote and not repo.startswith("/"):
        inputs["repo"] = within_fleet(repo, fleet_folder())
    return inputs


@contextmanager
def _in_terms_of_options() -> Iterator[None]:
    """Turn findings about the request into those about the options that it was made of."""
    try:
        yield
    except ManifestError as error:
        from sandboxer.render.requests import in_options

        raise in_options(error) from None


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("--give-up", is_flag=True, help="If creation is impossible, mark it as failed.")
@lock_timeout_option
@output_option("text", "json")
def resume(name: str, give_up: bool, lock_timeout: timedelta, output: str) -> int:
    """Finish creating a requested or interrupted sandbox.

    The request is stored on the host, so any machine can finish it. A ready sandbox is left unchanged.

    \b
    Examples:
      sandboxer resume try-1
      sandboxer resume 1f2e3d4c -o json
    """
    with client_session(lock_timeout) as client:
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

    Keeps the ID and the inputs, and deletes the volumes. Also brings back an expired sandbox from git. An imperative
    sandbox is recreated from its original request.

    \b
    Examples:
      sandboxer recreate checkout-e2e
      sandboxer recreate 1f2e3d4c -o json
    """
    with client_session(lock_timeout) as client:
        made = client.recreate(name)
    _show(made, output)
    return EXIT_DONE


@click.command()
@click.argument("names", metavar="[NAME|ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Delete every imperative sandbox, none from git.")
@click.option("--mine", is_flag=True, help="With --all: only those you created from this machine.")
@selector_option()
@click.option(
    "--without-record", "unrecorded", metavar="ID", help="Delete resources labelled with this ID, without a record."
)
@click.option("-y", "--yes", is_flag=True, help="Skip the confirmation of --all and --without-record.")
@lock_timeout_option
@output_option("text", "json")
def destroy(
    names: tuple[str, ...],
    every: bool,
    mine: bool,
    selector: Selector | None,
    unrecorded: str | None,
    yes: bool,
    lock_timeout: timedelta,
    output: str,
) -> int:
    """Delete sandboxes and everything in them.

    Succeeds for a sandbox that does not exist. A sandbox from git returns with the next apply. A failure does not stop
    the deletion of the others. --all and --without-record list what they would delete and ask for confirmation; use -y
    where there is no terminal. Sandboxes that you name are deleted without confirmation, with or without -y. -l selects
    imperative sandboxes by label, as --all does all of them.

    --without-record deletes the directory, containers, networks and volumes labelled with an ID that no record and no
    manifest claims. A plan lists them as `ambiguous`.

    \b
    Examples:
      sandboxer destroy try-1
      sandboxer destroy 1f2e3d4c 5a6b7c8d
      sandboxer destroy --all --mine
      sandboxer destroy -l purpose=e2e
      sandboxer destroy --without-record 1f2e3d4c
    """
    every = every or selector is not None
    _check_selection(names=bool(names), every=every, mine=mine, unrecorded=unrecorded is not None)
    if unrecorded is not None:
        return _destroy_unrecorded(unrecorded, yes=yes, lock_timeout=lock_timeout, output=output)
    unseen: list[str] = []
    labels = selector.text if selector else ""
    chosen = {name: name for name in names} or _all_there(unseen, labels, mine=mine, yes=yes, output=output)
    if chosen is None:
        session().notify("info", "Nothing was changed.")
        return EXIT_ERROR
    ends: dict[str, str] = {}
    for selected in chosen:
        if session().interrupted:
            ends[selected] = "interrupted"
            continue
        try:
            with client_session(lock_timeout) as client:
                ends[selected] = "destroyed" if client.destroy(selected) else "absent"
        except SandboxerError as error:
            session().failed(error)
            ends[selected] = "failed"
    if output == "json":
        write(json.dumps([_ended(chosen[one], one, end) for one, end in ends.items()], indent=2))
    else:
        for selected, end in ends.items():
            stdout().print(f"{chosen[selected]}: {end}", markup=False)
    return EXIT_ERROR if unseen or "failed" in ends.values() else EXIT_DONE


def _ended(name: str, selected: str, end: str) -> dict[str, str]:
    """Return the outcome of a destroy; with the ID where that is what selected the sandbox, and its name is known."""
    return {"sandbox": name, **({"id": selected} if selected != name else {}), "outcome": end}


def _check_selection(*, names: bool, every: bool, mine: bool, unrecorded: bool) -> None:
    """Raise UsageError unless the command line selects sandboxes in exactly one way."""
    ways = [names, every, unrecorded].count(True)
    hint = "specify names or IDs, --all [--mine], or --without-record ID"
    if ways > 1:
        raise UsageError("names, --all and --without-record exclude each other", hint=hint)
    if mine and not every:
        raise UsageError("--mine restricts --all, which is missing", hint=hint)
    if ways == 0:
        raise UsageError("no sandboxes specified", hint=hint)


def _destroy_unrecorded(identifier: str, *, yes: bool, lock_timeout: timedelta, output: str) -> int:
    """Show the resources labelled with an ID that has no record, ask for confirmation, and remove them."""
    _need_a_terminal(yes=yes)
    from sandboxer.render.listing import unrecorded_text

    with client_session() as client:
        found = client.unrecorded(identifier)
    if found:
        (stdout() if output == "text" else stderr()).print(unrecorded_text([one.to_json() for one in found]))
        if not yes and not click.confirm("\nDelete all of this?", default=False, err=True):
            session().notify("info", "Nothing was changed.")
            return EXIT_ERROR
        with client_session(lock_timeout) as client:
            found = client.destroy_unrecorded(identifier, found)
    outcome = "destroyed" if found else "absent"
    if output == "json":
        removed = [one.to_json() for one in found]
        write(json.dumps({"id": identifier, "outcome": outcome, "removed": removed}, indent=2, ensure_ascii=False))
    else:
        name = f"{found[0].name} ({identifier})" if found else identifier
        stdout().print(f"{name}: {outcome}", markup=False)
    return EXIT_DONE


def _need_a_terminal(*, yes: bool) -> None:
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("cannot ask for confirmation without a terminal", hint="use -y to skip the confirmation")


def _all_there(unseen: list[str], labels: str, *, mine: bool, yes: bool, output: str) -> dict[str, str] | None:
    """Return the names of the imperative sandboxes with these labels, by ID, after showing them.

    Return None if the user declines.

    For each host that was not observed in full, print a warning and append a sentence to ``unseen``.
    """
    from sandboxer.client import SandboxFilter
    from sandboxer.render.listing import list_table
    from sandboxer.wiring.edges import who

    _need_a_terminal(yes=yes)

    def warn(words: str) -> None:
        unseen.append(words)
        warned(words)

    with client_session(warn=warn) as client:
        chosen = SandboxFilter(imperative=True, by=who() if mine else None, selector=labels)
        handles = [one.handle for one in client.list(chosen)]
    (stdout() if output == "text" else stderr()).print(list_table(handles, wide=False))
    if handles and not yes and not click.confirm("\nDelete all of these?", default=False, err=True):
        return None
    return {handle.id: handle.name for handle in handles}


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("--for", "phase", type=Choice(["ready", "destroyed"]), default="ready", show_default=True)
@click.option("--timeout", type=Duration(), default="5m", show_default=True, help="The longest wait.")
@output_option("text", "json")
def wait(name: str, phase: str, timeout: timedelta, output: str) -> int:
    """Wait until a sandbox is ready or destroyed.

    Exits 1 if the sandbox failed or the timeout expired.

    \b
    Examples:
      sandboxer wait checkout-e2e
      sandboxer wait try-1 --for destroyed --timeout 10m
    """
    from sandboxer.client import Client

    found = Client(fleet_folder()).wait(name, "ready" if phase == "ready" else "destroyed", timeout.total_seconds())
    if found is not None:
        _show(found, output)
    return EXIT_DONE


def _go_on_with(sandbox: Sandbox) -> None:
    """Finish the create in a separate process, which outlives this one and its terminal."""
    nothing = subprocess.DEVNULL
    words = [sys.executable, "-m", "sandboxer", "resume", "--give-up", sandbox.id]
    subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    what, wait_for = named("sandbox", sandbox.name), f"`sandboxer wait {sandbox.name}`"
    session().notify("info", f"{what} is being created in the background: wait with {wait_for}.")


def _show(sandbox: Sandbox, output: str) -> None:
    if output == "name":
        write(sandbox.name)
    elif output == "json":
        write(json.dumps(sandbox.handle.to_json(), indent=2, ensure_ascii=False))
    else:
        from sandboxer.render.listing import handle_text

        stdout().print(handle_text(sandbox.handle, datetime.now(UTC)))
