"""The expected stack: what our evaluation makes of the files is what the real Composes make of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.extensions.compose_ssh.expected.stack import ABOVE, TREE, ExpectedStack, expected_stack
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret, Policy
from sandboxer.extensions.compose_ssh.render import Variables, moved
from sandboxer.model.hidden import Hidden
from sandboxer.model.protocols import TreeEntry
from tests.support.readers import PROJECT, compose_reads, put, read
from tests.unit.extensions.compose_ssh.test_compose_everyday import MORE, OURS
from tests.unit.extensions.compose_ssh.test_compose_source import STACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CASES = Path(__file__).parents[3] / "cases" / "compose"
GIVEN: list[dict[str, Any]] = list(yaml.safe_load((CASES / "expected.yaml").read_text()))
# Files that the everyday cases name and do not have.
BESIDE = {
    **dict.fromkeys(("conf/app.conf", "conf/more/deep.conf", "data/.keep", "up/.keep", "www/index.html"), ""),
    **dict.fromkeys(("app/Dockerfile", "api/Dockerfile", "web/Dockerfile"), "FROM scratch\n"),
    "web.env": "A=1",
    "pw.txt": "x",
    "out": "-> conf",
    "stock/items.txt": "",
}
# Why a real Compose reads a case otherwise than we do.
DIFFERS = {
    "long": {
        "podman": "podman-compose takes `22:22` for a number in base 60, and passes sizes and durations on as written",
        "docker": "Compose takes a label named x- for a field of its own, and puts `#extensions` in its place",
    },
    "mounts lead to their content, links followed, and a writable one to a copy": {
        "podman": "podman-compose passes sizes on as they are written, and adds no target to a secret"
    },
    "every way to name a file": {"podman": "podman-compose knows less of include and extends"},
}


def case(name: str, files: Mapping[str, str], *paths: str) -> dict[str, Any]:
    """Return a case of other tests as one of ours: for our project, with the variables of an env file known."""
    texts = {
        path: text.replace("sbx-shop-1f2e3d4c", PROJECT) for path, text in ({} if paths else BESIDE | files).items()
    }
    return {
        "about": name,
        "files": texts or {path: text.replace("WEB=$TAG", "WEB=1") for path, text in files.items()},
        "paths": paths or ["c.yaml"],
        "profiles": ["x"],
        "differs": DIFFERS.get(name, {}),
    }


EVERY = [*GIVEN, *(case(name, files) for name, files in (OURS | MORE).items())]
EVERY.append(case("every way to name a file", STACK, "e2e/compose.yaml", "e2e/over/override.yaml"))


def evaluated(given: dict[str, Any], **more: Any) -> ExpectedStack:
    data = {path: text.encode() for path, text in given["files"].items()}
    links = {path: text[3:] for path, text in given["files"].items() if text.startswith("-> ")}
    entries = {path: TreeEntry(path, path, target=links.get(path)) for path in data}
    paths = given.get("paths") or [next(iter(data))]
    return expected_stack(
        {path: data[path] for path in paths},
        data.__getitem__,
        entries,
        {**given.get("variables", {}), **more},
        given.get("profiles", ()),
        sandbox="web",
        project=PROJECT,
    )


def hardened(model: dict[str, Any], given: dict[str, Any], *, podman: bool) -> Any:
    """Return the compose file that a model becomes."""
    data = {path: text.encode() for path, text in given["files"].items()}
    links = {path: text[3:] for path, text in given["files"].items() if text.startswith("-> ")}
    policy = Policy(
        sandbox="web",
        project=PROJECT,
        workspace=f"{ABOVE}/workspace",
        tree_dir=TREE,
        host_cpus=1024,
        host_memory=1 << 50,
        entries={path: TreeEntry(path, path, target=links.get(path)) for path in data},
        egress="allow",
        podman=podman,
        read=data.__getitem__,
        variables=given.get("variables", {}),
        secrets={"DB_PASSWORD": DeliveredSecret(f"{ABOVE}/secrets/1/DB_PASSWORD", 1)},
    )
    return json.loads(harden(model, policy).to_json())


def composed(given: dict[str, Any], folder: Path, *, podman: bool, project: str = PROJECT) -> dict[str, Any]:
    """Return what a real Compose makes of the files that it would be given."""
    paths = given.get("paths") or [next(iter(given["files"]))]
    report = read(given["files"], *paths, podman=podman)
    put(folder / "files", report.opened)
    for name in report.folders:
        (folder / "files" / name).mkdir(parents=True, exist_ok=True)
    values = {name: Hidden(value) for name, value in given.get("variables", {}).items()}
    (folder / "variables").write_bytes(Variables(values, {}).to_dotenv(podman=podman))
    options = ("--env-file", str(folder / "variables"))
    options += tuple(word for profile in given.get("profiles", ()) for word in ("--profile", profile))
    done = compose_reads(folder / "files", *paths, podman=podman, options=options, project=project)
    assert done.returncode == 0, done.stderr.decode()
    printed = yaml.safe_load(done.stdout) if podman else json.loads(done.stdout)
    start = folder / "files" / Path(paths[0]).parent
    found: dict[str, Any] = moved(normalise(printed, str(start), literal=podman), str(folder / "files"), TREE)
    return found


def flavours() -> Iterator[Any]:
    """Yield each case with each Compose; one that reads it otherwise must go on to do so."""
    for given in EVERY:
        for flavour in ("docker", "podman"):
            why = given.get("differs", {}).get(flavour)
            marks = [pytest.mark.xfail(strict=True, reason=why)] if why else []
            yield pytest.param(given, flavour == "podman", id=f"{given['about']}-{flavour}", marks=marks)


@pytest.mark.parametrize(("given", "podman"), list(flavours()))
def test_a_stack_is_evaluated_as_compose_does_it(given: dict[str, Any], podman: bool, tmp_path: Path) -> None:
    model = composed(given, tmp_path, podman=podman)
    stack = evaluated(given)
    assert () not in stack.unknowns
    assert not stack.problems
    assert hardened(stack.model, given, podman=podman) == hardened(model, given, podman=podman)


def test_each_value_has_the_place_where_the_file_wrote_it_that_counts() -> None:
    given = {
        "files": {
            "c.yaml": "services:\n  web:\n    image: x\n    environment: {A: 1, B: 2}\n    volumes:\n      - ./a:/a\n",
            "o.yaml": "services:\n  web:\n    image: y\n    environment:\n      - B=3\n    volumes: ['./b:/b']\n",
            "a": "",
            "b": "",
        },
        "paths": ["c.yaml", "o.yaml"],
    }
    stack = evaluated(given)
    places = {
        "services.web": ("o.yaml", 2, 3, 3),
        "services.web.image": ("o.yaml", 3, 12, 1),
        "services.web.environment.A": ("c.yaml", 4, 22, 1),
        "services.web.environment.B": ("o.yaml", 5, 9, 3),
        "services.web.volumes[0].source": ("c.yaml", 6, 9, 6),
        "services.web.volumes[1]": ("o.yaml", 6, 15, 8),
        "services.web.volumes[1].not.there": ("o.yaml", 6, 15, 8),
        "services.web.user": ("o.yaml", 2, 3, 3),
    }
    for where, place in places.items():
        mark = stack.locate(where)
        assert mark is not None
        assert (mark.file, mark.line, mark.column, mark.length) == place, where
    assert stack.locate("reachability.ports.http") is None
    assert stack.positions["services", "web", "volumes", 0, "source"] == stack.locate("services.web.volumes[0].source")


def test_a_merge_key_leads_to_the_line_that_the_value_is_on() -> None:
    text = "x-common: &common\n  privileged: true\nservices:\n  web:\n    <<: *common\n    image: x\n"
    mark = evaluated({"files": {"c.yaml": text}}).locate("services.web.privileged")
    assert mark is not None
    assert (mark.file, mark.line, mark.column) == ("c.yaml", 2, 15)


def test_what_is_not_known_is_unknown_and_never_guessed() -> None:
    text = """
services:
  web:
    image: "x:${SECRET}"
    environment: {A: "${SECRET:-x}", B: "${PWD}", C: "${GIVEN}", D: "${NONE}", SECRET: }
    env_file: a.env
"""
    stack = evaluated({"files": {"c.yaml": text, "a.env": "A=$B"}, "variables": {"GIVEN": "1"}}, SECRET=None)
    assert sorted(stack.unknowns) == [
        ("services", "web", "env_file"),
        ("services", "web", "environment", "A"),
        ("services", "web", "environment", "B"),
        ("services", "web", "environment", "SECRET"),
        ("services", "web", "image"),
    ]
    assert stack.unknowns["services", "web", "image"] == "it depends on SECRET, whose value is not known here"
    assert stack.model["services"]["web"]["environment"] | {"A": "", "B": "", "SECRET": ""} == {
        "A": "", "B": "", "C": "1", "D": "", "SECRET": ""
    }  # fmt: skip
    assert [(mark.line, name) for mark, name in stack.unset] == [(5, "NONE")]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("services: {web: {image: '${TAG:?say which}'}}", 1, "the variable TAG has no value: say which; set it under"),
        ("services:\n  web: {image: '${TAG'}", 2, "`${` is no variable; write `$$` for a dollar sign"),
        ("services:\n  web: {extends: {service: no}}", 2, "`web` extends `no`, and c.yaml has no such service"),
        ("services: {a: {extends: b},\n  b: {extends: a}}", 1, "`a` extends itself"),
    ],
)
def test_what_compose_refuses_is_a_problem_with_a_place(text: str, line: int, why: str, tmp_path: Path) -> None:
    stack = evaluated({"files": {"c.yaml": text}})
    assert why in stack.problems[0].why
    assert (stack.problems[0].mark.file, stack.problems[0].mark.line) == ("c.yaml", line)
    put(tmp_path, {"c.yaml": text.encode()})
    assert compose_reads(tmp_path, "c.yaml").returncode != 0


HUGE = {
    "a base that many extend": "x-l: &l ["
    + "a," * 2_000
    + "]\nservices:\n  base: {image: x, cap_add: *l}\n"
    + "".join(f"  s{n}: {{extends: {'base' if n == 0 else f's{n - 1}'}, cap_add: [b]}}\n" for n in range(90)),
    "variables without an end": "services: {web: {image: '" + "${a:-" * 90_000 + "'}}",
    "many variables": "services: {web: {command: [" + ("'" + "${A:-b}" * 90 + "',") * 900 + "]}}",
    "a variable that grows": "services: {web: {command: [" + ("'" + "${LONG}" * 90 + "',") * 900 + "]}}",
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_strangers_file_cannot_make_it_long(text: str) -> None:
    began = time.monotonic()
    stack = evaluated({"files": {"c.yaml": text}}, LONG="x" * 100_000)
    assert time.monotonic() - began < 10
    assert stack.unknowns or stack.problems or len(text) < 1_000_000
