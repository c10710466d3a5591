"""Random compose files, one or two of them merged: our evaluation is Compose's, or says that it is not exact."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from tests.unit.extensions.compose_ssh.test_compose_readers_fuzz import FILES, texts
from tests.unit.extensions.compose_ssh.test_expected_stack import composed, evaluated, hardened

EXAMPLES = int(os.environ.get("SANDBOXER_READERS") or 40)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=texts(), second=st.none() | texts())
def test_random_files_are_evaluated_as_compose_does_it(first: str, second: str | None) -> None:
    files = {"c.yaml": first, **FILES} | ({"o.yaml": second} if second is not None else {})
    case: dict[str, Any] = {"files": files, "paths": ["c.yaml"] if second is None else ["c.yaml", "o.yaml"]}
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = composed(case, Path(folder), podman=False)
        real = hardened(model, case, podman=False)
    except (ComposeRefused, AssertionError):
        event("no host would run it")
        return
    stack = evaluated(case)
    event("not exact" if stack.unknowns else "exact")
    assert stack.unknowns or hardened(stack.model, case, podman=False) == real
