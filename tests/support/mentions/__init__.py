"""The things that texts mention (commands, options, keys, variables, files, addresses), and whether it exists.

`texts` collects every text that a person may read; each other module finds one kind of mention in a text and yields a
line for each that names nothing. `faults` asks all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.mentions import addresses, changes, commands, files, keys, options, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

CHECKS = {
    "commands": commands.faults,
    "options": options.faults,
    "manifest keys": keys.faults,
    "variables": variables.faults,
    "files": files.faults,
    "addresses": addresses.faults,
    "changes": changes.faults,
}


def faults(text: Text) -> Iterator[str]:
    """Yield a line for each thing that a text mentions and that does not exist."""
    for kind, check in CHECKS.items():
        for fault in check(text):
            yield f"{text.location}: {kind}: {fault}"
