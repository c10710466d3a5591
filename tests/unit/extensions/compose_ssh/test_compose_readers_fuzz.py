"""Whatever our reader takes of a compose file, the real Composes see in it what our reader saw, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import podman_compose
import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.normal import normalise
from tests.support.readers import compose_reads, differences, model_of, put, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.extensions.compose_ssh.source import SourceReport

EXAMPLES = int(os.environ.get("SANDBOXER_READERS") or 40)
CANARY = "canary-beside-the-sandbox"
OUTSIDE = "../outside.env"

WORDS = st.sampled_from([
    "a", "web", "x", "./data:/data", "a.env", OUTSIDE, "/etc/shadow", "~", "null", "yes", "No", "true", "0o17", "017",
    "1_0", "0x1F", "1e3", ".inf", "22:22", "2001-01-01", "=", "<<", "-", "", " a ", "a: b", "a #b", "é", "🙂", "\u2028",
    "\x85", "\ufeff", "a\nb", "$$A", "${B:-c}", "'", '"', "\\", "%", "@", "`", "&a", "*a", "!x", "{a}", "[a]", "? a",
    "A=1",
])  # fmt: skip


def plain(text: str) -> bool:
    """Return whether a text may stand without quotes in flow style; a few that may not are tried all the same."""
    return (
        not set(text) & set("{}[],#&*!|>'\"%@`:\n\x85\u2028\ufeff") and text == text.strip() and text not in ("", "-")
    )


@st.composite
def scalars(draw: st.DrawFn, words: st.SearchStrategy[str] = WORDS, *, key: bool = False, alias: bool = True) -> str:
    """Return a scalar in one of YAML's many ways to write it."""
    text = draw(words)
    way = draw(st.sampled_from(["plain"] * 6 + ["single", "double", "hex", "binary", "str", "alias", "bare", "bang"]))
    if way == "plain" and plain(text):
        return text
    if way == "bare":
        return text.replace("\n", " ")
    if way == "hex":
        return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'
    if way == "binary":
        return "!!binary " + (base64.b64encode(text.encode()).decode() or '""')
    if way == "str":
        return f"!!str {text}"
    if way == "bang":
        return f"! {text}"
    if way == "alias" and alias:
        return "*s " if key else "*s"
    if way == "single" and "\n" not in text:
        return "'" + text.replace("'", "''") + "'"
    return yaml.safe_dump(text, default_style='"', allow_unicode=draw(st.booleans()), width=9999).strip()


def keys(*names: str) -> st.SearchStrategy[str]:
    """Return a key, now and then in quotes, or with a tag."""
    return scalars(st.sampled_from(names), key=True) | st.sampled_from(names)


def flow(entries: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"


def lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")


TAGS = st.sampled_from(["", "", "", "", "", "!reset ", "!override ", "!!map ", "!!omap ", "&m "])
MERGES = st.sampled_from(["*base", "[*base]", "[*more, *base]", "{tty: true}", "*s", "[]"])
MAPS = st.lists(st.tuples(keys("A", "B", "C", "yes", "1", "x-a"), scalars()), max_size=3).map(flow)
SERVICE_KEYS: dict[str, st.SearchStrategy[str]] = {
    "command": lists(scalars()) | scalars(),
    "environment": MAPS | lists(st.sampled_from(["A=1", "'B'", '"C=é"'])),
    "labels": MAPS,
    "env_file": lists(scalars(st.sampled_from(["a.env", OUTSIDE]))) | scalars(st.sampled_from(["a.env", OUTSIDE])),
    "hostname": scalars(),
    "volumes": lists(st.sampled_from(["./data:/data", "'v:/v'", "{type: bind, source: ., target: /x}"])),
    "user": scalars(),
    "tty": st.sampled_from(["true", "false", "yes", "!reset true", "'true'"]),
    "privileged": st.sampled_from(["true", "!reset true"]),
    "x-own": MAPS,
    "healthcheck": st.sampled_from(["{test: [CMD, a], interval: 1m30s, retries: 0x3}", "{disable: true}"]),
    "mem_limit": st.sampled_from(["1_000_000", "64m", "1e8"]),
    "build": st.sampled_from([".", "{context: app, args: {A: 1}}"]),
    "extends": st.sampled_from(["other", "{file: base.yaml, service: base}", "{file: ../outside.yaml, service: base}"]),
}


@st.composite
def services(draw: st.DrawFn, *, merges: bool = True) -> str:
    """A service whose keys are mostly known, some of them merged from elsewhere."""
    entries = [("image", draw(st.sampled_from(["x", "'x:1'", '"registry.example/x"'])))]
    names = draw(st.lists(st.sampled_from(sorted(SERVICE_KEYS)), max_size=4))
    entries += [(draw(keys(name)), draw(TAGS) + draw(SERVICE_KEYS[name])) for name in names]
    if merges and draw(st.booleans()):
        entries.append((draw(keys("<<")), draw(MERGES)))
    return flow(draw(st.permutations(entries)))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Return a compose file."""
    lines = [draw(st.sampled_from(["", "", "", "\ufeff", "%YAML 1.1\n---", "%YAML 1.2\n---", "# é"]))]
    lines.append(f"x-s: &s {draw(scalars(alias=False))}")
    lines.append(f"x-base: &base {draw(st.just('{user: 0o17}') | services(merges=False))}")
    lines.append("x-more: &more {<<: *base, hostname: more}")
    lines.append("services:")
    lines += [f"  {name}: {draw(services())}" for name in ("web", "other")]
    lines.append(draw(st.sampled_from(["volumes: {v: }", "volumes: {v: {}}", "volumes: {? v}"])))
    lines.append(draw(st.sampled_from(["", "", "", "---\nservices: {web: {tty: true}}", "...", "services: {}"])))
    return "\n".join(lines).strip("\n") + "\n"


FILES = {
    "a.env": "FROM_FILE=1\n",
    "base.yaml": "services: {base: {image: y, environment: {BASE: yes}, env_file: sub/b.env}}\n",
    "sub/b.env": "B=${FROM_FILE}\n",
}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Return a folder for files beside what nobody may read."""
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "outside.env").write_text(f"OUTSIDE={CANARY}\n")
        (Path(root) / "outside.yaml").write_text(f"services: {{base: {{image: y, environment: {{A: {CANARY}}}}}}}\n")
        yield Path(root) / "files"


def accepted(text: str, *, podman: bool) -> SourceReport | None:
    try:
        return read({"c.yaml": text, **FILES}, podman=podman)
    except ComposeRefused:
        event("refused")
        return None


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts())
def test_compose_sees_what_our_reader_saw_and_the_same_in_the_file_itself(text: str) -> None:
    report = accepted(text, podman=False)
    if report is None:
        return
    with folder() as root:
        put(root, report.opened)
        done = compose_reads(root, "c.yaml")
        assert CANARY.encode() not in done.stdout + done.stderr
        event(f"exit code {done.returncode}")
        if done.returncode != 0:
            return
        model = model_of(done.stdout, root)
        assert differences(report, copy.deepcopy(model), root) == []
        put(root, {"c.yaml": text.encode()} | {path: data.encode() for path, data in FILES.items()})
        first = compose_reads(root, "c.yaml")
        assert first.returncode != 0 or model_of(first.stdout, root) == model


@settings(max_examples=EXAMPLES * 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts())
def test_podman_compose_sees_what_our_reader_saw(text: str) -> None:
    report = accepted(text, podman=True)
    if report is None:
        return
    content = yaml.safe_load(report.opened["c.yaml"])  # it never fails, and there is no tag left
    assert CANARY not in str(content)
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):  # its own errors
        model: dict[str, Any] = podman_compose.rec_subs(podman_compose.normalize(content), {})
        model = normalise(podman_compose.normalize_final(model, "/r"), "/r", literal=True)
        assert differences(report, model, Path("/r")) == []


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
def test_the_texts_that_are_tried_are_often_taken(podman: bool) -> None:
    taken = []

    @settings(max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(text=texts())
    def count(text: str) -> None:
        taken.append(accepted(text, podman=podman) is not None)

    count()
    assert sum(taken) > len(taken) / 10
