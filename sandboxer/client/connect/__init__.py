"""Access to a running sandbox: its logs, its ports, a shell in it, copies of files to it and from it."""

from sandboxer.client.connect.forward import Forward
from sandboxer.client.connect.logs import LogLine, Logs

__all__ = ["Forward", "LogLine", "Logs"]
