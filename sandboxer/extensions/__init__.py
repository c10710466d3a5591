"""The contract of backends, the built-in ones, and the conformance suite."""
