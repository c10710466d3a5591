"""Sandboxer: short-lived, isolated environments on machines you own, reconciled from git over SSH."""

__version__ = "0.1.0"
