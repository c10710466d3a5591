"""Model runs: random histories on simulated hosts, held to what must always be so, and to what real hosts do."""
