"""The console scripts ``sandboxer`` and ``sandbox``, which are one program."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and exits with its code."""
    from sandboxer.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
