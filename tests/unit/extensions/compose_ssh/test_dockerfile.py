"""The policy for Dockerfiles: what is refused, and the text that every builder reads the same way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.dockerfile import KEYWORDS, DockerfileError, parse, serialise
from sandboxer.extensions.compose_ssh.dockerfile_policy import (
    BuildInputs,
    CheckedDockerfile,
    check_dockerfile,
    problem_with_trigger,
)
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Hardened, Policy
from sandboxer.model.protocols import TreeEntry

CASES = Path(__file__).parents[3] / "cases"
PROJECT = "sbx-shop-1f2e3d4c"
FILES: dict[str, bytes] = {
    "Dockerfile": b"FROM b:1\n",
    "app/Containerfile": b"FROM podman:1\n",
    "app/Dockerfile": b"FROM docker:1\n",
    "app/Dockerfile.dockerignore": b"*.md\n",
    "app/evil": b"FROM img\nADD http://127.0.0.1/ /x\n",
    "lower/dockerfile": b"FROM low:1 AS one\nFROM one AS two\n",
    "none/file": b"",
}
POLICY = Policy(
    sandbox="shop",
    project=PROJECT,
    workspace="/s/w",
    tree_dir="/s/w/tree/d",
    host_cpus=4.0,
    host_memory=8 << 30,
    entries={path: TreeEntry(path, f"blob of {path}") for path in FILES}
    | {
        "linked/Dockerfile": TreeEntry("linked/Dockerfile", "link", target="../app/Dockerfile"),
        "out/Dockerfile": TreeEntry("out/Dockerfile", "link", target="/etc/passwd"),
        "ignored/Dockerfile": TreeEntry("ignored/Dockerfile", "blob"),
        "ignored/.dockerignore": TreeEntry("ignored/.dockerignore", "link", target="/etc/shadow"),
    },
    read=(FILES | {"ignored/Dockerfile": b"FROM img\n"}).__getitem__,
)


def cases(name: str) -> list[Any]:
    return list(yaml.safe_load((CASES / "dockerfile" / name).read_text()))


def inputs(case: dict[str, Any]) -> BuildInputs:
    contexts = frozenset(case.get("contexts", ()))
    return BuildInputs(
        PROJECT, case.get("podman", False), case.get("args", {}), contexts, lambda path: path == "req.txt"
    )


def checked(case: dict[str, Any]) -> tuple[CheckedDockerfile, list[str]]:
    problems: list[str] = []
    return check_dockerfile(case["file"].encode(), inputs(case), problems.append), problems


@pytest.mark.parametrize("case", cases("refused.yaml"), ids=lambda case: case["about"])
def test_what_no_dockerfile_may_contain_is_refused_with_its_line(case: dict[str, Any]) -> None:
    _, problems = checked(case)
    assert any(case["says"] in problem for problem in problems), problems
    assert all(problem.startswith("line ") or problem.endswith("FROM instruction") for problem in problems)


@pytest.mark.parametrize("case", cases("accepted.yaml"), ids=lambda case: case["about"])
def test_what_an_everyday_dockerfile_becomes(case: dict[str, Any]) -> None:
    made, problems = checked(case)
    assert problems == []
    assert made.text == case["becomes"]
    assert sorted(made.images) == case["images"]
    assert sorted(made.bases) == case.get("bases", sorted(made.bases))
    # What the engine gets is a Dockerfile that means the same, and becomes itself.
    again, problems = checked(case | {"file": made.text})
    assert (again, problems) == (made, [])


def run(build: Any, policy: Policy = POLICY, **keys: Any) -> Hardened:
    return harden(normalise({"services": {"web": {"build": build, **keys}}}, policy.tree_dir), policy)


def refusal(build: Any, policy: Policy = POLICY) -> str:
    with pytest.raises(ComposeRefused) as caught:
        run(build, policy)
    return str(caught.value.message)


HOSTILE = [path for path in sorted((CASES / "hostile").glob("bld-*.yaml")) if path.stem != "bld-inline-run"]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_hostile_builds_are_refused_or_name_what_is_inspected(path: Path) -> None:
    build = yaml.safe_load(path.read_text())["services"]["web"]["build"]
    if path.stem == "bld-copy-from-other":  # by a neutral name: the image of that name is inspected on the host
        assert "victim-secret:1" in run(build).images
        return
    assert "services.web.build.dockerfile_inline: line " in refusal(build)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        ({"context": ".", "dockerfile": "http://x/Dockerfile"}, "is not the path of a file"),
        ({"context": ".", "dockerfile": "-"}, "is not the path of a file"),
        ({"context": ".", "dockerfile": "/dev/stdin"}, "lies outside"),
        ({"context": "./out"}, "missing in the build context"),
        ({"context": "./out", "dockerfile": "Dockerfile"}, "points outside the sandbox's files"),
        ({"context": "./none"}, "missing in the build context"),
        ({"context": "./ignored"}, "services.web.build.context: .dockerignore is a link"),
        ({"context": ".", "dockerfile": "app"}, "is a folder"),
        ({"context": "./app", "dockerfile": "evil"}, "services.web.build.dockerfile: line 2: `ADD http://127.0.0.1/`"),
        ({"context": ".", "dockerfile_inline": "FROM img", "dockerfile": "Dockerfile"}, "the only Dockerfile"),
        ({"context": ".", "dockerfile_inline": ["FROM img"]}, "must be a text"),
        ({"context": ".", "args": {"BUILDKIT_SYNTAX": "evil/x"}}, "args.BUILDKIT_SYNTAX: steers the engine's builder"),
        ({"context": ".", "args": {"buildkit_syntax": "evil/x"}}, "steers the engine's builder"),
        ({"context": ".", "args": {"A B": "x"}}, "is not the name of a build argument"),
        ({"context": ".", "args": {"--network": "host"}}, "is not the name of a build argument"),
        ({"context": ".", "cache_from": ["type=gha"]}, "cache_from: reads an external cache"),
        ({"context": ".", "cache_from": ["sbx-victim-0a1b2c3d-web"]}, "cache_from: reads an external cache"),
        ({"context": ".", "cache_to": ["type=local,dest=/x"]}, "cache_to: writes"),
        ({"context": ".", "sbom": "generator=evil/x"}, "sbom: runs another image"),
        ({"context": ".", "provenance": "mode=max"}, "provenance: runs another image"),
        ({"context": ".", "no_cache_filter": ["x"]}, "no_cache_filter: is not supported"),
        ({"context": ".", "network": "container:x"}, "network: leaves the build's own network"),
        ({"context": ".", "extra_hosts": {"a": "127.0.0.1"}}, "extra_hosts: a build has no network"),
        ({"context": ".", "additional_contexts": {"a": "docker-image://b"}}, "a: is not a folder of the input"),
        ({"context": ".", "additional_contexts": {"a": "oci-layout:///x"}}, "a: is not a folder of the input"),
        ({"context": ".", "additional_contexts": {"a": "https://x/y.git"}}, "a: is not a folder of the input"),
        ({"context": ".", "additional_contexts": {"a": "git@x:y.git"}}, "a: is not a folder of the input"),
        ({"context": ".", "additional_contexts": {"a": "service:web"}}, "a: is not a folder of the input"),
        ({"context": ".", "additional_contexts": {"A=b": "./app"}}, "is not a name for a context"),
        ({"context": ".", "target": "other"}, "target: 'other' is not a stage"),
        ({"context": ".", "target": "--privileged"}, "target: '--privileged' is not a stage"),
    ],
)
def test_builds_use_nothing_beyond_the_input(build: dict[str, Any], says: str) -> None:
    assert says in refusal(build)


@pytest.mark.parametrize(
    ("build", "podman", "base"),
    [
        ("./app", False, "docker:1"),
        ("./app", True, "podman:1"),
        ("./lower", False, "low:1"),
        ("./linked", True, "docker:1"),
        ({"context": "./none", "dockerfile": "../app/Dockerfile"}, False, "docker:1"),
        ({"context": "./lower", "target": "TWO"}, False, "low:1"),
        ({"context": ".", "dockerfile_inline": "FROM in$${X:-line}"}, False, "inline"),
    ],
)
def test_the_file_that_the_engine_would_take_is_read_and_rewritten(build: Any, podman: bool, base: str) -> None:
    hardened = run(build, replace(POLICY, podman=podman))
    given = hardened.model["services"]["web"]["build"]
    path = given["dockerfile"].removeprefix("/s/w/")
    assert hardened.dockerfiles[path].startswith(f"FROM {base}".encode())
    assert "dockerfile_inline" not in given
    assert given["network"] == "none"
    assert (hardened.images, hardened.bases) == ((base,), {base})
    assert given.get("target") in (None, "two")


def test_what_is_ignored_for_one_dockerfile_alone_lies_beside_it() -> None:
    hardened = run("./app")
    path = hardened.model["services"]["web"]["build"]["dockerfile"].removeprefix("/s/w/")
    assert hardened.dockerfiles[f"{path}.dockerignore"] == b"*.md\n"


@pytest.mark.parametrize(
    ("trigger", "says"),
    [
        ("RUN make", None),
        ("COPY . /src", None),
        ("ADD . /src", None),
        ("ADD http://127.0.0.1/ /x", "would be fetched"),
        ("ADD $U /x", "begins with a variable"),
        ("COPY --from=victim /secret /x", "is in ONBUILD"),
        ("RUN --mount=type=bind,from=victim,target=/x true", "is in ONBUILD"),
        ("RUN --network=host true", "more than a build may have"),
        ("RUN true\nADD http://127.0.0.1/ /x", "not one instruction"),
        ("LABEL dev.sandboxer.id=0a1b2c3d", "set by Sandboxer"),
        ("", "ONBUILD has no arguments"),
    ],
)
def test_a_base_images_triggers_are_held_to_the_same(trigger: str, says: str | None) -> None:
    problem = problem_with_trigger(trigger, BuildInputs(PROJECT))
    assert problem is None if says is None else says in (problem or "")


@pytest.mark.parametrize("text", ["FROM img\n" + "RUN x\n" * 1000, "FROM img\nRUN " + "x" * 60_000, "#" * 300_000])
def test_a_dockerfile_has_a_size(text: str) -> None:
    with pytest.raises(DockerfileError, match=r"exceeds the limit|longer than"):
        parse(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    problems: list[str] = []
    check_dockerfile(b"FROM img\nRUN \xff", BuildInputs(PROJECT), problems.append)
    assert problems == ["line 2: is not UTF-8; save the file as UTF-8"]


_WORDS = st.sampled_from([
    *sorted(KEYWORDS), "run", "add", "--mount=type=cache,target=/x", "--from=x", "a", "b:1", "AS", "\\", "\\\\",
    "<<EOF", "<<-'A'", "EOF", "A", "#", "# syntax=x", '["a"', '"b"]', "[", "]", "'", '"', "$X", "${X:-y}", "http://x",
    "\t", " ", "\n", "\r\n", "\\\n", "\u00a0", "ü", "&&", "`", "\ufeff",
])  # fmt: skip


@given(st.lists(_WORDS, max_size=30).map(" ".join) | st.lists(_WORDS, max_size=30).map("".join) | st.text(max_size=80))
def test_what_is_written_reads_as_what_was_read(text: str) -> None:
    try:
        read = parse(text)
    except DockerfileError:
        return
    written = serialise(read)
    again = parse(written)
    assert [replace(one, line=0) for one in _flat(again)] == [replace(one, line=0) for one in _flat(read)]
    assert serialise(again) == written
    # A builder that takes a line for an instruction, whatever it knows, finds it where we do.
    first_words = [line.split()[0] for line in written.splitlines() if line.split()]
    assert [one.keyword for one in read] == [word for word in first_words if word in KEYWORDS][: len(read)] or any(
        one.heredocs for one in read
    )


def _flat(instructions: Any) -> list[Any]:
    return [replace(one, inner=one.inner and replace(one.inner, line=0)) for one in instructions]
