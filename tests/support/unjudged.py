"""The program as one that judges no input: to test what a host itself refuses, in a process of its own."""

from __future__ import annotations

import sys

from sandboxer.__main__ import main
from sandboxer.extensions.compose_ssh.extension import ComposeSsh

UNJUDGED = (sys.executable, "-P", __file__)

if __name__ == "__main__":
    del ComposeSsh.judge
    main()
