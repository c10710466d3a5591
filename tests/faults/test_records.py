"""A record that was cut short, or says what nobody expects, is no word to act on: Unknown, and nothing is deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.matrix import FULL
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "record truncated (at every byte in the parser, at 20 places on the lab), or hostile", "Unknown, no delete"
    ),
]
HOST = "lab-1"
CUTS = 20
NAMES = tuple(f"s{number}" for number in range(5))

Form = "Callable[[str], str]"


def _cut(cut: int) -> Callable[[str], str]:
    return lambda text: text.rstrip("\n")[: len(text) * cut // CUTS]


def _with(**changes: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **changes})


# Each is another lie; all of them say, or could be taken to say, that there is nothing here or that it may go.
HOSTILE: dict[str, Callable[[str], str]] = {
    "of another fleet": _with(fleet="other"),
    "of a newer format": _with(format_version="2.0"),
    "of another life": _with(uid="0" * 32),
    "nested deeply": lambda text: text.rstrip()[:-1] + ',"more":' + "[" * 100_000 + "]" * 100_000 + "}",
    "that names a stranger's volume": _with(anonymous_volumes=["theirs"]),
    "that says destroyed": _with(phase="destroyed"),
    "of another id": _with(id="00000000"),
    "of another name": _with(name="other"),
    "of a sandbox that no manifest made": _with(origin="api"),
    "of 3 MB": lambda text: text + " " * 3_000_000,
    "with a key of 2 MB": _with(more="x" * 2_000_000),
    "of wrong types": _with(generation="1", labels=[], spec=None),
    "of NUL bytes": lambda text: "\0" * len(text),
    "that is a list": lambda text: f"[{text}]",
    "with a number that is not one": _with(generation=float("nan")),
    "with a number of 10,000 digits": lambda text: text.rstrip()[:-1] + ',"more":' + "9" * 10_000 + "}",
    "with a phase of its own": _with(phase="gone"),
    "with the end of an observation": lambda text: f"\n@{'0' * 32} end\n{text}",
    "with a time of no zone": _with(expires_at="2001-01-01T00:00:00"),
    "of an engine that is not there": _with(engine="podman"),
}
FORMS = {f"cut at {cut}/{CUTS}": _cut(cut) for cut in range(CUTS)} | HOSTILE
QUICK = ("cut at 0/20", "cut at 1/20", "cut at 10/20", "cut at 19/20", *list(HOSTILE)[:6])


def _write(fleet: FleetRepo, name: str, text: str) -> None:
    fleet.lab.exec(HOST, ["sh", "-c", 'cat >"$1"', "sh", f"{fleet.folder(name)}/record.json"], input=text)


def test_records_that_are_empty_or_forged(fleet: FleetRepo, row: Row) -> None:
    for name in (*NAMES, "sound"):
        fleet.sandbox(name, stack(a=service()))
    committed = fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    running = fleet.ids(HOST)
    texts = {name: fleet.sh(HOST, f"cat {fleet.folder(name)}/record.json") for name in NAMES}
    forms = list(FORMS) if FULL else list(QUICK)
    for start in range(0, len(forms), len(NAMES)):
        lies = dict(zip(NAMES, forms[start : start + len(NAMES)], strict=False))
        for name, form in lies.items():
            _write(fleet, name, FORMS[form](texts[name]))
            row.broke(f"a record {form}")
        _assert_unknown(fleet, lies)
        for name in lies:
            fleet.remove(name)
        fleet.commit()
        _assert_kept(fleet, lies)
        assert fleet.ids(HOST) == running, lies
        for name in lies:
            _write(fleet, name, texts[name])
        fleet.repo.git("checkout", "-q", committed, "--", "manifests")
        fleet.commit()
    row.recovered(fleet, clean)
    assert fleet.ids(HOST) == running


def _assert_unknown(fleet: FleetRepo, lies: dict[str, str]) -> None:
    """What git wants is blocked, and the sandbox whose record is sound is not."""
    planned = fleet.plan("--detailed-exitcode", code=1)
    assert planned.of("sound")["action"] == "no-op"
    for name, form in lies.items():
        change = planned.of(name)
        assert (change["action"], change["sync"], change["health"]) == ("blocked", "Unknown", "Unknown"), form
        assert change["reason"] in ("blocked_because_ambiguous", "blocked_because_engine"), form
    assert not planned.data["complete"]


def _assert_kept(fleet: FleetRepo, lies: dict[str, str]) -> None:
    """What git no longer has is listed, and neither apply nor prune deletes it, with any option."""
    planned = fleet.plan(code=None)
    blocked = {change["id"] for change in planned.changes if change["action"] == "blocked"}
    ambiguous = " ".join(thing["name"] for thing in planned.data["unmanaged"] if thing["kind"] == "ambiguous")
    for name, form in lies.items():
        assert fleet.id(name) in blocked or fleet.id(name) in ambiguous, form
    fleet.apply("--max-deletes", "100", code=None)
    fleet.prune("--max-deletes", "100", code=None)
