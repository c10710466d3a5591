"""Access to a running sandbox: its logs, its ports, a shell in it, copies of files to it and from it."""

from sandboxer.client.connect.forward import Forward
from sandboxer.client.connect.logs import Logs
from sandboxer.extensions.capabilities import LogLine

__all__ = ["Forward", "LogLine", "Logs"]
