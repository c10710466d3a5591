"""Handles, effective values and errors as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandboxer.errors import ComposeRefused, HostUnreachable, ManifestError, SandboxerError, UsageError
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.model.failure import Failure
from sandboxer.model.hidden import Hidden
from sandboxer.render.diagnostics import to_text
from sandboxer.render.errors import error_text
from sandboxer.render.explain import explain_text
from sandboxer.render.listing import age, expiry_source, extended_text, handle_text, list_table
from tests.support.cases import compare, on_terminal, piped
from tests.support.handles import READY, handle

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

FULL: dict[str, Any] = {
    **READY,
    "name": "checkout-e2e",
    "profile": "profile.compose-e2e",
    "created_at": "2026-11-24T10:00:00Z",
    "expires_at": "2026-11-24T18:05:00Z",
    "ttl": "8h",
    "seconds_left": 21900,
    "consumer": {"actor": "atm", "project": "wise-validator"},
    "reachability": [
        {
            "name": "http",
            "service": "web",
            "port": 8080,
            "address": "127.0.0.1",
            "host_port": 32768,
            "url": "http://127.0.0.1:32768",
            "via": "published",
        },
        {
            "name": "db",
            "service": "db",
            "port": 5432,
            "address": "172.18.0.2",
            "host_port": None,
            "url": "tcp://172.18.0.2:5432",
            "via": "tunnel",
        },
    ],
    "services": [
        {"name": "db", "state": "running", "health": "healthy", "image": "db:1", "restarts": 1, "exit_code": None},
        {"name": "gone", "state": "missing", "health": None, "image": None, "restarts": None, "exit_code": None},
        {"name": "migrate", "state": "exited", "health": None, "image": "shop:1", "restarts": 0, "exit_code": 0},
        {"name": "web", "state": "restarting", "health": None, "image": "shop:1", "restarts": 7, "exit_code": None},
    ],
    "inputs": {"repo": "../checkout", "ref": "main", "commit": "36cd2130a1b2" + 28 * "0"},
    "commit": "4fa1b22c9d01" + 28 * "0",
    "labels": {"team": "payments", "app": "checkout"},
    "origin": "git",
    "requested_by": None,
}
NONE = ("phase", "profile", "extension", "created_at", "expires_at", "expiry_source", "ttl", "seconds_left", "consumer")
BARE = {
    **FULL,
    **dict.fromkeys(NONE),
    "name": "x",
    "sync": "Unknown",
    "health": "Unknown",
    "reachability": [],
    "inputs": None,
    "commit": None,
    "labels": {},
}
OVER = {
    **FULL,
    "name": "late",
    "phase": "expired",
    "expires_at": "2026-11-24T11:59:59Z",
    "seconds_left": 0,
    "health": "Degraded",
}
BROKEN = {
    **FULL,
    "name": "broken",
    "phase": "failed",
    "sync": "OutOfSync",
    "health": "Degraded",
    "error": {
        "code": "build-failed",
        "message": 'the build of service "web" failed: exit code 2',
        "hint": "repair the Dockerfile, commit, and apply again",
        "at": "2026-11-24T11:58:00Z",
        "step": "build",
        "service": "web",
    },
}
ERROR_TEXT = (
    "broken on lab-1: the build failed:\n#7 0.2 make: *** No rule\x1b[2J to make target\n#7 ERROR: exit code: 2\n"
)


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_the_table(wide: bool) -> None:
    text = piped(list_table([handle(**FULL), handle(**BARE), handle(**OVER), handle(**BROKEN)], wide=wide))
    compare(f"render/list-{'wide' if wide else 'narrow'}.txt", text)


def test_columns_line_up_and_no_line_ends_in_blanks() -> None:
    lines = piped(list_table([handle(**FULL), handle(**{**BARE, "name": "東京"})], wide=True)).splitlines()
    assert len({line.index("1f2e3d4c") + line.count("東京") * 2 for line in lines[1:]}) == 1
    assert all(line == line.rstrip() for line in lines)


def test_names_of_usual_length_fit_sixty_columns() -> None:
    longest = {"sync": "OutOfSync", "health": "Degraded", "origin": "api"}
    listed = [handle(**FULL), handle(**{**FULL, **longest}), handle(**OVER)]
    assert max(map(len, piped(list_table(listed, wide=False)).splitlines())) <= 60


def test_what_is_not_ready_shows_its_phase_and_what_is_its_health() -> None:
    given = [("ready", "Degraded"), ("active", "Healthy"), ("failed", "Missing"), ("provisioning", "Progressing")]
    listed = [handle(**{**FULL, "phase": phase, "health": health}) for phase, health in given]
    lines = piped(list_table(listed, wide=False)).splitlines()[1:]
    assert [line.split()[2] for line in lines] == ["Degraded", "Healthy", "failed", "provisioning"]


def test_a_wide_list_has_the_cause_of_a_failure_on_its_line() -> None:
    error = {
        "code": "build-failed",
        "message": "the image of web \x1b[31mdoes not build",
        "hint": "",
        "at": "2026-11-24T10:00:00Z",
        "step": "build",
        "service": "web",
    }
    shown = piped(
        list_table([handle(**FULL).model_copy(update={"error": Failure.model_construct(**error)})], wide=True)
    )
    assert shown.splitlines()[1].endswith("   build-failed: the image of web does not build")


def test_colour_only_adds_escapes() -> None:
    table = list_table([handle(**FULL), handle(**BARE), handle(**OVER)], wide=True)
    coloured = on_terminal(table, 300, color=True)
    assert "\x1b[32mSynced\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == piped(table)


def test_an_empty_table_has_a_message() -> None:
    assert piped(list_table([], wide=False)) == "There are no sandboxes on the hosts.\n"


@pytest.mark.parametrize(("name", "given"), [("full", FULL), ("bare", BARE), ("over", OVER)])
def test_one_sandbox(name: str, given: dict[str, Any]) -> None:
    compare(f"render/get-{name}.txt", piped(handle_text(handle(**given), NOW)))


def test_a_failed_one_shows_its_cause_and_the_whole_text() -> None:
    compare("render/get-broken.txt", piped(handle_text(handle(**BROKEN), NOW, ERROR_TEXT)))


def test_a_text_that_says_no_more_than_the_cause_is_not_repeated() -> None:
    message = BROKEN["error"]["message"]
    text = piped(handle_text(handle(**BROKEN), NOW, f"{message}\n"))
    assert text == piped(handle_text(handle(**BROKEN), NOW))
    assert text.count(message) == 1


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(seconds=61), "1m01s"),
        (timedelta(hours=3, minutes=5, seconds=59), "3h05m"),
        (timedelta(days=2, hours=3, minutes=59), "2d3h"),
        (timedelta(seconds=-5), "0s"),
    ],
)
def test_ages(span: timedelta, text: str) -> None:
    assert age(span) == text


@pytest.mark.parametrize(
    ("source", "ttl", "words"),
    [
        ("ttl", "8h", "ttl 8h"),
        ("profile", "4h", "profile, ttl 4h"),
        ("expiresAt", None, "expiresAt"),
        ("extended", "8h", "extended, ttl 8h"),
        ("extended", None, "extended"),
        (None, None, "-"),
    ],
)
def test_what_set_an_end(source: str | None, ttl: str | None, words: str) -> None:
    assert expiry_source(handle(expiry_source=source, ttl=ttl)) == words


def test_an_extended_life_is_reported_in_a_line() -> None:
    extended = handle(**{**FULL, "expiry_source": "extended"})
    assert piped(extended_text(extended)) == (
        "checkout-e2e ends at 2026-11-24T18:05:00Z (in 6h05m; extended, ttl 8h)\n"
    )


def test_values_with_their_sources() -> None:
    rows = [
        ("profile", "profile.compose-e2e", "manifests/web.yaml:5:3"),
        ("env.LOG_LEVEL", Hidden("plain-value"), "manifests/web.yaml:9:3"),
        ("env.FORGOTTEN", "plain-value", "manifests/web.yaml:10:3"),
        ("secretRefs[0].from", "env:DB_PASSWORD", "manifests/web.yaml:11:3"),
        ("resources.cpus", 2, "default"),
        ("compose.files", ["a.yaml", "b.yaml"], "profiles/p.yaml:3:3"),
        ("labels", {}, "default"),
        ("inputs.commit", "c" * 64, "../web at main"),
    ]
    compare("render/explain.txt", piped(explain_text(rows)))
    assert piped(explain_text([])) == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UsageError("-x: no [bold]such[/bold] option"), "Error: -x: no [bold]such[/bold] option\n"),
        (
            SandboxerError("a\n  b\x1b[2J\x07\n", hint="do c\nand d"),
            "Error: a\n    b\\x07\n  hint: do c\n        and d\n",
        ),
        (HostUnreachable("lab-3", "no route"), "Error: lab-3: no route\n"),
        (HostUnreachable("lab-3", "no route to lab-3"), "Error: no route to lab-3\n"),
        (ComposeRefused("web", "privileged"), "Error: web: privileged\n"),
        (SandboxerError(""), "Error: SandboxerError\n"),
    ],
)
def test_errors(error: SandboxerError, text: str) -> None:
    assert piped(error_text(error)) == text


def test_findings_show_as_validate_shows_them() -> None:
    found = Diagnostic(
        "error", "unknown-key", "unknown key `a`", Location("f.yaml", 2, 3), "did you mean `b`?", "  a: [red]1[/red]", 1
    )
    error = ManifestError([found])
    assert piped(error_text(error)) == to_text([found])
    assert on_terminal(error_text(error), 100, color=True).startswith("\x1b[1;31merror[unknown-key]")
