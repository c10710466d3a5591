"""Looking at several hosts: each look is told as it comes, with its own seconds, whichever host is slow."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors import HostUnreachable, LookIncomplete
from sandboxer.extensions.base import Question
from sandboxer.lifecycle.discover import discover, look_at
from sandboxer.model.observed import FileSums, Found, Reachable, Unreachable
from sandboxer.model.witness import status_of
from tests.support.planning import NOW, fleet_of, record_of

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
    looks = discover(questions, lambda _: None, {"ext.slow": backend}, seen=tell)  # type: ignore[arg-type, return-value]
    assert [host for host, _ in seen] == ["fast", "slow"]
    assert seen[1][1] >= seen[0][1] >= 0
    assert {host: status_of(look) for host, look in looks.items()} == {"slow": "unreachable", "fast": "unreachable"}


class Fixed:
    """A backend that saw these sandboxes, or whose host broke off."""

    def __init__(self, *found: Found, error: str | None = None, broken: bool = False) -> None:
        self._found, self._error, self._broken = found, error, broken

    def probe(self, transport: Any, question: Question) -> Look:
        if self._broken:
            raise LookIncomplete(question.host, "it broke off")
        found = {one.id: one for one in self._found}
        return Reachable(question.host, NOW, "boot", 1, 1.0, 1, None, {}, found, error=self._error)


def merged(**extensions: Any) -> Look:
    asked = {f"ext.{name}": backend for name, backend in extensions.items()}
    return look_at(Question("here", "/tmp/sandboxer", "acme"), lambda _: None, asked)  # type: ignore[arg-type, return-value]


def test_a_sandbox_is_as_the_extension_says_that_its_record_names() -> None:
    record = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "here")
    folder = record.model_copy(update={"id": "0" * 8, "extension": "ext.folder"})
    shipped = [Found(one.id, one, has_workspace=False, told={"a": NOW}, told_digest="d") for one in (record, folder)]
    own = [Found(one.id, one, files=FileSums(7, 7, 7)) for one in (record, folder)]
    look = merged(**{"compose-ssh": Fixed(*shipped), "folder": Fixed(*own)})
    assert isinstance(look, Reachable)
    assert look.found[record.id] == shipped[0]
    assert look.found[folder.id] == replace(own[1], told={"a": NOW}, told_digest="d")
    missed = merged(**{"compose-ssh": Fixed(*shipped), "folder": Fixed()})
    assert isinstance(missed, Reachable)
    assert missed.found[folder.id] == shipped[1]
    alone = merged(folder=Fixed(*own))
    assert isinstance(alone, Reachable)
    assert alone.found[record.id] == own[0]


def test_a_look_is_complete_only_where_each_extensions_is() -> None:
    incomplete = merged(**{"compose-ssh": Fixed(), "folder": Fixed(error="half of it")})
    assert isinstance(incomplete, Reachable)
    assert incomplete.error == "half of it"
    broken = merged(**{"compose-ssh": Fixed(), "folder": Fixed(broken=True)})
    assert broken == Unreachable("here", "it broke off", answered=True)
