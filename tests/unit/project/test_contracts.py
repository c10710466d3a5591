"""The contracts in writing are checked: what is wrong with a page or the registry, ``make check`` finds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandboxer.client import Client
from scripts import links, registry, specification
from tests.support import contract
from tests.support.fleet import ROOT
from tests.support.markdown import anchors, blocks, pages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("module", ["scripts.links", "scripts.specification", "scripts.registry"])
def test_make_check_runs_it_and_it_finds_nothing(module: str) -> None:
    assert f"-m {module}\n" in (ROOT / "Makefile").read_text()
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- links


def test_every_folder_with_pages_is_checked() -> None:
    assert {page.relative_to(ROOT).parts[0] for page in pages() if page.parent != ROOT} >= {
        "docs",
        "extensions",
        "registry",
    }
    assert ROOT / "INTENT.md" in pages()


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("other.md", None),
        ("other.md#a-title-with-code", None),
        ("other.md#twice-1", None),
        ("#here", None),
        ("none.md", "no such file"),
        ("other.md#none", "no such heading"),
        ("#none", "no such heading"),
        ("other.md#twice-2", "no such heading"),
        ("../elsewhere.md", "leads out of the repository"),
        ("https://example.org/", "no such file"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str, wrong: str | None) -> None:
    (tmp_path / "other.md").write_text("# A title, with `code`\n\n## Twice\n\n## Twice\n")
    (tmp_path / "page.md").write_text(f"# Here\n\n[it]({link}) and `[no](link)` of code\n\n```sh\n[no](link)\n```\n")
    found = list(links.problems(tmp_path / "page.md", tmp_path))
    assert found == ([] if wrong is None else [f"page.md: {link}: {wrong}"])


@pytest.mark.parametrize(
    "words",
    [
        "[it][name]\n\n[name]: none.md",
        '[it](none.md "a title")',
        "[it](<none.md>)",
        "[it](\nnone.md)",
        "![it](none.md)",
        '<a href="none.md">it</a>',
        "<p>\n<img src='none.md'>\n</p>",
        "| a |\n| --- |\n| [it](none.md) |",
    ],
)
def test_a_link_of_any_form_is_followed(tmp_path: Path, words: str) -> None:
    (tmp_path / "page.md").write_text(f"# Here\n\n{words}\n\n- code:\n  ```sh\n  [no](other.md)\n  ```\n")
    assert list(links.problems(tmp_path / "page.md", tmp_path)) == ["page.md: none.md: no such file"]


def test_a_link_whose_reference_is_missing_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("[it][name] and <https://example.org/>\n")
    assert [line.rpartition(": ")[2] for line in links.problems(tmp_path / "page.md", tmp_path)] == [
        "no such reference",
        "no such file",
    ]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("## *One* of __two__", "one-of-two"),
        ("## The `a_b.c` key", "the-a_bc-key"),
        ("## [A link](x.md), then ##", "a-link-then"),
        ("Below a line\n---", "below-a-line"),
        ("~~~\n# Code\n~~~", None),
    ],
)
def test_an_anchor_is_what_github_makes_of_a_heading(tmp_path: Path, heading: str, anchor: str | None) -> None:
    (tmp_path / "page.md").write_text(f"{heading}\n")
    assert anchors(tmp_path / "page.md") == ({anchor} if anchor else set())


# --- the specification


@pytest.mark.parametrize(
    ("words", "instead", "wrong"),
    [
        ("and what that cost, per consumer | *reserved*", "and what that cost | implemented",
         "resource Meter: implemented, and it is not there"),
        ("| `Fleet` |", "| `Flotilla` |", "resource Fleet: the code has it, and no row"),
        ("| `active` |", "| `busy` |", "phase active: the code has it, and no row"),
        ("`dev.sandboxer.sandbox.active`", "`dev.sandboxer.sandbox.busy`", "phase active: its event is"),
        ("  ready --> active\n", "", "the diagram: ready --> active"),
        ("`Client.recreate`", "`Client.rebuild`", "there is no Client.rebuild"),
        ("`sandbox destroy NAME`", "`sandbox remove NAME`", "there is no `sandbox remove NAME`"),
        ("`GET /v1/plan`", "`GET /v2/plan`", "there is no GET /v2/plan"),
        ("| `snapshot`, `restore` | | | | *reserved*", "| `snapshot` | | | | implemented", "no way to call"),
        ("| `find` | `Client.find` | | | implemented |\n", "", "operation find: Client has it, and no row"),
        ("| `atm` |", "| `aut` |", "actor type atm: the code has it, and no row"),
        ("| `teardown` | yes", "| `teardown` | no", "operation teardown of an extension: required is no"),
        ("| `docker`, `podman` |", "| `docker` |", "capability runtimes: its values are docker, podman"),
        ("{placement: {hosts: [build-1]}}", "{routing: {hosts: [build-1]}}", "policy explicit: not valid in a Sandbox"),
        ("host that fits | | *reserved*", "host | | implemented", "policy lowest-cost: implemented, and no manifest"),
        ("  ready --> active\n", "  ready --> active: used\n", "the diagram: an arrow"),
        ("`sandbox logs NAME` | `GET /v1/sandboxes/{id}/logs`", "`sandbox logs NAME` | ",
         "operation: the API has GET /v1/sandboxes/{}/logs, and no row"),
        ("`POST /v1/sandboxes` |", "`GET /v1/plan` |", "operation: 2 rows have GET /v1/plan"),
        ("`sandbox forward NAME` |", "|", "operation: there is `forward`, and no row"),
        ("`sandbox recreate NAME`", "`sandbox destroy NAME`", "`sandbox destroy NAME` is another one"),
        ("| `extend_ttl` | `Client", "| `prolong` | `Client", "Client.extend_ttl is another one"),
        ("call it | *reserved*", "call it | implemented", "operation estimate_cost of an extension: implemented"),
        ("`data.actor_type`", "`data.actor`", "key actor type: there is no data.actor in an event"),
        ("`consumer.project`", "`consumer.owner`", "key calling project: there is no consumer.owner in a manifest"),
        ("who operates the fleet | implemented |", "who operates the fleet |", "`adm`: 2 cells, and the table has 3"),
        ("`GET /v1/sandboxes/{id}` | implemented |", "`GET /v1/sandboxes/{id}` | soon |", "'soon' is neither"),
    ],
)  # fmt: skip
def test_what_the_specification_has_and_the_code_does_not_is_found(
    tmp_path: Path, words: str, instead: str, wrong: str
) -> None:
    text = specification.PAGE.read_text()
    assert words in text
    (tmp_path / "page.md").write_text(text.replace(words, instead))
    assert any(wrong in line for line in specification.problems(tmp_path / "page.md"))


def test_the_specification_leaves_other_projects_to_their_pages() -> None:
    text = specification.PAGE.read_text()
    assert not [name for name in ("glas-harness", "wise-validator", "snuggle-inventor") if name in text]


# --- the registry


@pytest.mark.parametrize(
    ("name", "words", "instead", "wrong"),
    [
        (registry.INDEX, "domain: infotech", "domain: other", "$.capabilities[0].domain"),
        (registry.INDEX, "status: available", "status: planned", "status is not as"),
        (
            registry.INDEX,
            "capabilities/execution.sandbox-provision.md",
            "capabilities/none.md",
            "there is no such page",
        ),
        ("PAGE", "domain: infotech", "domain: other", "$.domain: 'other' is not one of"),
        ("PAGE", "owner: Sandboxer maintainers\n", "", "'owner' is a required property"),
        ("PAGE", "id: execution.sandbox-provision", "id: execution.other", "and the file is called"),
        ("PAGE", "operations: [create,", "operations: [invent,", "operations: the specification has create,"),
        ("PAGE", "| `extend_ttl` |", "| `prolong` |", "operations: the table below has create, get, list, prolong,"),
        ("PAGE", "[adm, agt, atm]", "[adm]", "consumers: these may ask: adm, agt, atm"),
        ("PAGE", "POST /v1/sandboxes", "POST /v2/sandboxes", "there is no http POST /v2/sandboxes"),
        ("PAGE", "sandboxer.Client", "sandboxer.Customer", "there is no library sandboxer.Customer"),
        ("PAGE", "entry: sandbox create", "entry: sandbox make", "there is no command sandbox make"),
        ("PAGE", "entry: Sandbox,", "entry: SandboxDirectory,", "there is no manifest SandboxDirectory"),
        ("PAGE", "dev.sandboxer.sandbox.*", "dev.sandboxer.machine.*", "events: there are no dev.sandboxer.machine.*"),
        ("PAGE", "  - docs/integrations/wise-validator.md\n", "", "boundaries: docs/integrations has"),
        (
            "PAGE",
            "docs/integrations/glas-harness.md",
            "docs/integrations/none.md",
            "there is no docs/integrations/none.md",
        ),
        ("PAGE", "---\nid", "id", "None is not of type 'object'"),
    ],
)
def test_what_is_wrong_with_the_registry_is_found(
    tmp_path: Path, name: str, words: str, instead: str, wrong: str
) -> None:
    for folder in ("registry", "docs", "schemas"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    assert list(registry.problems(tmp_path)) == []
    path = tmp_path / (f"{registry.PAGES}/execution.sandbox-provision.md" if name == "PAGE" else name)
    assert words in path.read_text()
    path.write_text(path.read_text().replace(words, instead, 1))
    assert any(wrong in line for line in registry.problems(tmp_path))


# --- the pages of integrations; tests/lab/test_integrations.py runs their examples


@pytest.mark.parametrize("page", contract.PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_have_the_fields_of_its_tables(page: Path) -> None:
    for name in ("create", "failure"):
        if (example := contract.response(page, name)) is not None:
            table = contract.table(page, contract.PROBLEM if name == "failure" else contract.HANDLE)
            assert contract.fields(example).keys() == table.keys()
            assert contract.wrong_types(example, table) == {}


@pytest.mark.parametrize("page", contract.PAGES, ids=lambda page: page.stem)
def test_every_request_of_a_page_promises_a_status_that_the_api_has(page: Path) -> None:
    described = json.loads((ROOT / "schemas/openapi.json").read_text())["paths"]
    requests = list(contract.requests(page))
    assert len(requests) == sum("SANDBOXER_URL" in block.text for block in blocks(page))
    for name, status, command in requests:
        method, path = re.findall(r'-X (\w+) "\$SANDBOXER_URL(/v1/[^"?]+)', command)[0]
        path = re.sub(r"^(/v1/sandboxes)/[^/]+", r"\1/{ref}", path)
        assert str(status) in described[path][method.lower()]["responses"], name


@pytest.mark.parametrize("page", contract.PAGES, ids=lambda page: page.stem)
def test_what_a_page_documents_of_the_library_exists(page: Path) -> None:
    for name in re.findall(r"\bClient\.(\w+)", page.read_text()):
        assert callable(getattr(Client, name))


@pytest.mark.parametrize(
    ("value", "form"),
    [("2026-11-30T16:22:54Z", "time"), ("1h", "duration"), ("17", "text"), (17, "number"), (None, "null")],
)
def test_a_text_is_a_time_or_a_duration_where_it_reads_so(value: object, form: str) -> None:
    assert contract.type_of(value) == form


@pytest.mark.parametrize("page", contract.PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts(page: Path) -> None:
    titles = ("## The request", "## The fields of the response", "## Who owns what", "## Out of scope")
    assert [title for title in titles if f"\n{title}\n" not in page.read_text()] == []
    assert next(name for name, _, _ in contract.requests(page)) == "create"
    assert f"integrations/{page.name}" in (ROOT / "INTENT.md").read_text()
