"""The only package that connects the adapters to the lifecycle."""

from sandboxer.wiring.apply_options import ApplyOptions
from sandboxer.wiring.run import Run

__all__ = ["ApplyOptions", "Run"]
