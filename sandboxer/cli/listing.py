"""``sandboxer get`` and ``sandboxer list``: what there is, and how to reach it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stdout, write
from sandboxer.cli.main import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option
from sandboxer.cli.plan import make_plan
from sandboxer.cli.session import opened, session
from sandboxer.reconcile.options import Options
from sandboxer.wiring.found import find, handle_of, sandboxes_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Plan


@click.command("list")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only sandboxes on this host.")
@click.option("--phase", "phases", multiple=True, metavar="PHASE", help="Only sandboxes in this phase.")
@click.option("-l", "labels", multiple=True, metavar="KEY=VALUE", help="Only sandboxes with this label.")
@output_option("table", "wide", "json", "yaml", "name")
def list_(hosts: tuple[str, ...], phases: tuple[str, ...], labels: tuple[str, ...], output: str) -> int:
    """List the sandboxes that are on the hosts, of git and imperative ones alike.

    \b
    Examples:
      sandboxer list
      sandboxer list -o wide -l team=payments
      sandboxer list -o json | jq '.[].reachability'
    """
    decided, handles = _handles()
    wanted = [pair.partition("=") for pair in labels]
    shown = [
        handle
        for handle in handles
        if (not hosts or handle["host"] in hosts)
        and (not phases or handle["phase"] in phases)
        and all(dict(handle["labels"]).get(key) == value for key, _, value in wanted)  # type: ignore[arg-type]
    ]
    _print(shown, output)
    return _complete(decided)


@click.command("get")
@click.argument("name", metavar="NAME|ID")
@output_option("text", "json", "yaml")
def get(name: str, output: str) -> int:
    """Show one sandbox: its phase, whether it is as git wants it, how it fares, and how to reach it.

    \b
    Examples:
      sandboxer get checkout-e2e
      sandboxer get 1f2e3d4c -o json
    """
    with opened() as run:
        home, *_ = find(run, make_plan(run, Options()), name)
        shown = handle_of(run, home)
    if output == "text":
        from sandboxer.render.listing import handle_text

        stdout().print(handle_text(shown, datetime.now(UTC)))
    else:
        _machine(shown, output)
    return EXIT_DONE


def _handles() -> tuple[Plan, list[JsonObject]]:
    with opened() as run:
        decided = make_plan(run, Options())
        return decided, [handle_of(run, there) for there in sandboxes_there(run, decided)]


def _complete(decided: Plan) -> int:
    """What is not seen is not listed, so an incomplete list is told as one."""
    unseen = [host for host in decided.hosts if host.status != "reachable"]
    for host in unseen:
        session().said("error", f"{host.name} is {host.status}: {host.error}", host.name)
    return EXIT_ERROR if unseen else EXIT_DONE


def _print(handles: Sequence[JsonObject], output: str) -> None:
    if output == "name":
        for handle in handles:
            write(str(handle["name"]))
    elif output in ("json", "yaml"):
        _machine(handles, output)
    else:
        from sandboxer.render.listing import list_table

        stdout().print(list_table(handles, wide=output == "wide"))


def _machine(value: object, output: str) -> None:
    if output == "json":
        write(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        import yaml

        write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
