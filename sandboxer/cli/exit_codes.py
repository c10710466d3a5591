"""The program's exit codes."""

from __future__ import annotations

EXIT_DONE, EXIT_ERROR, EXIT_DIFFERENCES = 0, 1, 2
