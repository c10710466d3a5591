# The end of an observation: without it, the output was cut off.
section end
