"""A choice among words, with a suggestion for a wrong one."""

from __future__ import annotations

from typing import Any

import click


class Choice(click.Choice):  # type: ignore[type-arg]  # generic in click 8.2 and later
    """One of several words; an error for any other names the most similar one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word; fail with a usage error for any other."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from sandboxer.model.suggestion import nearest  # needed only for a wrong word

            near = nearest(str(value), map(str, self.choices))
            if near is None:
                raise
            raise click.BadParameter(f"{error.message} Did you mean {near!r}?", ctx, param) from None
