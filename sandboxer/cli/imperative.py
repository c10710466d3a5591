"""``sandboxer create``, ``recreate``, ``destroy`` and ``wait``: one sandbox at a time, without a commit."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.main import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import Duration, lock_timeout_option, output_option
from sandboxer.cli.session import session
from sandboxer.errors import SandboxerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.client import Client, Sandbox
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """KEY=VALUE on the command line."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Key and value; a usage error where there is no equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            # The value is not shown: it may be one that nobody shall see.
            self.fail("it must be KEY=VALUE", param, ctx)
        return key, rest


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
@lock_timeout_option
@output_option("text", "json")
def create(lock_timeout: timedelta, output: str, profile: str, name: str | None, **given: Any) -> int:
    """Make a sandbox without a commit, and wait until it is ready.

    It is checked as a manifest of these words would be. Git neither changes nor deletes it: it ends with its time to
    live, or with `sandboxer destroy`.

    \b
    Examples:
      sandboxer create --profile profile.compose-e2e --input repo=../checkout
      sandboxer create --profile profile.compose-e2e --name try-1 --ttl 30m -o json
      sandboxer create --profile profile.compose-e2e --consumer atm/wise-validator --env LOG_LEVEL=debug
    """
    with _client(lock_timeout) as client:
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
        )
    _show(made, output)
    return EXIT_DONE


@click.command()
@click.argument("name", metavar="NAME|ID")
@lock_timeout_option
@output_option("text", "json")
def recreate(name: str, lock_timeout: timedelta, output: str) -> int:
    """Make a sandbox anew: the same id, and the same inputs at a fresh commit. Its volumes end.

    One of git's that expired comes back so; an imperative one is made as it was asked for.

    \b
    Examples:
      sandboxer recreate checkout-e2e
      sandboxer recreate 1f2e3d4c -o json
    """
    with _client(lock_timeout) as client:
        made = client.recreate(name)
    _show(made, output)
    return EXIT_DONE


@click.command()
@click.argument("names", metavar="NAME|ID...", nargs=-1, required=True)
@lock_timeout_option
@output_option("text", "json")
def destroy(names: tuple[str, ...], lock_timeout: timedelta, output: str) -> int:
    """Remove sandboxes and all that they have; one that is not there is success.

    One of git's comes back with the next apply. What fails keeps no other from its turn.

    \b
    Examples:
      sandboxer destroy try-1
      sandboxer destroy 1f2e3d4c 5a6b7c8d
    """
    ends: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            with _client(lock_timeout) as client:
                ends[name] = "destroyed" if client.destroy(name) else "absent"
        except SandboxerError as error:
            session().failed(error)
            ends[name] = "failed"
    if output == "json":
        write(json.dumps([{"sandbox": name, "outcome": end} for name, end in ends.items()], indent=2))
    else:
        for name, end in ends.items():
            stdout().print(f"{name}: {end}", markup=False)
    return EXIT_ERROR if "failed" in ends.values() else EXIT_DONE


@click.command()
@click.argument("name", metavar="NAME|ID")
@click.option("--for", "phase", type=click.Choice(["ready", "destroyed"]), default="ready", show_default=True)
@click.option("--timeout", type=Duration(), default="5m", show_default=True, help="How long to wait at most.")
@output_option("text", "json")
def wait(name: str, phase: str, timeout: timedelta, output: str) -> int:
    """Wait until a sandbox is ready, or is gone. Exits 1 where it failed, or the time is over.

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


@contextmanager
def _client(lock_timeout: timedelta) -> Iterator[Client]:
    """A client that shows what it does, and warns on stderr."""
    from sandboxer.cli.plan import looking
    from sandboxer.client import Client

    def warn(words: str) -> None:
        session().said("warning", f"{words}.")

    with ExitStack() as stack:
        yield Client(lock_timeout=lock_timeout.total_seconds(), view=_Late(stack), warn=warn, around=looking)


class _Late:
    """The view of an apply, which begins with the first change: before that the hosts are looked at."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._view: ApplyView | None = None

    def started(self, change: Change) -> None:
        """Work on a change begins."""
        from sandboxer.render.live import LiveView, PlainView

        if self._view is None:
            console = stderr()
            view: LiveView | PlainView = LiveView(console) if console.is_terminal else PlainView(sys.stderr)
            self._stack.enter_context(view)
            self._view = view
        self._view.started(change)

    def progressed(self, change: Change, step: str) -> None:
        """Work on a change has come to a step."""
        if self._view is not None:
            self._view.progressed(change, step)

    def ended(self, outcome: Outcome) -> None:
        """Work on a change is over."""
        if self._view is not None:
            self._view.ended(outcome)


def _show(sandbox: Sandbox, output: str) -> None:
    if output == "json":
        write(json.dumps(sandbox.handle, indent=2, ensure_ascii=False))
    else:
        from sandboxer.render.listing import handle_text

        stdout().print(handle_text(sandbox.handle, datetime.now(UTC)))
