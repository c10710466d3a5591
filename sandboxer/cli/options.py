"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from sandboxer.reconcile.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_SELECTORS = (
    click.option("--ref", metavar="REV", help="Read the manifests of a git revision, not of the work tree."),
    click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this sandbox; may be given again."),
    click.option("--exclude", "excluded", multiple=True, metavar="NAME", help="Not this sandbox; may be given again."),
    click.option(
        "--host", "hosts", multiple=True, metavar="NAME", help="Only changes on this host; all are looked at."
    ),
    click.option("--replace", "replaced", multiple=True, metavar="NAME", help="Make this sandbox anew."),
    click.option("--allow-empty", is_flag=True, help="Let a fleet without any Sandbox delete what there is."),
    click.option("--adopt-fleet", is_flag=True, help="Take over sandboxes that another repository applied."),
    click.option("--allow-rollback", is_flag=True, help="Apply a commit older than the newest applied on a host."),
    click.option("--forget-host", "forgotten", multiple=True, metavar="NAME", help="A host that is gone for good."),
    click.option("--max-deletes", type=click.IntRange(min=0), metavar="N", help="Delete or replace at most N."),
)


def selectors(command: F) -> F:
    """Adds the options that say what a run is about and which guards it lifts."""
    for option in reversed(_SELECTORS):
        command = option(command)
    return command


def options_of(given: dict[str, Any], **more: Any) -> Options:
    """The planner's options from a command's own."""
    return Options(
        targets=frozenset(given["targets"]),
        excluded=frozenset(given["excluded"]),
        hosts=frozenset(given["hosts"]),
        replaced=frozenset(given["replaced"]),
        forgotten=frozenset(given["forgotten"]),
        max_deletes=given["max_deletes"],
        allow_empty=given["allow_empty"],
        adopt_fleet=given["adopt_fleet"],
        **more,
    )


def output_option(*formats: str) -> Callable[[F], F]:
    """The option `-o`, the first format being the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], show_default=True, help="The output's format."
    )
