"""Observation of hosts and execution of plans. ``reconcile`` decides what to do; this package does it."""
