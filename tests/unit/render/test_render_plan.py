"""Plans as text, Markdown and a picture, compared whole with the files of ``tests/cases/render``."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from sandboxer.errors.remedy import Notice, RemedyCode, remedy_of
from sandboxer.model.lifecycle import Action, Reason, Sync
from sandboxer.model.outcome import Outcome
from sandboxer.model.plan import FieldChange, Plan, Unmanaged
from sandboxer.model.service_operation import ExpectedServices, ServiceOperation
from sandboxer.reconcile.blocks import BLOCKS, usual_remedy
from sandboxer.render.live import apply_summary
from sandboxer.render.picture import export_svg
from sandboxer.render.plan_markdown import LIMIT, escape, plan_markdown
from sandboxer.render.plan_text import plan_text
from sandboxer.render.words import DIRTY, SYMBOLS
from tests.support.cases import compare, on_terminal, piped
from tests.support.plans import CREATED, EVERYTHING, change, fields, plan_of
from tests.support.review_plans import REVIEWS

SYNCED = [change(f"web-{at}", Reason.NO_OP_SYNCED, host=f"lab-{at % 2 + 1}") for at in range(4)]
SUSPENDED = change("paused", Reason.NO_OP_SUSPENDED, sync=Sync.OUT_OF_SYNC, message="suspend: true")
GONE = change("gone", Reason.NO_OP_EXPIRED, host=None, message="it expired")

TIMEOUT = "cannot connect to lab-3 (198.18.0.13:22): timed out after 10 s"
UNSEEN = [
    change(
        name,
        Reason.BLOCKED_UNREACHABLE,
        host="lab-3",
        message=message,
        remedy=remedy_of(RemedyCode.CHECK_HOST, host="lab-3"),
        sync=Sync.UNKNOWN,
    )
    for name, message in {
        "api": f"may exist on lab-3, which could not be fully inspected: {TIMEOUT}",
        "db": TIMEOUT,
        "web": f"may exist on lab-3, which could not be fully inspected: {TIMEOUT}",
    }.items()
]


CASES: dict[str, Plan] = {
    **REVIEWS,
    "everything": EVERYTHING,
    "first": plan_of(change("web", Reason.CREATE_ABSENT, message="not found on any host", pending=CREATED)),
    "nothing-to-do": plan_of(*SYNCED),
    "nothing-to-do-but": plan_of(*SYNCED[:1], SUSPENDED, GONE),
    "no-sandboxes": plan_of(),
    "nothing-to-prune": replace(plan_of(), only_deletes=True),
    "only-a-host-missing": plan_of(*SYNCED, hosts={"lab-1": None, "lab-3": "no route to host"}),
    "host-error": plan_of(
        *UNSEEN,
        change(
            "torn",
            Reason.BLOCKED_AMBIGUOUS,
            message="its containers carry another uid than its record",
            remedy=remedy_of(RemedyCode.INSPECT_HOST, host="lab-1"),
            sync=Sync.UNKNOWN,
        ),
        hosts={"lab-1": None, "lab-3": TIMEOUT},
    ),
    "blocked-create": plan_of(
        change(
            "web",
            Reason.BLOCKED_NO_HOST,
            host=None,
            message="no host has capacity",
            pending=CREATED,
            sync=Sync.OUT_OF_SYNC,
        )
    ),
    "services": plan_of(
        change(
            "shop",
            Reason.UPDATE_CHANGED,
            message="workspace.digest",
            expected=ExpectedServices(
                (
                    ServiceOperation("db", "keep", "unchanged"),
                    ServiceOperation("migrate", "keep", "finished"),
                    ServiceOperation("old", "remove", "undesired"),
                    ServiceOperation("web", "recreate", "files", ("config/shop.conf",)),
                    ServiceOperation("worker", "recreate", "config", ("image", "image build: Dockerfile")),
                    ServiceOperation("side\x1b[2J", "recreate", "dependency"),
                )
            ),
        ),
        change(
            "exact",
            Reason.UPDATE_CHANGED,
            message="workspace.digest",
            expected=ExpectedServices(
                tuple(ServiceOperation(f"s{at:02}", "keep", "unchanged") for at in range(32)), exact=True
            ),
        ),
        change(
            "gone",
            Reason.UPDATE_CHANGED,
            message="workspace.digest",
            expected=ExpectedServices(
                unknown="the repository does not have the applied commit 36cd21300000",
                hint="fetch the full history: `git fetch --unshallow`; in CI, fetch-depth: 0",
            ),
        ),
    ),
    "outside-git": plan_of(change("web", Reason.REPAIR_INTERRUPTED, message="it was left provisioning"), commit=None),
    "guarded": plan_of(
        change(
            "web",
            Reason.BLOCKED_GUARD,
            message="this is one of 12 deletes and replaces, and guards.maxDeletes is 10",
            remedy=remedy_of(RemedyCode.RAISE_MAX_DELETES, count="12"),
            volumes=("sbx-web_data",),
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_text(case: str) -> None:
    compare(f"render/{case}.txt", piped(plan_text(CASES[case])))


@pytest.mark.parametrize("case", ["everything", "nothing-to-do-but"])
def test_text_with_all(case: str) -> None:
    compare(f"render/{case}.all.txt", piped(plan_text(CASES[case], show_all=True)))


@pytest.mark.parametrize("case", CASES)
def test_markdown(case: str) -> None:
    compare(f"render/{case}.md", plan_markdown(CASES[case]))


def test_every_action_has_a_sign_of_its_own() -> None:
    assert set(SYMBOLS) == set(Action)
    assert len(set(SYMBOLS.values())) == len(Action)


@pytest.mark.parametrize("reason", sorted(reason for reason in BLOCKS if usual_remedy(reason, "")))
def test_a_hint_names_the_host_and_nothing_unfilled(reason: Reason) -> None:
    text = piped(plan_text(plan_of(change("web", reason, host="lab-7"))))
    assert "hint: " in text
    assert "{" not in text


def test_a_narrow_terminal_folds_lines_within_its_width_and_loses_no_word() -> None:
    narrow = on_terminal(plan_text(EVERYTHING), 60)
    assert max(cell_len(line) for line in narrow.splitlines()) <= 60
    assert narrow.split() == piped(plan_text(EVERYTHING)).split()


def test_a_pipe_gets_long_lines_whole_and_without_blanks_at_their_end() -> None:
    message = "word " * 2000 + "end"
    text = piped(plan_text(plan_of(change("web", Reason.BLOCKED_INPUT, message=message))))
    assert f"      {message}\n" in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "\x1b" not in text


def test_colour_only_adds_escapes() -> None:
    coloured = on_terminal(plan_text(EVERYTHING), 200, color=True)
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == on_terminal(plan_text(EVERYTHING), 200)


def test_what_hosts_and_manifests_contain_does_nothing_to_a_terminal() -> None:
    evil = "a\x1b]0;title\x07\x1b[2J[bold red]b[/]\r\x9bc\u202ed"
    text = piped(plan_text(_everywhere(evil), show_all=True))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[bold red]b[/]" in text


def test_markdown_of_a_stranger_is_only_text() -> None:
    evil = "x|y\n<img src=x> @all #1 [a](http://e.example) www.e.example `c` **b** ```\n```\n--> $m$\n- item"
    text = plan_markdown(_everywhere(evil))
    outside = re.sub(r"^(`{3,})diff\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    own = re.sub(r"<!-- sandboxer:plan fleet=[a-z0-9.-]* -->|</?(details|summary|br)>", "", outside)
    assert not re.search(r"[<@#\[\]$]", re.sub(r"^### |&#", "", own, flags=re.MULTILINE))
    assert "http:" not in own
    assert "www." not in own
    assert text.startswith("<!-- sandboxer:plan fleet=xyimgsrcxall1ahttpe.examplewww.e.examplecb-m-item -->\n")
    table = next(block for block in text.split("\n\n") if block.startswith("| | Sandbox"))
    assert {line.count("|") for line in table.splitlines()} == {6}


@pytest.mark.parametrize(
    "line", ["- a", "+ a", "1. a", "1) a", "===", "---", "    a", "# a", "> a", "\ta", "* a", "~~~"]
)
def test_no_line_of_a_stranger_begins_a_block(line: str) -> None:
    assert re.match(r"[A-Za-z]|&#\d+;", escape(line))


def test_a_fence_in_a_value_does_not_end_the_fence_around_it() -> None:
    text = plan_markdown(plan_of(change("web", Reason.UPDATE_CHANGED, pending=fields(spec__setup__a=("`````", "b")))))
    assert text.count("\n``````diff\n") == 1
    assert text.count("\n``````\n") == 1


@pytest.mark.parametrize("count", [10, 200, 1000])
def test_markdown_has_a_bounded_length_and_names_what_it_leaves_out(count: int) -> None:
    pending = tuple(FieldChange(f"spec.setup.k{at}", None, "v|" * 2000) for at in range(20))
    changes = [change(f"web-{at}", Reason.CREATE_ABSENT, message="m" * 5000, pending=pending) for at in range(count)]
    hosts = {f"lab-{at}": "e" * 5000 for at in range(count)}
    text = plan_markdown(plan_of(*changes, hosts=hosts, warnings=(Notice("w" * 9000),) * count))
    assert len(text) <= LIMIT
    assert "more changes in detail: see `sandboxer plan`._" in text
    assert "more lines: see `sandboxer plan`._" in text
    assert text.count("<details>") == text.count("</details>")
    assert f"**Plan: {count} to create" in text


def test_markdown_of_unmanaged_things_has_counts_and_no_names() -> None:
    things = (Unmanaged("lab-1", "container", "private"), Unmanaged("lab-1", "ambiguous", "lost"))
    text = plan_markdown(plan_of(unmanaged=things, imperative=(change("agent", Reason.NO_OP_SYNCED),)))
    assert "1 unmanaged thing on lab-1" in text
    assert not re.search("private|lost|agent", text)


def test_a_dirty_work_tree_is_reported() -> None:
    dirty = plan_of(*SYNCED, dirty=True)
    assert f"Warning: {DIRTY}\n" in piped(plan_text(dirty))
    assert f"- {DIRTY}\n" in plan_markdown(dirty)


def test_the_picture_is_the_same_each_time_and_fetches_nothing() -> None:
    picture = export_svg(plan_text(EVERYTHING), title="sandboxer plan")
    assert picture == export_svg(plan_text(EVERYTHING), title="sandboxer plan")
    assert set(re.findall(r"https?://[^\"'\s)]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in picture
    for word in ("checkout-e2e", "sandboxer&#160;plan", "blocked_because_unreachable"):
        assert word in picture


def _everywhere(evil: str) -> Plan:
    """A plan that says this in every place that a manifest or a host can fill."""
    found = (FieldChange(f"spec.setup.{evil}", evil, [evil]), FieldChange(f"services.{evil}", None, evil))
    return plan_of(
        change(evil, Reason.REPLACE_CHANGED, host=evil, message=evil, pending=found, volumes=(evil,), from_host=evil),
        change(evil, Reason.BLOCKED_UNREACHABLE, host=evil, message=evil, drift=found),
        change(evil, Reason.CREATE_ABSENT, pending=found),
        replace(SUSPENDED, message=evil, pending=found),
        hosts={evil: evil},
        fleet=evil,
        warnings=(Notice(evil),),
        unmanaged=(Unmanaged(evil, "container", evil), Unmanaged(evil, "ambiguous", evil)),
        imperative=(change(evil, Reason.NO_OP_SYNCED, host=evil),),
    )


def test_a_hosts_error_and_its_remedy_are_shown_once_and_unchanged_in_json() -> None:
    decided = CASES["host-error"]
    for text in (piped(plan_text(decided)), plan_markdown(decided)):
        assert text.count(TIMEOUT) == 1
        assert text.count("sandboxer doctor lab-3") == 1
    summary = piped(apply_summary([Outcome(one) for one in decided.changes], 1, decided.hosts))
    assert TIMEOUT not in summary
    assert "api, web on lab-3: blocked\n    may exist on lab-3, which could not be fully inspected\n" in summary
    assert [one["message"].count(TIMEOUT) for one in decided.to_json()["changes"]] == [1, 1, 1, 0]  # type: ignore[misc,union-attr]
