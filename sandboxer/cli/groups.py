"""Groups of commands: their help, and the suggestion for an unknown name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHOLE = 1000  # characters: no summary is cut; a narrow terminal folds it


class SummaryGroup(click.Group):
    """Group that lists its commands in sections, each command with its whole summary."""

    def sections(self, ctx: click.Context) -> Mapping[str, Sequence[str]]:
        """Return the command names of each section, by its title."""
        return {"Commands": self.list_commands(ctx)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section; all summaries stand in one column."""
        widest = max(map(len, self.list_commands(ctx)))
        for title, names in self.sections(ctx).items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), summary(one)) for name, one in commands if one is not None])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that a command line begins with.

        Raise UsageError for an unknown one, with the most similar name.
        """
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from sandboxer.model.suggestion import nearest  # needed only for a wrong name

        near = nearest(name, known)
        raise click.UsageError(f"No such command {name!r}." + (f" Did you mean {near!r}?" if near else ""), ctx)


def summary(command: click.Command) -> str:
    """Return the first sentence of a command's help, without its full stop."""
    return command.get_short_help_str(_WHOLE).removesuffix(".")
