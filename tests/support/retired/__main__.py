"""``python -m tests.support.retired``: print each retired word that still stands, with its files."""

from __future__ import annotations

from tests.support.retired.scan import found


def main() -> None:
    """Print each word with its count, and that of each file."""
    counted = found()
    for word, files in sorted(counted.items(), key=lambda pair: -pair[1].total()):
        print(f"{word}: {files.total()}")
        print("".join(f"    {where} {count}\n" for where, count in sorted(files.items())), end="")
    print(f"{sum(files.total() for files in counted.values())} in all, of {len(counted)} words")


main()
