"""Text that folds on a narrow terminal with its indentation kept, and is otherwise neither cut nor folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

_NARROWEST = 24


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``prefix`` precedes it once; where ``body`` is folded, its next lines are indented to its start."""

    body: Text
    prefix: Text = field(default_factory=Text)

    def folded(self, console: Console, width: int) -> Iterator[Text]:
        """Yield the line as lines of at most ``width`` columns."""
        indent = self.prefix.cell_len
        if indent + self.body.cell_len <= width or width - indent < _NARROWEST:
            yield self.prefix + self.body
            return
        first = True
        for part in self.body.wrap(console, width - indent, overflow="fold"):
            part.rstrip()
            yield (self.prefix if first else Text(" " * indent)) + part
            first = False


@dataclass(frozen=True, slots=True)
class Lines:
    """Several lines, as something that a rich console prints."""

    lines: list[Line] = field(default_factory=list)

    def add(self, *parts: str | tuple[str, str], indent: int = 0, prefix: str | tuple[str, str] = "") -> None:
        """Add a line of parts, each a text or a text and its style; without parts, add a blank line."""
        head = Text(" " * indent) + Text.assemble(prefix)
        self.lines.append(Line(Text.assemble(*parts), head))

    def blank(self) -> None:
        """Add a blank line, unless it would be the first line or follow another blank one."""
        if self.lines and (self.lines[-1].body or self.lines[-1].prefix):
            self.add()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            if options.no_wrap:
                yield line.prefix + line.body
            else:
                yield from line.folded(console, options.max_width)
