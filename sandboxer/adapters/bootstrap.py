"""Delivery of a script to a shell: as data, after one constant line that any login shell understands.

The line goes through whatever login shell the account has (bash, fish, csh), so it is one single-quoted word without
backslash, quote or exclamation mark. It starts ``sh``, which reads the script from standard input::

    <marker> <bytes of the script>
    <script>
    #<marker>

prints the marker on a separate line and runs the script; what follows on standard input is the script's. All output
before the marker is noise of the login shell. A truncated script lacks the marker, and is not run.
"""

from __future__ import annotations

import secrets

SHELL_CODE = (
    'read -r m n && s=$(dd bs="$n" count=1 iflag=fullblock 2>/dev/null) && '
    'case "$s" in *"#$m") echo "$m"; eval "$s" ;; *) exit 70 ;; esac'
)
LOGIN_LINE = f"exec sh -c '{SHELL_CODE}'"


def frame(script: str) -> tuple[bytes, bytes]:
    """Return the marker line to find in the output, and the bytes to send before the script's own input."""
    marker = secrets.token_hex(12)
    text = f"{script}\n#{marker}\n".encode()
    return f"{marker}\n".encode(), f"{marker} {len(text)}\n".encode() + text
