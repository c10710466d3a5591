"""Decisions about what should happen, made from values alone: no I/O, no clock, no logging, no prompt."""
