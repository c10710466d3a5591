"""The one place that joins the edges to the lifecycle."""

from sandboxer.wiring.run import ApplyOptions, Run

__all__ = ["ApplyOptions", "Run"]
