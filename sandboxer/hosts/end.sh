# The end of an observation: without it, the output is incomplete.
section end
