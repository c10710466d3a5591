"""The console scripts ``sandboxer`` and ``sandbox``, which are one program."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # Else pydantic searches all that is installed for plugins of its own, at every start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from sandboxer.cli.ci_output import guard_output
    from sandboxer.cli.main import run

    guard_output()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
