"""What the loader promises beside its findings: documents with places, plain values, and nothing secret shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandboxer.errors.diagnostic import Location
from sandboxer.profiles import yaml_nodes
from sandboxer.profiles.loader import load
from sandboxer.render.diagnostics import to_github, to_json, to_sarif, to_text
from tests.support.fleet import shipped_files

if TYPE_CHECKING:
    from sandboxer.model.documents import Manifests

HEAD = "apiVersion: sandboxer.dev/v1\nkind: Sandbox\nmetadata: {name: web}\nspec:\n  profile: profile.compose-e2e\n"


def load_with(text: str, file: str = "manifests/web.yaml") -> Manifests:
    return load({**shipped_files(), file: text.encode()})


def codes(manifests: Manifests) -> list[str]:
    return [found.code for found in manifests.diagnostics]


def value_of(text: str) -> object:
    source = yaml_nodes.read("x.yaml", text.encode())
    assert not source.findings
    return source.documents[0].value


def test_a_document_has_the_line_that_sets_each_value() -> None:
    text = HEAD + "  ttl: 8h\n  inputs: {repo: x, ref: main}\n  secretRefs:\n    - name: A\n      from: env:A\n"
    document = load_with(text).document("Sandbox", "web")
    assert document is not None
    file = "manifests/web.yaml"
    assert document.locate() == Location(file, 1, 1)
    assert document.find(("spec", "ttl")) == Location(file, 6, 3)
    assert document.find(("spec", "inputs", "ref")) == Location(file, 7, 21)
    assert document.find(("spec", "secretRefs", 0, "from")) == Location(file, 10, 7)
    assert document.find(("spec", "suspend")) is None
    assert document.locate(("spec", "suspend")) == Location(file, 4, 1)
    assert document.locate(("spec", "secretRefs", 7, "name")) == Location(file, 8, 3)


def test_documents_are_kept_as_parsed_so_that_comments_and_style_do_not_count() -> None:
    one = load_with(HEAD + "  ttl: 8h\n").document("Sandbox", "web")
    two = load_with("# why\n" + HEAD + '  "ttl": "8h"   # long\n').document("Sandbox", "web")
    assert one is not None
    assert two is not None
    assert one.value == two.value
    assert one.value["spec"] == {"profile": "profile.compose-e2e", "ttl": "8h"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", {"a": "no"}),
        ("a: 0644", {"a": "0644"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 2026-12-01", {"a": "2026-12-01"}),
        ("a: 12345678901234567890", {"a": "12345678901234567890"}),
        ("a: -7", {"a": -7}),
        ("a: 1.5", {"a": 1.5}),
        ("a: true", {"a": True}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: '1'", {"a": "1"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
    ],
)
def test_scalars_are_read_as_specified(text: str, value: object) -> None:
    assert value_of(text) == value


def test_anchors_end_with_their_document() -> None:
    source = yaml_nodes.read("x.yaml", b"a: &x 1\n---\nb: *x\n")
    assert [finding.code for finding in source.findings] == ["bad-alias"]


@pytest.mark.parametrize(("depth", "found"), [(64, []), (65, ["too-deep"])])
def test_nesting_of_64_levels_is_taken(depth: int, found: list[str]) -> None:
    for text in ("[" * depth + "]" * depth, "- " * depth + "x"):
        assert [finding.code for finding in yaml_nodes.read("x.yaml", text.encode()).findings] == found


def test_an_alias_does_not_hide_nesting() -> None:
    text = "- &a " + "[" * 40 + "]" * 40 + "\n- " + "[" * 30 + "*a" + "]" * 30
    assert [finding.code for finding in yaml_nodes.read("x.yaml", text.encode()).findings] == ["too-deep"]


@pytest.mark.parametrize(("count", "found"), [(1000, []), (1001, ["too-many-aliases"])])
def test_a_thousand_aliases_are_taken(count: int, found: list[str]) -> None:
    text = "- &a x\n" + "- *a\n" * count
    assert [finding.code for finding in yaml_nodes.read("x.yaml", text.encode()).findings] == found


@pytest.mark.parametrize(("size", "found"), [(1024 * 1024, []), (1024 * 1024 + 1, ["too-large"])])
def test_a_mebibyte_is_taken(size: int, found: list[str]) -> None:
    assert [finding.code for finding in yaml_nodes.read("x.yaml", b"#" * size).findings] == found


def test_a_reference_to_a_document_with_errors_is_no_second_error() -> None:
    manifests = load_with(
        HEAD.replace("profile.compose-e2e", "broken")
        + "---\napiVersion: sandboxer.dev/v1\nkind: Profile\nmetadata: {name: broken}\nspec: {}\n"
    )
    assert codes(manifests) == ["missing-key"]
    assert "web" in manifests.sandboxes
    assert "broken" not in manifests.profiles


def test_a_document_with_errors_is_still_checked_against_the_others() -> None:
    manifests = load_with(HEAD.replace("e2e", "e3e") + "  ttl: tomorrow\n")
    assert sorted(codes(manifests)) == ["bad-value", "unknown-reference"]


def test_a_fleet_may_describe_the_built_in_extension_itself() -> None:
    files = shipped_files()
    described = load(files)
    without = load({file: data for file, data in files.items() if not file.startswith("extensions/")})
    assert described.ok
    assert without.ok
    assert described.extensions == without.extensions


def test_keys_in_the_spelling_of_the_code_are_unknown() -> None:
    assert codes(load_with(HEAD + "  secret_refs: []\n")) == ["unknown-key"]


def test_the_order_of_findings_is_that_of_files_and_lines() -> None:
    found = load({"b.yaml": b"kind: X\n---\nkind: Y\n", "a.yaml": b"kind: Z\n"}).diagnostics
    assert [str(diagnostic.location) for diagnostic in found] == [
        "a.yaml:1:7",
        "b.yaml:1:7",
        "b.yaml:3:7",
        "sandboxer.yaml:1:1",
    ]


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "spec",
    [
        f"  env: {{A: {SECRET}, B: true}}\n",
        f"  env:\n    A: {SECRET}\n    A: {SECRET}\n",
        f"  env:\n    1A: {SECRET}\n",
        f"  env:\n    A: &x {SECRET}\n    B: *y\n",
        f"  env:\n    A: !x {SECRET}\n",
        f"  env:\n    A: {SECRET}: x\n",
        f'  env:\n    A: "{SECRET}\n',
        f"  env:\n    A: [{SECRET}\n",
        f"  env: {SECRET}\n",
        f"  env: [{SECRET}]\n",
        f"  secretRefs: [{{name: A, from: {SECRET}}}]\n",
        f"  secretRefs: [{{name: A, from: env:A, value: {SECRET}}}]\n",
        f"  secretRefs:\n    - name: A\n      from: '{SECRET}'\n      value: x\n",
        f"  secretRefs:\n    {SECRET}\n",
        f"  inputs: {{repo: 'https://me:{SECRET}@example.org/x'}}\n",
        f"  inputs: {{repo: 'http://me:{SECRET}@example.org/x'}}\n",
    ],
)
def test_no_finding_shows_what_could_be_a_secret(spec: str) -> None:
    found = load_with(HEAD + spec).diagnostics
    assert found
    assert all(SECRET not in render(found) for render in (to_text, to_json, to_github, to_sarif))
