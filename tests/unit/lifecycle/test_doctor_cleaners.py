"""Whoever empties temporary folders by age: when that reaches a sandbox, and what to write against it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandboxer.hosts.facts import HostFacts
from sandboxer.hosts.sections import Sections
from sandboxer.lifecycle.doctor_cleaners import check_cleaner, span_of
from sandboxer.model.protocols import CommandResult
from tests.support.doctor import checked, facts_of, only

TEN_DAYS = {"tmpfiles tmp.conf": "q /tmp 1777 root root 10d\nq /var/tmp 1777 root root 30d"}
WEEKLY = {"reaper tmpreaper": ""}
TMPWATCH = 'flags=-umc\n/usr/sbin/tmpwatch "$flags" -x /tmp/.X11-unix \\\n\t-x {spared} 10d /tmp\n'


@pytest.mark.parametrize(
    ("files", "warned"),
    [
        ({}, False),
        ({"tmpfiles tmp.conf": "D /tmp 1777 root root -"}, False),
        ({"tmpfiles tmp.conf": "D /tmp 1777 root root"}, False),
        (TEN_DAYS, True),
        ({"tmpfiles tmp.conf": "q! /tmp 1777 root root ~10d"}, True),
        ({"tmpfiles tmp.conf": "q /tmp 1777 root root 0"}, True),
        ({"tmpfiles tmp.conf": "q /tmp 1777 root root abcm:10d"}, True),
        ({"tmpfiles tmp.conf": "q /var/tmp 1777 root root 30d"}, False),
        ({**TEN_DAYS, "tmpfiles a.conf": "x /tmp/sandboxer"}, False),
        ({**TEN_DAYS, "tmpfiles a.conf": "x /tmp/sand*"}, False),
        ({**TEN_DAYS, "tmpfiles a.conf": "X /tmp/sandboxer"}, True),
        ({**TEN_DAYS, "tmpfiles a.conf": "x /tmp/other"}, True),
        (WEEKLY, True),
        ({"reaper tmpreaper": "TMPREAPER_TIME=30d\nTMPREAPER_DIRS='/tmp/. /var/tmp/.'"}, True),
        ({"reaper tmpreaper": "TMPREAPER_DIRS='/srv/.'"}, False),
        ({"reaper tmpreaper": "SHOWWARNING=true"}, False),
        ({"reaper tmpwatch": TMPWATCH.format(spared="/tmp/.font-unix")}, True),
        ({"reaper tmpwatch": TMPWATCH.format(spared="/tmp/sandboxer")}, False),
        ({"reaper tmpwatch": "tmpwatch 240 /var/tmp"}, False),
    ],
)
def test_who_cleans_temporary_folders(files: dict[str, str], warned: bool) -> None:
    check = only(check_cleaner(facts_of(files)))
    assert (check.status == "warning") is warned
    assert bool(check.remedy) is warned


@pytest.mark.parametrize("longest", [timedelta(days=1), timedelta(days=6)])
@pytest.mark.parametrize("files", [TEN_DAYS, WEEKLY, {"reaper tmpwatch": "tmpwatch 240 /tmp"}])
def test_who_comes_after_every_sandboxs_end_harms_none(files: dict[str, str], longest: timedelta) -> None:
    check = only(check_cleaner(facts_of(files, checked(longest=longest))))
    assert check.status == "ok"
    assert check.found.endswith(f"no sandbox lives longer than {longest.days}d")


def test_who_comes_while_a_sandbox_may_live_is_warned_about() -> None:
    for files in (TEN_DAYS, WEEKLY, {"reaper tmpwatch": "tmpwatch 240 /tmp"}):
        assert only(check_cleaner(facts_of(files, checked(longest=timedelta(days=10))))).status == "warning"


def test_each_cleaner_is_reported() -> None:
    checks = list(check_cleaner(facts_of({**TEN_DAYS, **WEEKLY}, checked(longest=timedelta(days=8)))))
    assert [(check.status, check.found.split()[0]) for check in checks] == [
        ("warning", "tmpreaper"),
        ("ok", "systemd-tmpfiles"),
    ]


def test_a_mask_takes_the_place_of_the_systems_own_rules() -> None:
    output = b"\n@n tmpfiles tmp.conf\nq /tmp 1777 root root 10d\n\n@n tmpfiles tmp.conf\n\n@n end\n"
    facts = HostFacts(checked(), Sections(output, "n"), CommandResult(0, output, b""))
    assert only(check_cleaner(facts)).status == "ok"


def test_the_cleaners_remedy_is_what_to_paste() -> None:
    check = only(check_cleaner(facts_of(TEN_DAYS)))
    assert check.found == "systemd-tmpfiles removes files from /tmp/sandboxer that are unused for 10d (tmp.conf)"
    assert check.remedy == "echo 'x /tmp/sandboxer' | tee /etc/tmpfiles.d/sandboxer.conf"


def test_a_root_elsewhere_is_nobodys_to_clean() -> None:
    assert not list(check_cleaner(facts_of(WEEKLY, checked("/srv/sandboxer"))))


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        ("10d", 864000),
        ("1w12h", 648000),
        ("30min", 1800),
        ("45", 45),
        ("240h", 864000),
        ("-", None),
        ("10 years", None),
        ("soon", None),
    ],
)
def test_ages(age: str, seconds: int | None) -> None:
    assert span_of(age) == (None if seconds is None else timedelta(seconds=seconds))
