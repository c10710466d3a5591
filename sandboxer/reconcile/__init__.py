"""What should happen, decided from values alone: no I/O, no clock, no logging, no prompt."""
