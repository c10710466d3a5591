"""A sandbox's life through the library: each event once, and a step a second for whoever wants to stop.

And its absence, which nobody reports where a host did not answer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sandboxer.client import Client
from sandboxer.errors import HostNotObserved, SandboxError, UsageError
from tests.support.journal_host import ONE, RECORD, JournalHost, life, lines
from tests.support.local_hosts import ID
from tests.support.unreachable import UNREACHABLE_HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sandboxer.model.event import Event


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    host = JournalHost.create(tmp_path)
    host.fleet()
    yield host
    host.close()


def numbers(events: Iterable[Event | None]) -> list[int | None]:
    return [event.number if event else None for event in events]


def test_a_life_that_is_not_followed_is_returned_up_to_its_last_event(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    assert numbers(Client(host.session.folder / "fleet").events("web")) == [1, 2, 3]


def test_one_that_is_followed_continues_and_ends_with_the_life(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    events = Client(host.session.folder / "fleet").events(ID, follow=True)
    assert numbers([next(events) for _ in range(4)]) == [1, 2, 3, None]
    host.lives(ONE, lines(life(ONE, 4)))
    assert numbers([next(events)]) == [4]
    host.remove(ONE, life(ONE)[4])
    assert [number for number in numbers(events) if number] == [5]


def test_a_caller_stops_it(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    events = Client(host.session.folder / "fleet").events(ID, follow=True)
    next(events)
    events.close()
    assert list(events) == []


def test_where_none_has_a_journal_the_unreachable_host_is_named(host: JournalHost) -> None:
    (host.session.folder / "fleet/manifests/offline.yaml").write_text(UNREACHABLE_HOST)
    warned: list[str] = []
    events = Client(host.session.folder / "fleet", warn=warned.append).events("other")
    assert warned == [], "no host is contacted before the first step"
    with pytest.raises(UsageError, match='no host has a journal of sandbox "other"') as error:
        next(events)
    assert error.value.hint == "check offline with `sandboxer doctor`: the sandbox may be there"
    assert [words.partition(":")[0] for words in warned] == ['host "offline" did not answer']


def test_a_wrong_name_is_answered_with_the_one_that_was_meant(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    (host.directory() / "record.json").write_bytes(RECORD.to_bytes())
    with pytest.raises(UsageError) as error:
        list(Client(host.session.folder / "fleet").events("wbe"))
    assert error.value.hint == "did you mean `web`?"
    with pytest.raises(UsageError) as error:
        list(Client(host.session.folder / "fleet").events("other"))
    assert error.value.hint == "list the sandboxes with `sandboxer list`"


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get("other"),
        lambda client: client.find("other"),
        lambda client: client.extend_ttl("other", timedelta(hours=1)),
        lambda client: client.destroy("other"),
    ],
    ids=["get", "find", "extend_ttl", "destroy"],
)
def test_one_that_may_be_on_an_unreachable_host_is_not_reported_as_absent(
    host: JournalHost, call: Callable[[Client], object]
) -> None:
    (host.session.folder / "fleet/manifests/offline.yaml").write_text(UNREACHABLE_HOST)
    with pytest.raises(HostNotObserved, match=r'sandbox "other" may exist on .*host "offline" \(.+\), which'):
        call(Client(host.session.folder / "fleet"))


def test_a_wait_in_vain_for_what_may_be_on_an_unreachable_host_reports_that(host: JournalHost) -> None:
    (host.session.folder / "fleet/manifests/offline.yaml").write_text(UNREACHABLE_HOST)
    with pytest.raises(SandboxError) as error:
        Client(host.session.folder / "fleet").wait("web", "destroyed", timeout=0)
    assert error.value.message == (
        'sandbox "web" is not destroyed after 0 s: a host that may have the sandbox could not be fully inspected'
    )
