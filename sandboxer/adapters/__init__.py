"""Adapters to the outside world (hosts, git, State Hub), each behind a protocol of ``model``.

A library's own exception never leaves this package: every adapter maps it to one of ``sandboxer.errors``.
"""
