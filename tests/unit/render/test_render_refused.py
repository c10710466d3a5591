"""Findings in the inputs, as a plan shows them: in text each once, in Markdown with each sandbox, in JSON as values."""

from __future__ import annotations

from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.model.lifecycle import Reason
from sandboxer.render.plan_markdown import plan_markdown
from sandboxer.render.plan_text import plan_text
from tests.support.cases import compare, piped
from tests.support.plans import change, fields, plan_of

ERRORS = (
    Diagnostic(
        "error",
        "compose-refused",
        "services.web.privileged: gives rights over the host",
        Location("e2e/compose.yaml", 4, 17),
        "remove it",
        "    privileged: true # ```\x1b[31m @everyone",
        4,
        "../shop",
    ),
    Diagnostic(
        "error", "missing-file", "services.web.env_file: `a.env` is not there", Location("e2e/compose.yaml", 9, 5)
    ),
)
UNSET = Diagnostic(
    "warning", "unset-variable", "nothing sets the variable A, so it is empty", Location("compose.yaml", 2)
)
PLAN = plan_of(
    change(
        "shop",
        Reason.BLOCKED_REFUSED,
        message=f"its input is refused: {ERRORS[0].message} ({ERRORS[0].place}), and 1 more",
        pending=fields(spec__workspace__digest=("sha256:8e46", "sha256:77ef")),
        diagnostics=ERRORS,
    ),
    change("shop-2", Reason.BLOCKED_REFUSED, message="its input is refused", diagnostics=ERRORS),
    change(
        "web", Reason.UPDATE_CHANGED, message="env.A", pending=fields(spec__env__A=("a", "b")), diagnostics=(UNSET,)
    ),
)


def test_findings_stand_in_a_plan_with_their_lines() -> None:
    compare("render/refused.txt", piped(plan_text(PLAN)))
    compare("render/refused.md", plan_markdown(PLAN))


def test_the_json_of_a_change_has_its_findings() -> None:
    shop, _, web = PLAN.to_json()["changes"]
    assert shop["diagnostics"][0] == {
        "file": "e2e/compose.yaml",
        "line": 4,
        "column": 17,
        "severity": "error",
        "code": "compose-refused",
        "message": "services.web.privileged: gives rights over the host",
        "hint": "remove it",
        "repo": "../shop",
    }
    assert [found["repo"] for found in web["diagnostics"]] == [""]
    assert "diagnostics" not in plan_of(change("same", Reason.NO_OP_SYNCED)).to_json()["changes"][0]


def test_many_findings_are_counted_in_markdown() -> None:
    many = tuple(Diagnostic("error", "compose-refused", f"finding {n}", Location("c.yaml", n)) for n in range(1, 40))
    text = plan_markdown(plan_of(change("web", Reason.BLOCKED_REFUSED, diagnostics=many)))
    assert "finding 10\n" in text
    assert "finding 11\n" not in text
    assert "and 29 more" in text
