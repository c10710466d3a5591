"""The only package that connects the adapters to the lifecycle."""

from sandboxer.wiring.run import ApplyOptions, Run

__all__ = ["ApplyOptions", "Run"]
