"""The inspection of raw compose files: all that Compose reads is found, and nothing outside the input is read."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import compose
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.source import SourceReport, inspect
from sandboxer.model.protocols import TreeEntry

CASES = Path(__file__).parents[3] / "cases" / "compose"
DOCKER_COMPOSE = Path(compose.__file__).parent / "docker-compose"

# Every way to name a file, each relative to something else.
STACK = {
    "e2e/compose.yaml": """
include:
  - inc/one.yaml
  - {path: [inc/two.yaml, inc/two.override.yaml], env_file: two.env}
  - {path: ../other/three.yaml, project_directory: three}
services:
  web: {image: "web:${TAG:-1}", env_file: [web.env, {path: none.env, required: false}], label_file: web.labels,
        extends: {file: base/base.yaml, service: base}, build: ../app, volumes: ["./mounted:/m"]}
""",
    "e2e/over/override.yaml": "services: {web: {env_file: over.env}}",
    "e2e/over.env": "OVER=1",
    "e2e/.env": "TAG=2",
    "e2e/web.env": "WEB=$TAG",
    "e2e/web.labels": "a=b",
    "e2e/mounted": "",
    "e2e/two.env": "TWO=2",
    "e2e/base/base.yaml": """
services:
  base: {env_file: base.env, extends: {file: deep/deep.yaml, service: deep}}
  unrelated: {env_file: ../../../outside}
""",
    "e2e/base/base.env": "BASE=1",
    "e2e/base/deep/deep.yaml": "services: {deep: {extends: sibling}, sibling: {env_file: deep.env}}",
    "e2e/base/deep/deep.env": "DEEP=1",
    "e2e/inc/one.yaml": "{include: [more/one.yaml], services: {one: {image: x, env_file: link.env}}}",
    "e2e/inc/link.env": "-> ../real.env",
    "e2e/real.env": "REAL=1",
    "e2e/inc/.env": "ONE=1",
    "e2e/inc/more/one.yaml": "services: {more: {image: x, env_file: more.env}}",
    "e2e/inc/more/more.env": "MORE=1",
    "e2e/inc/two.yaml": 'services: {two: {image: "x:${TWO}", env_file: two.env}}',
    "e2e/inc/two.override.yaml": "services: {two: {environment: {A: b}}}",
    "e2e/inc/two.env": "TWO=2",
    "other/three.yaml": "services: {three: {image: x, env_file: three.env}}",
    "e2e/three/three.env": "THREE=3",
    "app/Dockerfile": "FROM scratch",
}
NOT_READ = {"e2e/mounted", "app/Dockerfile"}


def observation(files: dict[str, str], *paths: str) -> SourceReport:
    entries = {
        path: TreeEntry(path, text, target=text[3:] if text.startswith("-> ") else None) for path, text in files.items()
    }
    first = paths or (next(iter(files)),)
    return inspect(
        {path: files[path].encode() for path in first}, lambda path: files[path].encode(), entries, sandbox="s"
    )


def write(root: Path, files: dict[str, str], only: set[str]) -> None:
    for path in only:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if files[path].startswith("-> "):
            (root / path).symlink_to(files[path][3:])
        else:
            (root / path).write_text(files[path])


def config(root: Path) -> bytes:
    command = [DOCKER_COMPOSE, "-p", "p", "-f", "e2e/compose.yaml", "-f", "e2e/over/override.yaml", "config"]
    env = {"PATH": os.environ["PATH"], "HOME": str(root)}
    result = subprocess.run(command, cwd=root, env=env, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def test_compose_reads_the_same_from_the_found_files_alone_and_needs_each(tmp_path: Path) -> None:
    report = observation(STACK, "e2e/compose.yaml", "e2e/over/override.yaml")
    assert set(report.files) == STACK.keys() - NOT_READ
    assert (report.builds, report.contexts, report.variables) == (True, ("app",), {"TAG", "TWO"})

    tree = tmp_path / "tree"  # one place for both, for the canonical form holds absolute paths
    write(tree, STACK, set(STACK))
    whole = config(tree)
    shutil.rmtree(tree)
    write(tree, STACK, set(report.files))
    assert config(tree) == whole
    for name in ("WEB", "OVER", "BASE", "DEEP", "REAL", "MORE", "TWO", "THREE"):
        assert f"{name}: ".encode() in whole


@pytest.mark.parametrize(
    "case", yaml.safe_load((CASES / "sources.yaml").read_text()), ids=lambda case: case["says"][:50]
)
def test_what_leads_elsewhere_is_refused_before_anything_reads_it(case: dict[str, Any]) -> None:
    with pytest.raises(ComposeRefused) as caught:
        observation(case["files"])
    assert caught.value.message == case["says"]


def test_includes_and_extends_in_a_circle_end() -> None:
    observation(
        {"a.yaml": "{include: [b.yaml], services: {x: {extends: y}, y: {extends: x}}}", "b.yaml": "include: [a.yaml]"}
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "a: " + "{a: " * 100 + "1" + "}" * 100,
        "a: &a [x]\nb: [" + "*a," * 2_000 + "]",
        "services:\n" + "".join(f"  s{n}: {{env_file: &e{n} [a,a,a,a,a,a]}}\n" for n in range(3_000)),
        "x" * (1 << 20) + "y",
    ],
    ids=["brackets", "depth", "aliases", "steps", "size"],
)
def test_a_file_made_to_exhaust_us_is_refused_soon(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(ComposeRefused):
        observation({"c.yaml": text, "a": ""})
    assert time.monotonic() - started < 10


def test_an_alias_bomb_stays_small() -> None:
    lines = ["x-0: &a0 [x, x]"] + [f"x-{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert observation({"c.yaml": "\n".join([*lines, "services: {web: {image: x}}"])}).files == ("c.yaml",)


KEYS = st.sampled_from(["services", "web", "include", "extends", "env_file", "path", "file", "service", "build", "<<"])
VALUES = st.recursive(
    st.none() | st.sampled_from(["c.yaml", "../x", "web", "/", "$X", ".", ""]) | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_any_document_is_followed_or_refused(value: Any) -> None:
    with contextlib.suppress(ComposeRefused):
        observation({"c.yaml": yaml.safe_dump(value)})


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=60) | st.text(alphabet="{}[]&*a:-<!'\"|>%@ \n#$", max_size=40).map(str.encode))
def test_any_bytes_are_followed_or_refused(data: bytes) -> None:
    with contextlib.suppress(ComposeRefused):
        inspect({"c.yaml": data}, lambda path: b"", {}, sandbox="s")
