"""Tests that need no host, no root and no network."""
