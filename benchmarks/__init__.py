"""Benchmarks: each prints ratios to a floor that is measured in the same run, for machines differ and are noisy."""
