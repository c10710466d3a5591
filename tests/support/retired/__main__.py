"""``python -m tests.support.retired [--write]``: print what is left of the retired words; write the list of it."""

from __future__ import annotations

import sys

from tests.support.retired.scan import OPEN, found


def main() -> None:
    """Print each word with its count and files; with ``--write``, make the list of open words what was found."""
    counted = found()
    for word, files in sorted(counted.items(), key=lambda pair: -pair[1].total()):
        print(f"{word}: {files.total()}")
        print("".join(f"    {where} {count}\n" for where, count in sorted(files.items())), end="")
    print(f"{sum(files.total() for files in counted.values())} in all, of {len(counted)} words")
    if "--write" in sys.argv[1:]:
        lines = "".join(f"{word}: {files.total()}\n" for word, files in sorted(counted.items()))
        OPEN.write_text(f"# How often a retired word still stands: python -m tests.support.retired --write\n{lines}")


main()
