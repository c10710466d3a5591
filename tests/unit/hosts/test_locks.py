"""One writer at a time: a waiting client shows the holder, a lock is shown and ended, and none of its files stays."""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import HostUnreachable, SandboxLocked, StaleChange
from sandboxer.hosts.session import HostSession
from sandboxer.lifecycle.placement import AT_ONCE, Placements
from sandboxer.model.lock import Holder, Lock, holder_line
from sandboxer.render.locks import locks_text
from tests.support.cases import piped
from tests.support.local_hosts import COMMIT, FLEET, WHO, LocalHosts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SINCE = datetime(2026, 11, 24, 12, 3, 10, tzinfo=UTC)
HOLDER = Holder(WHO, COMMIT[:12], SINCE, 4711)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[LocalHosts]:
    made = LocalHosts(tmp_path)
    yield made
    made.close()


# --- the content of a lock's file


def test_the_holder_line_of_a_client_is_read_back() -> None:
    text = f"{holder_line(WHO, COMMIT)}\n2026-11-24T12:03:10Z\n4711\n"
    assert Holder.parse(text) == HOLDER
    assert str(HOLDER) == "alice@ci-7, commit 1f2e3d4c5a6b, since 12:03:10Z"
    assert Holder.parse(holder_line("a b@c", None)) == Holder("a b@c")
    assert HOLDER.to_json() == {"who": WHO, "commit": COMMIT[:12], "since": "2026-11-24T12:03:10Z", "pid": 4711}


@pytest.mark.parametrize("text", ["", "\n", "\n\n\n", " \n4711"])
def test_a_file_that_names_nobody_yet_names_nobody(text: str) -> None:
    assert Holder.parse(text) is None


def test_what_anybody_wrote_there_is_harmless() -> None:
    assert "\n" not in holder_line("a\nb", "c")
    holder = Holder.parse("\x1b[2J@x y\nyesterday\n-1\nmore")
    assert holder is not None
    assert "\x1b" not in str(holder)
    assert (holder.since, holder.pid) == (None, None)


# --- taking it


def test_a_waiting_client_shows_the_holder_and_is_blocked_by_name_after_the_timeout(session: LocalHosts) -> None:
    steps: list[str] = []
    held_by = r"held by alice@ci-7, commit 1f2e3d4c5a6b, since \d\d:\d\d:\d\dZ"
    with HostSession(session.operation()), pytest.raises(SandboxLocked, match=held_by):
        HostSession(session.operation(who="bob@ci-8", timeout=1, progress=steps.append)).__enter__()
    (step,) = steps
    assert step.startswith("waiting for alice@ci-7, commit 1f2e3d4c5a6b, since ")


def test_whoever_waits_gets_it_when_it_is_given_up(session: LocalHosts) -> None:
    waiting = threading.Event()
    with ThreadPoolExecutor() as pool:
        with HostSession(session.operation()):
            later = HostSession(session.operation(who="bob@ci-8", progress=lambda _step: waiting.set()))
            entered = pool.submit(later.__enter__)
            assert waiting.wait(30)
            assert not entered.done()
        entered.result(30)
        held = session.desk().inspect("one")
        assert held.holder is not None
        assert held.holder.who == "bob@ci-8"
        later.__exit__(None, None, None)


def test_a_lock_of_nothing_leaves_no_file_and_no_folder(session: LocalHosts) -> None:
    with HostSession(session.operation()):
        assert session.lock("one").exists()
    assert not session.root("one").exists()


def test_the_lock_of_a_sandbox_stays_as_long_as_the_sandbox(session: LocalHosts) -> None:
    with HostSession(session.operation()):
        session.directory("one").mkdir()
    assert session.lock("one").exists()
    session.directory("one").rmdir()
    with HostSession(session.operation()):
        pass
    assert not session.root("one").exists()


# --- reporting and ending it


def test_a_lock_is_reported_and_the_query_creates_nothing(session: LocalHosts) -> None:
    assert session.desk().inspect("one") == Lock("one", "free")
    assert not session.root("one").exists()
    with HostSession(session.operation()):
        held = session.desk().inspect("one")
        assert (held.status, held.here) == ("held", False)
        assert held.holder is not None
        assert (held.holder.who, held.holder.commit) == (WHO, COMMIT[:12])
        assert held.holder.pid is not None
        os.kill(held.holder.pid, 0)
        session.directory("one").mkdir()
        assert session.desk().inspect("one").here
    assert session.desk().inspect("one") == Lock("one", "free", here=True)


def test_a_host_that_does_not_answer_is_unknown_and_keeps_no_other_from_its_own(session: LocalHosts) -> None:
    session.transport("two").close()
    one, two = session.desk("one", "two").inspect_all(["one", "two"])
    assert one == Lock("one", "free")
    assert two.status == "unknown"
    assert "closed" in (two.error or "")


def test_a_holder_is_ended_and_its_lock_is_free(session: LocalHosts) -> None:
    session.root("one").mkdir(mode=0o700)
    held = HostSession(session.operation())
    held.__enter__()
    ended = session.desk().inspect("one", end=True)
    assert (ended.status, ended.ended) == ("free", True)
    assert ended.holder is not None
    assert ended.holder.who == WHO
    with pytest.raises(HostUnreachable):
        held.call("record")
    assert not session.lock("one").exists()
    again = session.desk().inspect("one", end=True)
    assert (again.status, again.ended) == ("free", False)


def test_who_only_waits_is_not_ended_with_the_holder(session: LocalHosts) -> None:
    waiting = threading.Event()
    held = HostSession(session.operation())
    held.__enter__()
    later = HostSession(session.operation(who="bob@ci-8", progress=lambda _step: waiting.set()))
    with ThreadPoolExecutor() as pool:
        entered = pool.submit(later.__enter__)
        assert waiting.wait(30)
        ended = session.desk().inspect("one", end=True)
        assert ended.ended
        assert ended.holder is not None
        assert ended.holder.who == WHO
        entered.result(30)
    assert later.call("record").code == 0
    later.__exit__(None, None, None)


def test_a_process_that_has_the_file_open_and_not_the_lock_is_left_alone(session: LocalHosts) -> None:
    """Whatever the file says, it is the kernel's word that counts."""
    session.lock("one").parent.mkdir(parents=True)
    session.lock("one").touch()
    with subprocess.Popen(
        ["sh", "-c", f"exec 9<{session.lock('one')}; exec sleep 60"], start_new_session=True
    ) as other:
        try:
            session.root("one").chmod(0o700)
            with HostSession(session.operation()) as held:
                session.lock("one").write_text(f"{holder_line(WHO, COMMIT)}\n2026-11-24T12:03:10Z\n{other.pid}\n")
                assert session.desk().inspect("one", end=True).ended
                with pytest.raises(HostUnreachable):
                    held.call("record")
            assert other.poll() is None
        finally:
            other.kill()


def test_a_folder_that_is_a_link_is_not_followed(session: LocalHosts, tmp_path: Path) -> None:
    with HostSession(session.operation()):
        (tmp_path / "two").symlink_to(session.root("one"))
        assert session.desk("two").inspect("two", end=True) == Lock("two", "free")


def test_locks_for_people() -> None:
    locks = [
        Lock("lab-1", "held", here=True, holder=HOLDER),
        Lock("lab-2", "free", here=True),
        Lock("lab-3", "free"),
        Lock("lab-40", "unknown", error="no\x1broute"),
        Lock("lab-5", "free", holder=HOLDER, ended=True),
        Lock("lab-6", "held", holder=HOLDER, ended=True),
    ]
    assert piped(locks_text("web", locks)) == (
        "web\n"
        "  lab-1   held     by alice@ci-7, commit 1f2e3d4c5a6b, since 12:03:10Z, process 4711\n"
        "  lab-2   free     it lives here\n"
        "  lab-3   free     it is not here\n"
        "  lab-40  unknown  no\\x1broute\n"
        "  lab-5   free     the work of alice@ci-7, commit 1f2e3d4c5a6b, since 12:03:10Z, process 4711 was ended\n"
        "  lab-6   held     the work of alice@ci-7, commit 1f2e3d4c5a6b, since 12:03:10Z, process 4711 was ended; "
        "another client has it now\n"
    )
    assert "on none" in piped(locks_text("web", []))


# --- placing


def test_while_a_life_begins_the_first_host_is_locked_and_afterwards_clean(session: LocalHosts) -> None:
    others = [session.operation(host) for host in ("three", "one")]
    with Placements().begin(session.operation("two"), others):
        assert session.desk().inspect("one").status == "held"
        assert not session.root("three").exists()
    assert not session.root("one").exists()


def test_where_the_chosen_host_is_the_first_no_other_is_locked(session: LocalHosts) -> None:
    with Placements().begin(session.operation("a"), [session.operation("b"), session.operation("c")]):
        assert not session.root("b").exists()


@pytest.mark.parametrize("found", ["a", "c"])
def test_a_copy_that_is_there_by_now_makes_the_plan_stale(session: LocalHosts, found: str) -> None:
    session.directory(found).mkdir(parents=True)
    session.root(found).chmod(0o700)
    others = [session.operation("a"), session.operation("c")]
    with pytest.raises(StaleChange, match=f"is now on {found}"), Placements().begin(session.operation("b"), others):
        pass
    assert [host for host in ("a", "c") if session.root(host).exists()] == [found]


def test_a_name_is_held_on_the_first_host_wherever_the_chosen_one_is(session: LocalHosts) -> None:
    name_id = "feedcafe"
    with Placements().begin(session.operation("a"), [session.operation("b")], name_id=name_id):
        assert [path.name for path in (session.root("a") / FLEET / ".locks").iterdir()] == [name_id]
    assert not session.root("a").exists()


@pytest.mark.parametrize(
    ("record", "taken"),
    [
        ('{"id":"0badcafe","name":"web","networks":["n"]}', True),
        ('{"id":"0badcafe","name":"web-2","networks":[]}', False),
        ('{"id":"0badcafe","name":"other","networks":[],"spec":{"ports":[{"name":"web","port":80}]}}', False),
    ],
)
def test_a_name_that_is_there_by_now_makes_the_plan_stale(session: LocalHosts, record: str, taken: bool) -> None:
    directory = session.root("c") / FLEET / "0badcafe"
    directory.mkdir(parents=True)
    (directory / "record.json").write_text(record)
    expected = pytest.raises(StaleChange, match="is now on c") if taken else nullcontext()
    with expected, Placements().begin(session.operation("b"), [session.operation("c")], name_id="feedcafe"):
        pass
    with Placements().begin(session.operation("b"), [session.operation("c")]):
        pass  # if the ID is derived from the name, nothing else can have it


def test_a_copy_that_the_plan_saw_is_no_news(session: LocalHosts) -> None:
    session.directory("c").mkdir(parents=True)
    with Placements().begin(
        session.operation("b"), [session.operation("a"), session.operation("c", expected_uid="f" * 32)]
    ):
        pass


def test_a_host_that_cannot_be_queried_keeps_a_life_from_beginning(session: LocalHosts) -> None:
    session.transport("c").close()
    with pytest.raises(HostUnreachable), Placements().begin(session.operation("b"), [session.operation("c")]):
        pass


def test_a_client_that_places_it_elsewhere_waits_and_shows_the_holder(session: LocalHosts) -> None:
    placing = Placements().begin(
        session.operation("b", who="bob@x", timeout=1), [session.operation("a", who="bob@x", timeout=1)]
    )
    with HostSession(session.operation("a")), pytest.raises(SandboxLocked, match="web on a is held by alice"), placing:
        pass


def test_many_placements_meet_on_one_host_a_few_at_a_time(session: LocalHosts) -> None:
    """Each holds a session there, and the host's own sandboxes need some too."""
    placements = Placements()
    most = now = 0
    counting = threading.Lock()

    def create(number: int) -> None:
        nonlocal most, now
        identifier = f"{number:08x}"
        with placements.begin(session.operation("b", id=identifier), [session.operation("a", id=identifier)]):
            with counting:
                now += 1
                most = max(most, now)
            with counting:
                now -= 1

    with ThreadPoolExecutor(max_workers=12) as pool:
        list(pool.map(create, range(12)))
    assert 1 <= most <= AT_ONCE
    assert not session.root("a").exists()
