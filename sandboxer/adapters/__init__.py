"""The edge: everything that speaks to the world (hosts, git, State Hub), each behind a seam of ``model``.

A library's own exception never leaves this package: every adapter maps it onto one of ``sandboxer.errors``.
"""
