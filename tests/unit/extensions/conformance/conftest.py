"""The example's package, as its source: what is broken here is made from it."""

from __future__ import annotations

import sys

from tests.support.example import EXAMPLE

sys.path.insert(0, str(EXAMPLE))
