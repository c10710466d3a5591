"""The only package that connects the adapters to the lifecycle: each module is one part of a run over a fleet."""
