"""The conformance suite: the rules of a backend, as tests that its author runs.

``python -m sandboxer.extensions.conformance FLEET`` tests the extension of a fleet's profile on this machine, or with
``--host`` on a host of that fleet. See docs/extensions.md.
"""
