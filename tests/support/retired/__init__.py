"""The words that Sandboxer retired, and where they still stand: in names of code, and in texts.

`words` has the list, `scan` finds them. ``python -m tests.support.retired`` prints what is left, word by word;
``--write`` writes the list of what is open, which may only become shorter.
"""
