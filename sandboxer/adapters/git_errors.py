"""What git, and what it calls, write about an error."""

from __future__ import annotations

import re

# What git and ssh add to their errors: advice, a banner around a warning, and what is no error.
_NOISE = re.compile(
    r"Please make sure you have the correct access rights|and the repository exists\.|hint:|warning:"
    r"|Warning: Permanently|debug\d:|remote:\s*$|[@*=\-#\s]+$"
)
_CONSEQUENCE = re.compile(
    r"fatal: (Could not read from remote repository|the remote end hung up|early EOF|unexpected disconnect)"
    r"|fetch-pack: unexpected disconnect|error: \d+ bytes of body are still expected"
)
_CAUSES, _LONGEST_LINE = 2, 300


def cause_of(errors: str) -> str:
    """Return the cause in git's standard error, in one bounded line; empty if there is none.

    Git's last line often names only the failure of a remote: the program that it called, such as ssh, printed the cause
    before that. The messages of that program may follow a server's banner, and so the last ones count.
    """
    lines = [line.strip()[:_LONGEST_LINE] for line in errors.splitlines() if line.strip()]
    informative = [line for line in lines if not _NOISE.match(line)]
    causes = [line for line in informative if not _CONSEQUENCE.match(line)]
    found = causes[-_CAUSES:] or informative[:1] or lines[-1:]
    return "; ".join(line.removesuffix(".") for line in dict.fromkeys(found))
