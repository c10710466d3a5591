"""Model tests: random histories on simulated hosts, checked against invariants and against real hosts."""
