"""Looking at several hosts: each look is told as it comes, with its own seconds, whichever host is slow."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sandboxer.errors import HostUnreachable
from sandboxer.extensions.base import Question
from sandboxer.lifecycle.discover import discover
from sandboxer.model.witness import status_of

if TYPE_CHECKING:
    from sandboxer.model.observed import Look


class Slow:
    """A backend whose look at ``slow`` waits until the other host's was told."""

    def __init__(self) -> None:
        self.told = threading.Event()

    def probe(self, transport: Any, question: Question) -> Look:
        if question.host == "slow":
            assert self.told.wait(30)
        raise HostUnreachable(question.host, "refused")


def test_a_slow_host_keeps_no_other_from_being_told() -> None:
    backend: Any = Slow()
    seen: list[tuple[str, float]] = []

    def tell(look: Look, seconds: float) -> None:
        seen.append((look.host, seconds))
        backend.told.set()

    questions = [Question(name, "/tmp/sandboxer", "acme", "auto") for name in ("slow", "fast")]
    looks = discover(questions, lambda _: None, [backend], seen=tell)  # type: ignore[arg-type, return-value]
    assert [host for host, _ in seen] == ["fast", "slow"]
    assert seen[1][1] >= seen[0][1] >= 0
    assert {host: status_of(look) for host, look in looks.items()} == {"slow": "unreachable", "fast": "unreachable"}
