"""Fleets for attacks are made as in ``tests/lab``."""

from __future__ import annotations

from tests.lab.conftest import fleet, new_fleet

__all__ = ["fleet", "new_fleet"]
