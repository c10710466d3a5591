"""Drift as text and Markdown, compared whole with the files of ``tests/cases/render``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandboxer.errors.remedy import Notice, RemedyCode, remedy_of
from sandboxer.model.drift import DriftReport, Resolved, Uncompared
from sandboxer.model.lifecycle import Health, Reason, Sync
from sandboxer.model.plan import FieldChange, Unmanaged
from sandboxer.render.drift_markdown import drift_markdown
from sandboxer.render.drift_text import drift_text
from sandboxer.render.plan_markdown import LIMIT
from tests.support.cases import compare, on_terminal, piped
from tests.support.plans import change, fields, plan_of

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EARLIER = AT - timedelta(hours=2)
STOPPED = fields(services__web__state=("running", "exited (137)"))

MENDED = change(
    "checkout-e2e",
    Reason.REPAIR_DRIFT,
    message="the next apply repairs it",
    health=Health.DEGRADED,
    drift=(*STOPPED, *fields(workspace__files=("12 files, 3412 bytes", "11 files, 3100 bytes"))),
)
IMPERATIVE = change(
    "agent-x",
    Reason.NO_OP_NOT_IN_GIT,
    host="lab-2",
    message="it is imperative: git leaves it alone, and nothing repairs it",
    health=Health.MISSING,
    drift=fields(services__db=("present", "missing")),
    origin="api",
)
FILES = change(
    "deep",
    Reason.NO_OP_SYNCED,
    message="sizes and times are as recorded, so an apply does not see it: `apply --replace deep` repairs it",
    drift=tuple(
        FieldChange(f"workspace.files.conf/{n:02}", "sha256:0a1b2c3d4e5f", "sha256:5f4e3d2c1b0a") for n in range(23)
    ),
)
UNKNOWN = change(
    "torn",
    Reason.BLOCKED_AMBIGUOUS,
    message="its containers carry another uid than its record",
    sync=Sync.UNKNOWN,
    health=Health.UNKNOWN,
)
ENGINE = "docker does not answer: Cannot connect to the Docker daemon at unix:///var/run/docker.sock"
RESOLVED = Resolved("preview", "0a0b0c0d", "lab-1", ("services.web.state", "workspace.files"), EARLIER)


def report(*changes: object, **more: object) -> DriftReport:
    hosts = more.pop("hosts", None)
    extra = {key: more.pop(key) for key in ("warnings", "unmanaged") if key in more}
    plan = plan_of(*changes, hosts=hosts, **extra)  # type: ignore[arg-type]
    return DriftReport(**{"plan": plan, "at": AT, "compared": 12, **more})  # type: ignore[arg-type]


CASES = {
    "drift-everything": report(
        IMPERATIVE,
        MENDED,
        FILES,
        UNKNOWN,
        hosts={"lab-1": None, "lab-2": None, "lab-3": "198.18.0.13:22 does not answer within 10 s"},
        resolved=(RESOLVED,),
        errors=(
            Uncompared("preview", "lab-1", "../preview cannot be fetched"),
            *(Uncompared(name, "lab-2", "listing the files of lab-2 exceeded 600 s") for name in ("a", "b")),
        ),
        since={("lab-1", MENDED.id): EARLIER, ("lab-2", IMPERATIVE.id): AT},
        warnings=(Notice("busy on lab-2 is provisioning, and is compared once an apply has finished it"),),
        unmanaged=(Unmanaged("lab-2", "ambiguous", "lost (0a0b0c0e)"),),
    ),
    "drift-host-error": report(
        *(
            change(
                name,
                Reason.BLOCKED_ENGINE,
                host="lab-2",
                message=ENGINE,
                remedy=remedy_of(RemedyCode.START_ENGINE, host="lab-2"),
                sync=Sync.UNKNOWN,
                health=Health.UNKNOWN,
            )
            for name in ("api", "web")
        ),
        hosts={"lab-1": None, "lab-2": ENGINE},
        compared=0,
    ),
    "drift-none": report(),
    "drift-one": report(MENDED),
    "drift-resolved": report(resolved=(RESOLVED,)),
    "drift-nothing-to-compare": report(compared=0),
}


@pytest.mark.parametrize("case", CASES)
def test_text(case: str) -> None:
    compare(f"render/{case}.txt", piped(drift_text(CASES[case])))


@pytest.mark.parametrize("case", CASES)
def test_markdown(case: str) -> None:
    compare(f"render/{case}.md", drift_markdown(CASES[case]))


def test_a_narrow_terminal_loses_no_word() -> None:
    text = on_terminal(drift_text(CASES["drift-everything"]), width=60)
    assert all(len(line) <= 60 for line in text.splitlines())
    assert "cannot be compared" in " ".join(text.split())


def test_a_strangers_words_do_nothing() -> None:
    evil = replace(UNKNOWN, sandbox="x", message="\x1b[2J@everyone <script> [a](http://evil)")
    assert "\x1b[2J" not in piped(drift_text(report(evil)))
    shown = drift_markdown(report(evil))
    assert "<script>" not in shown
    assert "@everyone" not in shown


def test_a_comment_stays_within_githubs_limit_and_names_what_it_left_out() -> None:
    many = [replace(MENDED, sandbox=f"box-{n:04}", id=f"{n:08x}") for n in range(2000)]
    shown = drift_markdown(report(*many, compared=2000))
    assert len(shown) <= LIMIT
    assert "see `sandboxer drift`" in shown
