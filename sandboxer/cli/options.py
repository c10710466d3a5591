"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import reduce, wraps
from operator import and_
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from sandboxer.cli.choice import Choice
from sandboxer.reconcile.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandboxer.model.selector import Selector
    from sandboxer.wiring.apply_options import ApplyOptions

F = TypeVar("F", bound="Callable[..., Any]")


class LabelSelector(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A selector of labels on the command line, as kubectl's; its value is a Selector."""

    name = "selector"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Selector:
        """Return the selector; fail with a usage error and the part at fault if the text is none."""
        from sandboxer.model.selector import parse_selector

        try:
            return parse_selector(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _joined(context: click.Context, _parameter: click.Parameter, given: tuple[Selector, ...]) -> Selector | None:
    """Return the selector of what all the given ones select; a shell that requests completions needs none."""
    return reduce(and_, given) if given and not context.resilient_parsing else None


def selector_option(*more: str) -> Callable[[F], F]:
    """Return the option `-l`, under ``more`` names too; its value is one Selector for all that were given, or None."""
    return click.option(
        "-l",
        "--selector",
        *more,
        "selector",
        multiple=True,
        type=LabelSelector(),
        callback=_joined,
        metavar="LABELS",
        help="Include only these labels: key=value, key!=value, key in (a,b).",
    )


_TARGETS = (
    click.option(
        "--target", "targets", multiple=True, metavar="NAME", help="Include only this name or 'glob*'. Repeatable."
    ),
    click.option(
        "--exclude", "excluded", multiple=True, metavar="NAME", help="Exclude this name or 'glob*'. Repeatable."
    ),
    selector_option(),
)
_SELECTORS = (
    click.option("--ref", metavar="REV", help="Read the manifests of this git revision."),
    *_TARGETS,
    click.option(
        "--host", "hosts", multiple=True, metavar="NAME", help="Include only changes on this host. Repeatable."
    ),
    click.option("--replace", "replaced", multiple=True, metavar="NAME", help="Recreate this sandbox. Repeatable."),
    click.option("--allow-empty", is_flag=True, help="Allow a fleet without Sandboxes to delete all of them."),
    click.option("--adopt-fleet", is_flag=True, help="Take over sandboxes of another repository."),
    click.option("--allow-rollback", is_flag=True, help="Allow a commit older than the newest applied one."),
    click.option("--allow-rename", is_flag=True, help="Allow sandboxes to remain under the fleet's former name."),
    click.option(
        "--forget-host",
        "forgotten",
        multiple=True,
        metavar="NAME",
        help="Treat this host as gone for good. Repeatable.",
    ),
    click.option(
        "--max-deletes", type=click.IntRange(min=0), metavar="N", help="Delete or replace at most N sandboxes."
    ),
)


def _with_options(command: F, options: Sequence[Callable[[F], F]]) -> F:
    """Add options to a command, in the order of its help."""
    return reduce(lambda changed, option: option(changed), reversed(options), command)


def selectors(command: F) -> F:
    """Add the options that select sandboxes and lift guards."""
    return _with_options(command, _SELECTORS)


def target_options(command: F) -> F:
    """Add the options that select sandboxes by name or label."""
    return _with_options(command, _TARGETS)


diff_option = click.option("--diff", is_flag=True, help="Also show the text of changed files.")


def options_of(given: dict[str, Any], **more: Any) -> Options:
    """Return the planner's options from a command's own."""
    return Options(
        targets=frozenset(given["targets"]),
        excluded=frozenset(given["excluded"]),
        hosts=frozenset(given["hosts"]),
        selector=given["selector"],
        replaced=frozenset(given["replaced"]),
        forgotten=frozenset(given["forgotten"]),
        max_deletes=given["max_deletes"],
        allow_empty=given["allow_empty"],
        adopt_fleet=given["adopt_fleet"],
        allow_rollback=given["allow_rollback"],
        allow_rename=given["allow_rename"],
        **more,
    )


def given_options(context: click.Context) -> Iterator[str]:
    """Yield the given options that belong to a saved plan, such as ``--target``."""
    for parameter in context.command.params:
        decides = parameter.name in Options.__dataclass_fields__ or parameter.name == "no_prune"
        if decides and context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT:
            yield parameter.opts[0]


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """How a plan is carried out: without confirmation if ``yes``, reported in the format ``output``."""

    yes: bool
    output: str
    operation: ApplyOptions


def carries_out(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a command that carries a plan out; it gets them as its argument ``command``."""

    @click.option("-y", "--yes", is_flag=True, help="Skip the confirmation.")
    @click.option(
        "--parallelism",
        type=click.IntRange(1, 256),
        default=16,
        show_default=True,
        help="Change at most N hosts at once.",
    )
    @lock_timeout_option
    @output_option("text", "json")
    @wraps(command)
    def gathered(yes: bool, parallelism: int, lock_timeout: timedelta, output: str, **given: Any) -> int:
        from sandboxer.wiring.apply_options import ApplyOptions

        return command(
            command=CommandOptions(yes, output, ApplyOptions(parallelism, lock_timeout.total_seconds())), **given
        )

    return gathered


def output_option(*formats: str) -> Callable[[F], F]:
    """Return the option `-o`; the first format is the default."""
    return click.option(
        "-o", "--output", type=Choice(formats), default=formats[0], show_default=True, help="The output format."
    )


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """A duration on the command line, such as ``90s`` or ``8h``; its value is a timedelta."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration; fail with a usage error and the reason if the text is not one."""
        from sandboxer.model.quantity import parse_duration

        try:
            return value if isinstance(value, timedelta) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """KEY=VALUE on the command line."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return key and value; fail with a usage error if there is no equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            # The value is not shown: it may be secret.
            self.fail("expected KEY=VALUE", param, ctx)
        return key, rest


lock_timeout_option = click.option(
    "--lock-timeout", type=Duration(), default="60s", show_default=True, help="The longest wait for another client."
)
