"""The contract of backends, and the built-in one: compose stacks on hosts over SSH."""
