"""Two readers, one meaning: what the two readers of a compose file could read differently is refused, or normalized."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh import env_files
from sandboxer.extensions.compose_ssh.plain_form import Budget, plain_form
from sandboxer.extensions.compose_ssh.plain_yaml import documents
from sandboxer.extensions.compose_ssh.render import moved, packed
from sandboxer.extensions.compose_ssh.tags import carried_out
from sandboxer.hosts.scripts import script
from tests.support.readers import compose_reads, differences, model_of, put, read

HOSTILE = Path(__file__).parents[3] / "cases" / "hostile"
WEB = "services:\n  web:\n    image: x\n"

REFUSED = {
    "binary-key": (WEB + "    !!binary ZW52X2ZpbGU=: [/etc/shadow]\n", "a key that is not plain text"),
    "binary-top-key": ("!!binary aW5jbHVkZQ==: [x.yaml]\n" + WEB, "a key that is not plain text"),
    "binary-value": (WEB + "    env_file: !!binary L2V0Yy9zaGFkb3c=\n", "the tag tag:yaml.org,2002:binary"),
    "str-key": (WEB + "    !!str env_file: [/etc/shadow]\n", "a key that is not plain text"),
    "str-value": (WEB + "    env_file: !!str a.env\n", "the tag tag:yaml.org,2002:str"),
    "bang-key": (WEB + "    ! env_file : [a.env]\n", "a key that is not plain text"),
    "bang-value": (WEB + "    env_file: ! a.env\n", "the tag !;"),
    "verbatim-tag": (WEB + "    env_file: !<tag:yaml.org,2002:str> a.env\n", "the tag tag:yaml.org,2002:str"),
    "tag-directive": ("%TAG !e! tag:yaml.org,2002:\n---\n" + WEB + "    user: !e!binary MA==\n", "a %TAG directive"),
    "reset-by-directive": ("%TAG ! tag:x,2000:\n---\n" + WEB + "    user: !reset x\n", "a %TAG directive"),
    "merge-tag": (WEB + "    !!merge <<: {env_file: /etc/shadow}\n", "a key that is not plain text"),
    "set": ("services: !!set {web}\n", "the tag tag:yaml.org,2002:set"),
    "omap": ("services: !!omap [web: {image: x}]\n", "the tag tag:yaml.org,2002:omap"),
    "python": (WEB + "    user: !!python/object/apply:os.system [id]\n", "the tag tag:yaml.org,2002:python"),
    "unknown-tag": (WEB + "    user: !env root\n", "the tag !env"),
    "reset-key": (WEB + "    !reset env_file: [a]\n", "a key that is not plain text"),
    "reset-in-a-list": (WEB + "    volumes: [!reset ./a:/b]\n", "!reset in a list"),
    "reset-document": ("!reset\n" + WEB, "!reset on a whole document"),
    "reset-merge": (WEB + "    <<: !reset {a: b}\n", "`<<` takes a mapping"),
    "reset-by-alias-in-a-list": (WEB + "    a: &a !reset b\n    c: [*a]\n", "!reset in a list"),
    "list-key": (WEB + "    ? [env_file]\n    : [/etc/shadow]\n", "a key that is not plain text"),
    "mapping-key": (WEB + "    ? {env_file: x}\n    : y\n", "a key that is not plain text"),
    "alias-key": ("x-k: &k env_file\n" + WEB + "    *k : /etc/shadow\n", "a key that is not plain text"),
    "null-key": (WEB + "    environment: {~: x}\n", "is not a string to Compose"),
    "empty-key": (WEB + "    environment: {? : x}\n", "is not a string to Compose"),
    "number-key": (WEB + "    environment: {1: x}\n", "is not a string to Compose"),
    "octal-key": (WEB + "    environment: {0o17: x}\n", "is not a string to Compose"),
    "infinite-key": (WEB + "    environment: {.inf: x}\n", "is not a string to Compose"),
    "true-key": (WEB + "    environment: {True: x}\n", "is not a string to Compose"),
    "date-key": (WEB + "    environment: {2001-01-01: x}\n", "is not a string to Compose"),
    "key-twice": (WEB + "    env_file: a\n    env_file: b\n", "duplicate key `env_file`"),
    "key-twice-by-quotes": (WEB + '    env_file: a\n    "env_file": b\n', "duplicate key `env_file`"),
    "key-twice-by-escape": (WEB + '    env_file: a\n    "\\x65nv_file": b\n', "duplicate key `env_file`"),
    "merge-twice": (WEB + "    <<: {a: b}\n    <<: {env_file: /etc/shadow}\n", "duplicate key `<<`"),
    "merge-quoted": (WEB + '    "<<": {env_file: /etc/shadow}\n', '"<<" in quotes'),
    "merge-text": (WEB + "    <<: text\n", "`<<` takes a mapping"),
    "merge-null": (WEB + "    <<:\n", "`<<` takes a mapping"),
    "merge-deep-list": (WEB + "    <<: [[{env_file: /etc/shadow}]]\n", "`<<` takes a mapping"),
    "alias-first": (WEB + "    <<: *h\nx-h: &h {privileged: true}\n", "has no anchor before it"),
    "alias-of-another-document": ("x-a: &a {b: c}\n---\n" + WEB + "    <<: *a\n", "has no anchor before it"),
    "alias-in-itself": (WEB + "    environment: &e {A: *e}\n", "recursive alias"),
    "merge-in-itself": (WEB + "    environment: &e {<<: *e}\n", "recursive alias"),
    "utf-16": ((WEB + "    env_file: /etc/shadow\n").encode("utf-16"), "is not UTF-8"),
    "utf-16-be": ((WEB + "    user: x\n").encode("utf-16-be"), "cannot be read"),
    "latin-1": (WEB.encode() + b"    user: \xe9\n", "is not UTF-8"),
    "nul": (WEB + '    user: "a\\0b"\n', "a NUL character"),
    "surrogate": (WEB + '    user: "\\ud800"\n', "cannot be read"),
    "control": (WEB + "    user: \x07\n", "cannot be read"),
    "long-key": (WEB + f"    environment: {{{'K' * 600}: x}}\n", "a key of more than 500 characters"),
    "deep": (WEB + "    a: " + "[" * 5_000, "nested deeper than 64"),
    "deep-by-aliases": (
        "x-0: &a0 [x]\n" + "".join(f"x-{n}: &a{n} [[[*a{n - 1}]]]\n" for n in range(1, 30)) + WEB + "    x: *a29\n",
        "nested deeper than 64",
    ),
    "documents": ("---\n{}\n" * 200, "more than 100 documents"),
    "aliases": ("x-a: &a b\nx-c: [" + "*a," * 2_000 + "]\n" + WEB, "more than 1000 aliases"),
    "values": ("x-a: [" + "a," * 150_000 + "]\n" + WEB, "more than 100000 values"),
    "laughs-in-environment": (
        "x-0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"x-{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
        + WEB
        + "    environment: *a9\n",
        "once its aliases are written out",
    ),
    "laughs-in-services": (
        "services:\n  a0: &a0 {image: x, command: [x,x,x,x,x,x,x,x,x,x]}\n"
        + "".join(
            f"  a{n}: &a{n} {{image: x, labels: {{{', '.join(f'k{m}: *a{n - 1}' for m in range(10))}}}}}\n"
            for n in range(1, 10)
        ),
        "once its aliases are written out",
    ),
    "large-by-aliases": (
        "x-a: &a '" + "x" * 100_000 + "'\n" + WEB + "    command: [" + "*a," * 900 + "]\n",
        "once its aliases are written out",
    ),
    "merges": (
        "x-a: &a {" + ",".join(f"k{n}: v" for n in range(1_000)) + "}\n" + WEB + "    <<: [" + "*a," * 900 + "]\n",
        "more than 100000 values",
    ),
    "yaml-binary-extends": ((HOSTILE / "yaml-binary-extends.yaml").read_text(), "a key that is not plain text"),
    "yaml-binary-include": ((HOSTILE / "yaml-binary-include-git.yaml").read_text(), "a key that is not plain text"),
    "yaml-binary-env": ((HOSTILE / "yaml-binary-key-envfile.yaml").read_text(), "a key that is not plain text"),
    "priv-merge": ((HOSTILE / "priv-merge.yaml").read_text(), "has no anchor before it"),
    "anothers-compose-file": (WEB + "    extends: {file: ../../1f2e3d4c/compose.json, service: db}\n", "outside"),
    "two-contents": (WEB + "    env_file: c.yaml\n", "as both a compose file and another file"),
}


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_two_readers_could_read_otherwise_is_refused_soon(text: str | bytes, why: str, podman: bool) -> None:
    began = time.monotonic()
    with pytest.raises(ComposeRefused) as caught:
        read({"c.yaml": text}, podman=podman)
    assert why in caught.value.message
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize("name", ["yaml-spin", "priv-reset-trick"])
def test_what_is_harmless_is_the_same_to_both(name: str, podman: bool, tmp_path: Path) -> None:
    began = time.monotonic()
    report = read({"c.yaml": (HOSTILE / f"{name}.yaml").read_bytes()}, podman=podman)
    assert time.monotonic() - began < 2
    assert len(report.opened["c.yaml"]) < 300
    put(tmp_path, report.opened)
    result = compose_reads(tmp_path, "c.yaml", podman=podman)
    assert result.returncode == 0, result.stderr.decode()
    model = model_of(result.stdout, tmp_path, podman=podman)
    assert {key for key, value in model["services"]["web"].items() if value is not None} <= {
        "image", "command", "networks"
    }  # fmt: skip
    assert differences(report, model, tmp_path) == []


# Each as Compose reads it without quotes, which must not change.
VALUES = [
    "0o17", "017", "1_000", "0x1F", "0b11", "1e3", "1.", ".5", "+1", "-0", "09", "0_7", "1_0.5", ".inf", "-.Inf",
    ".nan", "12345678901234567890", "1e400", "0x", "0b", "_1", "1__0", "._5", "~", "null", "Null", "nuLL", "true",
    "True", "tRue", "yes", "No", "on", "OFF", "y", "n", "=", "<<", "22:22", "190:20:30", "1:30.5", ".", "a#b",
    "a.b/c:1.2@x", "é", "🙂", "'yes'", '"1"', '"\\x41\\u00e9\\U0001F642\\L\\N\\_\\e\\t"', "|\n  a\n  b",
    ">-\n  a\n  b", "'it''s'", "${A}x", "$$A",
]  # fmt: skip


def test_every_scalar_is_read_as_compose_reads_it(tmp_path: Path) -> None:
    lines = [f"      K{number}: {value}".replace("\n", "\n      ") for number, value in enumerate(VALUES)]
    text = WEB + "    environment:\n" + "\n".join(lines) + "\n"
    put(tmp_path, {"c.yaml": text.encode()})
    first = compose_reads(tmp_path, "c.yaml")
    assert first.returncode == 0, first.stderr.decode()
    put(tmp_path, read({"c.yaml": text}).opened)
    second = compose_reads(tmp_path, "c.yaml")
    assert second.returncode == 0, second.stderr.decode()
    expected, found = (json.loads(one.stdout)["services"]["web"]["environment"] for one in (first, second))
    assert {f"{VALUES[int(key[1:])]}: {value}" for key, value in found.items()} == {
        f"{VALUES[int(key[1:])]}: {value}" for key, value in expected.items()
    }


def test_the_plain_form_is_ascii_with_quoted_keys_and_nothing_of_yaml_that_has_two_meanings() -> None:
    text = "x-a: &a {b: yes}\nservices: {<<: {web: &w {x-c: 1, <<: [{image: x}, {image: y}], é: [1, '1', ~]}}, b: *w}\n"
    form = plain_form(documents(text.encode()), Budget())
    web = '{ "image": "x", "\\u00e9": [ 1, "1", null]}'
    assert " ".join(form.decode("ascii").split()) == f'--- {{ "services": {{ "web": {web}, "b": {web}}}}}'
    assert yaml.safe_load(form)["services"]["b"] == {"image": "x", "é": [1, "1", None]}


def test_a_name_of_the_users_own_may_begin_with_x() -> None:
    text = (
        WEB + "    environment: {x-a: 1}\n    labels: {x-b: 2}\n    x-c: 3\n    logging: {x-d: 4, options: {x-e: 5}}\n"
    )
    (document,) = yaml.safe_load_all(read({"c.yaml": text}).opened["c.yaml"])
    assert document["services"]["web"] == {
        "image": "x",
        "environment": {"x-a": 1},
        "labels": {"x-b": 2},
        "logging": {"options": {"x-e": 5}},
    }


MERGED = [
    (["{s: {a: [1], b: 2}}", "{s: {a: !reset null}}"], [{"s": {"b": "2"}}, {"s": {}}]),
    (["{s: {a: [1], b: 2}}", "{s: {a: !override [3]}}"], [{"s": {"b": "2"}}, {"s": {"a": ["3"]}}]),
    (["{s: {a: !reset 1}}", "{s: {a: 2}}"], [{"s": {}}, {"s": {"a": "2"}}]),
    (["{s: {a: !override {b: !reset x, c: d}}}"], [{"s": {"a": {"c": "d"}}}]),
    (["{s: {a: 1}}", "{s: !reset null}"], [{}, {}]),
]


@pytest.mark.parametrize(("texts", "plain"), MERGED, ids=[str(number) for number in range(len(MERGED))])
def test_tags_are_carried_out_for_a_compose_that_has_other_ways_with_them(texts: list[str], plain: list[Any]) -> None:
    assert carried_out(documents(text.encode())[0] for text in texts) == plain


def test_a_tag_means_the_same_to_both_composes(tmp_path: Path) -> None:
    files = {
        "a.yaml": "services: {web: {image: x, user: '1', environment: {A: '1', B: '2'}, dns: [1.1.1.1], tty: true}}",
        "b.yaml": "services: {web: {environment: {A: !reset null}, dns: !override [2.2.2.2], tty: !reset false}}",
    }
    models = []
    for podman in (False, True):
        put(tmp_path, read(files, *files, podman=podman).opened)
        result = compose_reads(tmp_path, *files, podman=podman)
        assert result.returncode == 0, result.stderr.decode()
        model = model_of(result.stdout, tmp_path, podman=podman)["services"]["web"]
        models.append({key: model.get(key) for key in ("image", "user", "environment", "dns", "tty")})
    assert models[0] == models[1]
    assert models[0] == {"image": "x", "user": "1", "environment": {"B": "2"}, "dns": ["2.2.2.2"], "tty": None}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A=1\n" + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 40)).replace("$A0", "$A"), None),
        ("A=xx\n" + "A=${A}${A}\n" * 40, "filled in"),
        ("A=xx\n" + "B='\nA=$A$A\n'\nC=$A$A\nA=$C$B\n" * 30, "filled in"),
        ("A=\x00", "NUL"),
        (b"A=\xff", "is not UTF-8"),
        ("A=" + "x" * 300_000, "the limit is"),
        ("\n" * 6_000, "lines"),
    ],
    ids=["doubling", "itself", "over-lines", "nul", "latin", "size", "lines"],
)
def test_an_env_file_that_would_come_to_much_is_refused(text: str | bytes, why: str | None) -> None:
    with pytest.raises(ComposeRefused) as caught:
        read({"c.yaml": WEB + "    env_file: a.env\n", "a.env": text})
    assert (why or "filled in") in caught.value.message


def test_an_everyday_env_file_is_fine() -> None:
    env_files.check(b"HOST=db\nURL=postgres://${HOST}:5432/$DB\nexport KEY='-----BEGIN\nabc\n-----END'\n" * 20)


OTHERWISE: list[tuple[dict[str, Any], str]] = [
    ({"services": {"web": {"env_file": [{"path": "/r/x.env"}]}}}, "services.web.env_file"),
    ({"services": {"db": {"image": "x"}}}, "services.db"),
    ({"services": {"web": {"image": "y"}}}, "services.web.image"),
    ({"services": {"web": {"privileged": True}}}, "services.web.privileged"),
    ({"services": {"web": {"volumes": [{"type": "bind", "source": "/etc", "target": "/m"}]}}}, "services.web.volumes"),
    ({"services": {"web": {"volumes": [{"type": "bind", "source": "/r/other"}]}}}, "services.web.volumes"),
    ({"services": {"web": {"build": {"context": "/"}}}}, "services.web.build"),
    ({"services": {"web": {"image": "x"}}, "include": ["x"]}, "include"),
    ({"services": {}, "secrets": {"s": {"file": "/etc/shadow"}}}, "secrets.s.file"),
    ({"services": {}, "configs": {"c": {"file": "/etc/shadow"}}}, "configs.c"),
    ({"services": {}, "networks": {"default": {"name": "p_default"}, "n": {"name": "host"}}}, "networks.n"),
    ({"services": {}, "volumes": {"v": {"name": "another"}}}, "volumes.v.name"),
    ({"services": {}, "volumes": {"v": {"driver_opts": {"device": "/"}}}}, "volumes.v.driver_opts"),
]


@pytest.mark.parametrize(("model", "where"), OTHERWISE, ids=[where for _, where in OTHERWISE])
def test_what_only_composes_output_has_is_refused_by_name(model: dict[str, Any], where: str) -> None:
    text = WEB + "    volumes: [./data:/data, v:/v]\n    build: app\nvolumes: {v: {}}\nsecrets: {s: {file: ./s}}\n"
    (found, *more) = differences(read({"c.yaml": text}), model, Path("/r"))
    assert found == f"{where}: Compose reads this file differently; write it in the plain long form"
    assert not more


def test_compose_gets_a_folder_of_files_and_nothing_else() -> None:
    files = {
        "e2e/c.yaml": "include: [{path: link/i.yaml, project_directory: own}]\n" + WEB + "    env_file: link/a.env\n",
        "e2e/link": "-> ../real",
        "real/i.yaml": "services: {two: {image: x, env_file: two.env}}",
        "real/a.env": "A=1",
        "e2e/own/two.env": "B=2",
        "e2e/other": "not opened",
    }
    with tarfile.open(fileobj=io.BytesIO(packed(read(files), b"V=1\n"))) as tar:
        members = {member.name: member for member in tar}
        assert {name for name, member in members.items() if member.isfile()} == {
            "variables", "files/e2e/c.yaml", "files/e2e/link/i.yaml", "files/e2e/link/a.env", "files/e2e/own/two.env"
        }  # fmt: skip
        assert all(member.isfile() or member.isdir() for member in members.values())
        assert {stat.S_IMODE(member.mode) for member in members.values()} == {0o600, 0o700}


def test_a_path_in_that_folder_is_one_of_the_delivered_tree() -> None:
    value = {
        "a": ["/r$x/.compose/files/b", "/r$$x/.compose/files", "/r$x/.compose/files2", 1, "see /r$x/.compose/files"]
    }
    assert moved(value, "/r$x/.compose/files", "/r$x/tree") == {
        "a": ["/r$$x/tree/b", "/r$$x/tree", "/r$x/.compose/files2", 1, "see /r$x/.compose/files"]
    }


def confined(folder: Path, command: str, *, seconds: int = 30) -> tuple[int, str, str]:
    """Return the exit code, the output and the way of a command that is run as a Compose is."""
    text = f"{script('sandboxer.extensions.compose_ssh:confine.sh')}\nmost_seconds={seconds}\n"
    text += 'confined "$1" "$1/files" "" sh -c "$2"; code=$?; echo; echo "$code $way"'
    (folder / "box/files").mkdir(parents=True)
    done = subprocess.run(
        ["sh", "-c", text, "sh", folder / "box", command], capture_output=True, text=True, timeout=60, check=True
    )
    output, _, last = done.stdout.rstrip("\n").rpartition("\n")
    code, _, way = last.partition(" ")
    assert not (folder / "box.root").exists()
    return int(code), output, way.strip()


def test_a_confined_command_sees_programs_and_one_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    code, output, way = confined(
        tmp_path, f"pwd; ls / /proc; cat {tmp_path}/secret /etc/shadow; ls -A /root /home /run /var"
    )
    assert f"{tmp_path}/box/files" in output
    if way:  # this machine lets us
        assert "secret" not in output
        assert code != 0
        assert {"home", "var", "run", ".bashrc", ".ssh"}.isdisjoint(output.split())
        assert "lo:" in confined(tmp_path / "net", "cat /proc/net/dev")[1]
        assert confined(tmp_path / "net2", "grep -c : /proc/net/dev")[1].strip() == "1"


def test_a_command_that_ignores_its_end_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    code, _, _ = confined(tmp_path, "trap '' TERM; while :; do :; done", seconds=1)
    assert code in (124, 137, 152)
    assert time.monotonic() - began < 10
