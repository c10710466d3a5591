"""The program's exit codes."""

from __future__ import annotations

EXIT_DONE, EXIT_ERROR, EXIT_DIFFERENCES, EXIT_INTERRUPTED = 0, 1, 2, 130
