"""The words that Sandboxer retired, where they may not stand: in names of code, and in texts.

`words` has the list, `scan` finds them. ``python -m tests.support.retired`` prints each, with its files.
"""
