"""Whatever the loader is fed, only manifests and diagnostics come out, soon and in bounded memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.errors.diagnostic import CODES
from sandboxer.model.manifest import KINDS
from sandboxer.profiles.loader import load
from sandboxer.profiles.report import MAX_FINDINGS
from sandboxer.render.diagnostics import to_github, to_json, to_sarif, to_text
from tests.support.fleet import ROOT, shipped_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.documents import Manifests

SHIPPED = shipped_files()
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def holds(files: dict[str, bytes]) -> None:
    """What is promised for any input."""
    manifests = load(files)
    for found in manifests.diagnostics:
        assert found.code in CODES
        assert found.location.line >= 1
        assert found.location.column >= 1
        assert found.message
        assert "\n" not in found.message + found.hint + found.source_line
    if manifests.ok:
        assert manifests.fleet is not None
        assert all(document.model is not None for document in manifests.documents)
    text = to_text(manifests.diagnostics)
    assert not CONTROL.search(text)
    assert json.loads(to_json(manifests.diagnostics))["valid"] == manifests.ok
    assert len(to_github(manifests.diagnostics).splitlines()) == len(manifests.diagnostics)
    assert len(json.loads(to_sarif(manifests.diagnostics))["runs"][0]["results"]) == len(manifests.diagnostics)


@fuzz
@given(st.binary(max_size=300))
def test_bytes(data: bytes) -> None:
    holds({"sandboxer.yaml": data, "manifests/x.yaml": b"kind: Sandbox\n" + data})


@fuzz
@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_text(text: str) -> None:
    holds({"sandboxer.yaml": SHIPPED["sandboxer.yaml"], "manifests/x.yaml": text.encode()})


YAML_BITS = [
    *("a: ", "- ", "? ", ": ", "[", "]", "{", "}", ", ", "\n", "\n  ", "\n    ", "&a ", "*a ", "<<: ", "!!str ", "!x "),
    *(
        '"',
        "'",
        "|\n",
        ">-\n",
        "# c\n",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "~",
        "true",
        "no",
        "1",
        "1.5",
        ".nan",
        "1e999",
    ),
    *("spec", "kind: Sandbox\n", "metadata", "name: ", "env", "\t", "\ufeff", "\x85", "\u2028", "9" * 30, "é", "東"),
]


@fuzz
@given(st.lists(st.sampled_from(YAML_BITS), max_size=40).map("".join))
def test_pieces_of_yaml(text: str) -> None:
    holds({"sandboxer.yaml": SHIPPED["sandboxer.yaml"], "manifests/x.yaml": text.encode()})


WORDS = sorted({word for data in SHIPPED.values() for word in re.findall(r"[A-Za-z0-9._/-]+", data.decode())})
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from([*WORDS, "[key]", "<<"])
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from([*WORDS, "[key]"]), scalars), inner, max_size=5),
    ),
    max_leaves=12,
)


def documents() -> list[dict[str, Any]]:
    return [found for data in SHIPPED.values() for found in yaml.safe_load_all(data) if found]


def paths(value: Any) -> list[tuple[Any, ...]]:
    """Return the paths to every part of a plain value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *rest) for key, inner in items for rest in paths(inner))]


@fuzz
@given(st.data())
def test_shipped_manifests_with_parts_replaced(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(documents()))
    for _ in range(data.draw(st.integers(1, 3))):
        *steps, last = data.draw(st.sampled_from([path for path in paths(document) if path]))
        part = document
        for step in steps:
            part = part[step]
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del part[last]
        elif change == "replace" or isinstance(part, list):
            part[last] = data.draw(values)
        else:
            part[data.draw(scalars)] = data.draw(values)
        if not document:
            break
    holds({**SHIPPED, "manifests/x.yaml": yaml.safe_dump(document, allow_unicode=True).encode()})


@fuzz
@given(st.sampled_from(sorted(KINDS)), values, values)
def test_any_value_as_a_spec(kind: str, metadata: Any, spec: Any) -> None:
    document = {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}
    holds({**SHIPPED, "manifests/x.yaml": yaml.safe_dump(document).encode()})


@fuzz
@given(st.sampled_from(sorted(SHIPPED)), st.data())
def test_shipped_manifests_with_bytes_changed(file: str, data: st.DataObject) -> None:
    content = bytearray(SHIPPED[file])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 20)))
        content[start:end] = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b.encode() for b in YAML_BITS]))
        )
    holds({**SHIPPED, file: bytes(content)})


@fuzz
@given(values, values)
def test_any_setup_for_any_setup_schema(schema: Any, setup: Any) -> None:
    extension = yaml.safe_load(SHIPPED["extensions/ext.compose-ssh.yaml"])
    extension["metadata"]["name"] = "ext.x"
    extension["spec"]["setupSchema"] = {"properties": schema, "type": "object"}
    profile = {"apiVersion": "sandboxer.dev/v1", "kind": "Profile", "metadata": {"name": "p"}}
    profile["spec"] = {"extension": "ext.x", "setup": {"a": setup}}
    holds({**SHIPPED, "manifests/x.yaml": yaml.safe_dump_all([extension, profile]).encode()})


HEAD = "apiVersion: sandboxer.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
LIMIT = 1024 * 1024


def fill(text: str, head: str = "") -> bytes:
    """As many repetitions as fit into a file of the largest size that is read."""
    return (head + text * ((LIMIT - len(head)) // len(text))).encode()


def numbered(line: str, head: str = "") -> bytes:
    """Return the same with a number in each."""
    count = (LIMIT - len(head)) // (len(line) + 5)
    return (head + "".join(line.replace("N", str(index)) for index in range(count))).encode()[:LIMIT]


SANDBOX = HEAD.format(kind="Sandbox", name="x") + "  profile: profile.compose-e2e\n"
EXTENSION = SHIPPED["extensions/ext.compose-ssh.yaml"].decode().replace("ext.compose-ssh", "ext.x")
HOSTILE: dict[str, Callable[[], bytes]] = {
    "brackets": lambda: fill("["),
    "braces": lambda: fill("{"),
    "braces with keys": lambda: fill("{a: "),
    "dashes": lambda: fill("- "),
    "question marks": lambda: fill("? "),
    "colons": lambda: fill("a: "),
    "growing indentation": lambda: "".join(" " * depth + "a:\n" for depth in range(1400)).encode(),
    "quotes": lambda: fill('"'),
    "one long string": lambda: fill("x", SANDBOX + '  ttl: "') + b'"',
    "one long key": lambda: fill("x", "? ") + b"\n: y\n",
    "a long unknown kind": lambda: fill("x", "kind: "),
    "a long number": lambda: fill("9", SANDBOX + "  ttl: "),
    "a block of text": lambda: fill("  x\n", "|\n"),
    "comments": lambda: fill("# x\n"),
    "blank lines": lambda: fill("\n"),
    "carriage returns": lambda: fill("\r"),
    "directives": lambda: fill("%TAG !a! tag:x\n"),
    "anchors": lambda: numbered("- &aN x\n"),
    "aliases": lambda: fill("- *a\n", "- &a x\n"),
    "tags": lambda: fill("- !t x\n"),
    "scalars": lambda: fill("1,", "[") + b"]",
    "empty documents": lambda: fill("---\n"),
    "small documents": lambda: fill("---\na: 1\n"),
    "documents of no kind": lambda: fill("---\nkind: Sandbx\n"),
    "sandboxes of one name": lambda: fill("---\n" + SANDBOX),
    "sandboxes without a profile": lambda: numbered(
        "---\n" + HEAD.format(kind="Sandbox", name="xN") + "  profile: profile.compose-N\n"
    ),
    "the same key": lambda: fill("  a: 1\n", SANDBOX),
    "the same key in env": lambda: fill("    a: 1\n", SANDBOX + "  env:\n"),
    "unknown keys": lambda: numbered("  profilN: x\n", SANDBOX),
    "unknown keys on one line": lambda: numbered("profilN: x, ", "spec: {") + b"}\nkind: Sandbox\n",
    "unknown long keys": lambda: numbered("  profile" + "e" * 60 + "N: x\n", SANDBOX),
    "bad variables": lambda: numbered("    N-A: x\n", SANDBOX + "  env:\n"),
    "bad values of variables": lambda: numbered("    AN: true\n", SANDBOX + "  env:\n"),
    "unknown hosts": lambda: numbered("    - hN\n", SANDBOX + "  placement:\n   hosts:\n"),
    "secrets": lambda: numbered("    - {name: AN, from: env:AN}\n", SANDBOX + "  secretRefs:\n"),
    "ports": lambda: numbered(
        "    - {name: aN, service: a, port: 1}\n",
        HEAD.format(kind="Profile", name="p") + "  extension: ext.compose-ssh\n  reachability:\n   ports:\n",
    ),
    "an alias bomb": lambda: "\n".join(
        ["a0: &a0 x", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 100))]
    ).encode(),
    "an alias bomb in a schema": lambda: (
        EXTENSION
        + "  setupSchema:\n    b0: &b0 {type: object}\n"
        + "".join(f"    b{n}: &b{n} {{allOf: [*b{n - 1}, *b{n - 1}, *b{n - 1}]}}\n" for n in range(1, 9))
    ).encode(),
    "not UTF-8 at the end": lambda: fill("    a: b\n")[:-1] + b"\xff",
    "a control character at the end": lambda: fill("    a: b\n")[:-1] + b"\x01",
    "broken at the end": lambda: fill("    a: b\n", "env:\n")[:-1] + b'"',
    "line separators": lambda: fill("\u2028")[: LIMIT // 3 * 3],
    "too large": lambda: b"x" * (LIMIT + 1),
}


def ordinary() -> bytes:
    return numbered("---\n" + HEAD.format(kind="Sandbox", name="xN") + "  profile: profile.compose-e2e\n")


def read(content: bytes) -> tuple[Manifests, str, float]:
    """Return the manifests with this file, their findings, and the seconds that it took."""
    start = time.process_time()
    manifests = load({**SHIPPED, "manifests/x.yaml": content})
    text = to_text(manifests.diagnostics)
    return manifests, text, time.process_time() - start


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_are_done_within_a_second(name: str) -> None:
    manifests, text, seconds = read(HOSTILE[name]())
    # On a slow or busy machine a second is short: there it is by what an ordinary file of the same size takes.
    assert seconds < 1.0 or seconds < 4 * read(ordinary())[2]
    assert len(manifests.diagnostics) <= MAX_FINDINGS + 2
    assert len(text) < 100_000


HUNGRY = ["scalars", "tags", "bad values of variables", "unknown keys on one line", "empty documents", "blank lines"]


def test_hostile_files_take_bounded_memory() -> None:
    script = (
        "import resource, sys\n"
        "from tests.unit.profiles.test_loader_fuzz import HOSTILE, load\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for name in sys.argv[1:]:\n"
        "    load({'manifests/x.yaml': HOSTILE[name]()})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", script, *HUNGRY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) * (1 if sys.platform == "darwin" else 1024) < 120 * 1024 * 1024
