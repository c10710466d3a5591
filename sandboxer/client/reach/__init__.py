"""Reaching into a sandbox that runs: its logs, its ports, a shell in it, files to it and from it."""

from sandboxer.client.reach.forward import Forward
from sandboxer.client.reach.logs import LogLine, Logs

__all__ = ["Forward", "LogLine", "Logs"]
