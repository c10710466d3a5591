"""The tests, and the lab of real hosts that they, the demo and the benchmarks run on."""
