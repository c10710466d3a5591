"""The console scripts ``sandboxer`` and ``sandbox``, which are one program."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def main() -> None:
    """Run the command line and exit with its code."""
    # Else pydantic searches all that is installed for plugins of its own, at every start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from sandboxer.cli.ci_output import guard_output
    from sandboxer.cli.main import run

    guard_output()
    _exit(run(sys.argv[1:]))


def _exit(code: int) -> NoReturn:
    """Exit with a code, although daemon threads may be at work, such as those of a server's unfinished operations.

    Python ends such a thread where it takes the interpreter's lock. In a library written in Rust that aborts the
    process: "FATAL: exception not rethrown".
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others and all(thread.daemon for thread in others):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
