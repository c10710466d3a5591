"""The host's half of a conversation, run here by a shell: whatever becomes of a request, the next one is read whole."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Self

import compose
import pytest
import yaml

from sandboxer.extensions.compose_ssh.directory import VERBS
from sandboxer.hosts.scripts import script
from tests.support.e2e import until

DOCKER_COMPOSE = Path(compose.__file__).parent / "docker-compose"
NONCE = "0" * 32
IDENTIFIER = "0badcafe"
# What a stranger's file may hold: a request of its own.
FORGED = b"put 2 4\nforged\n600\nevil\n"
BLOCK = 262144  # bytes that are read at once


def _talk(root: Path, *requests: tuple[str, tuple[str, ...], bytes]) -> list[tuple[int, bytes]]:
    """Return the answers to these requests (verb, arguments, payload), that of the lock left out."""
    sent = "".join(f"{line}\n" for line in (NONCE, root, "fleet", IDENTIFIER, 1, "somebody")).encode()
    for verb, arguments, payload in requests:
        lines = (f"{verb} {len(arguments)} {len(payload)}", *arguments)
        sent += "".join(f"{line}\n" for line in lines).encode() + payload + b"E\n"
    program = script("prelude.sh", "names.sh", "session.sh", *VERBS, "serve.sh")
    done = subprocess.run(
        ["sh", "-c", program],
        input=sent,
        capture_output=True,
        timeout=60,
        check=False,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(root)},
    )
    answers, rest = [], done.stdout
    while rest:
        head, _, rest = rest.partition(b"\n")
        mark, code, length = head.decode().split()
        assert mark == f"@{NONCE}"
        answers.append((int(code), rest[: int(length)]))
        rest = rest[int(length) :]
    return answers[1:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_a_file_is_put_whole(root: Path) -> None:
    content = bytes(range(256)) * 2000
    assert _talk(root, ("put", ("deep/file", "640"), content)) == [(0, b"")]
    file = root / "fleet" / IDENTIFIER / "deep/file"
    assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("size", [len(FORGED), 3 * BLOCK], ids=["small", "large"])
def test_a_payload_that_nobody_takes_is_never_read_as_a_request(root: Path, size: int) -> None:
    payload = (FORGED * (size // len(FORGED) + 1))[:size]
    answers = _talk(
        root,
        ("put", ("file", "600"), b"x"),
        ("put", ("file/below", "600"), payload),  # there is no folder of that name, so nothing is written
        ("show", ("file",), b""),
    )
    assert [code for code, _ in answers] == [0, 1, 0]
    assert b"directory" in answers[1][1].lower()
    assert answers[2][1] == b"x"
    assert not (root / "fleet" / IDENTIFIER / "forged").exists()


@pytest.mark.parametrize("size", [5000, 3 * BLOCK + 1], ids=["small", "large"])
def test_a_disk_that_is_full_takes_the_payload_all_the_same_and_is_named(root: Path, size: int) -> None:
    directory = root / "fleet" / IDENTIFIER
    root.mkdir(mode=0o700)
    directory.mkdir(parents=True)
    (directory / "full.new").symlink_to("/dev/full")
    (code, output), shown = _talk(root, ("put", ("full", "600"), b"\n" * size), ("show", ("full",), b""))
    assert (code, b"No space left on device" in output) == (1, True)
    assert shown[0] == 1
    assert not (directory / "full").exists()


def test_a_tree_that_comes_broken_leaves_nothing(root: Path) -> None:
    (code, _), _ = _talk(root, ("deliver", ("abc",), b"no tar" + FORGED * 30), ("show", ("record.json",), b""))
    assert code != 0
    assert list((root / "fleet" / IDENTIFIER / "workspace/tree").iterdir()) == []


def test_a_life_begins_with_its_record_its_events_and_its_request(root: Path) -> None:
    record, request = b'{"id":"0badcafe","phase":"requested"}\n', b'{"document":{"spec":"\xc3\xa9"}}\n'
    arguments = ("a" * 32, "new", "0", str(len(request)), "", '{"number":1}')
    assert _talk(root, ("begin", arguments, record + request)) == [(0, b"")]
    directory = root / "fleet" / IDENTIFIER
    assert sorted(path.name for path in directory.iterdir()) == ["asked.json", "journal.jsonl", "record.json"]
    assert (directory / "record.json").read_bytes() == record
    assert (directory / "asked.json").read_bytes() == request
    assert (directory / "asked.json").stat().st_mode & 0o777 == 0o600
    assert (directory / "journal.jsonl").read_text() == '{"number":1}\n'


def test_the_request_comes_back_with_a_record_that_was_lost(root: Path) -> None:
    record, request = b'{"id":"0badcafe"}\n', b"{}\n"
    directory = root / "fleet" / IDENTIFIER
    directory.mkdir(parents=True)
    root.chmod(0o700)
    arguments = ("a" * 32, "adopt", "0", str(len(request)), "", '{"number":1}')
    assert _talk(root, ("begin", arguments, record + request)) == [(0, b"")]
    assert ((directory / "record.json").read_bytes(), (directory / "asked.json").read_bytes()) == (record, request)
    assert [path.name for path in (root / "fleet").iterdir() if path.name.startswith(".staging")] == []


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("tool", [str(DOCKER_COMPOSE), "podman-compose"], ids=["docker", "podman"])
def test_a_compose_file_sees_no_variable_of_the_host(root: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HOME", "PATH", "LC_ALL", "DOCKER_HOST", "XDG_RUNTIME_DIR", "USER", "SECRET_OF_THE_HOST")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SECRET_OF_THE_HOST", "secret")
    directory = root / "fleet" / IDENTIFIER
    directory.mkdir(parents=True)
    root.chmod(0o700)
    shown = " ".join(f"{name}=${{{name}-none}}" for name in names)
    service = {"image": "x", "labels": {"seen": shown, "given": "${GIVEN}", "pwd": "${PWD}"}}
    compose = json.dumps({"services": {"web": service}}).encode()
    payload = _tar({"files/compose.yaml": compose, "variables": b"GIVEN='of the manifest'\n"})
    kind = "podman-compose" if tool == "podman-compose" else "docker-compose"
    arguments = (kind, tool, "sbx-x-01234567", ".", "-f", "compose.yaml", "config")
    ((code, output),) = _talk(root, ("render", arguments, payload))
    assert code == 0, output
    model = yaml.safe_load(output)
    seen = dict(item.split("=", 1) for item in model["services"]["web"]["labels"]["seen"].split(" "))
    assert seen == dict.fromkeys(names, "none")
    assert model["services"]["web"]["labels"]["given"] == "of the manifest"
    assert (
        model["services"]["web"]["labels"]["pwd"] == f"{directory}/.compose/files/."
    )  # as Compose has it: the sandbox's own folder


# --- every verb has an end

# What stands for a verb, in the place of one that the host has.
_STUBBORN = """
do_stubborn() { trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 1; done'; }
do_apart() { timeout 600 sh -c 'trap "" TERM; while :; do sleep 1; done'; }
do_behind() { sh -c 'trap "" TERM PIPE; while :; do sleep 1; done' & echo left; }
do_endless() { trap '' TERM PIPE; while :; do echo 0123456789012345678901234567890123456789; done; }
do_quiet() { sh -c 'trap "" TERM; head -c 5000000 /dev/zero | tr "\\\\0" x; exec >&-; while :; do sleep 1; done'; }
do_descriptor() { ls -l /proc/self/fd | grep -c "$lock"; }
do_well() { echo well; }
"""


@pytest.mark.parametrize("verb", ["stubborn", "apart"])
def test_a_verb_that_ignores_a_term_is_ended_and_the_session_continues(root: Path, verb: str) -> None:
    with _Talk(root, _STUBBORN) as talk:
        code, output = talk.ask(verb, seconds=1)
        assert (code, output) == (72, f"{verb} did not end within 1 s, and was ended".encode())
        until(lambda: talk.children() == [], "all of it is gone", seconds=5)
        assert talk.ask("well") == (0, b"well\n")


@pytest.mark.parametrize("verb", ["endless", "quiet"])
def test_a_verb_that_prints_too_much_is_ended(root: Path, verb: str) -> None:
    with _Talk(root, _STUBBORN) as talk:
        assert talk.ask(verb, seconds=120)[0] == 76
        until(lambda: talk.children() == [], "all of it is gone", seconds=5)
        assert talk.ask("well") == (0, b"well\n")


def test_what_a_verb_leaves_behind_ends_with_its_time(root: Path) -> None:
    """It holds the output open, so the answer waits for it, and not for long."""
    with _Talk(root, _STUBBORN) as talk:
        assert talk.ask("behind", seconds=1)[0] == 72
        until(lambda: talk.children() == [], "all of it is gone", seconds=5)


def test_no_command_of_a_verb_has_the_lock(root: Path) -> None:
    with _Talk(root, _STUBBORN) as talk:
        assert talk.ask("descriptor") == (1, b"0\n")


@pytest.mark.parametrize("payload", ["", "some bytes"])
@pytest.mark.parametrize("verb", ["stubborn", "apart"])
def test_a_client_that_is_gone_ends_all_of_it_and_the_lock(root: Path, verb: str, payload: str) -> None:
    with _Talk(root, _STUBBORN) as talk:
        talk.send(verb, 300, payload)
        until(lambda: len(talk.children()) > 2, "the verb runs")
        talk.process.stdin.close()  # type: ignore[union-attr]
        talk.process.wait(15)
        until(lambda: talk.children() == [], "all of it is gone", seconds=5)
        assert not (root / "fleet/.locks" / IDENTIFIER).exists()


def test_a_client_that_sends_nothing_is_gone(root: Path) -> None:
    """Its connection is still open: nothing shows the host that it is gone."""
    with _Talk(root, _STUBBORN, silence=2) as talk:
        talk.send("apart", 300)
        talk.process.wait(20)
        until(lambda: talk.children() == [], "all of it is gone", seconds=5)


@pytest.mark.parametrize("sent", ["", "put", "put 3 4 60\nof three argu", "put 1 4 60\nplace\n123"])
def test_a_client_that_is_cut_off_anywhere_in_a_request_is_gone(root: Path, sent: str) -> None:
    with _Talk(root, _STUBBORN, silence=2) as talk:
        talk.write(sent)
        talk.process.wait(20)


def test_arguments_come_as_they_were_sent(root: Path) -> None:
    arguments = ("", " two  words ", ".", "*", "back\\slash", "-n", "E", "")
    with _Talk(root, "do_say() { printf '[%s]' \"$@\"; }") as talk:
        talk.write("".join(f"{line}\n" for line in (f"say {len(arguments)} 0 20", *arguments)))
        assert talk.answer() == (0, "".join(f"[{argument}]" for argument in arguments).encode())


def test_a_client_that_lives_is_waited_for(root: Path) -> None:
    """What it says meanwhile is never taken for a request, even where its verb ends first."""
    with _Talk(root, _STUBBORN + "do_slow() { sleep 1; cat; }\n") as talk:
        for _ in range(3):
            talk.send("slow", 20, "payload")
            talk.write("\n" * 40)
            assert talk.answer() == (0, b"payload")
            talk.write("\n" * 40 + "E\n" + "\n" * 3)
        assert talk.ask("stubborn", seconds=1)[0] == 72
        assert talk.ask("well") == (0, b"well\n")


class _Talk:
    """A session that continues, with verbs of the test's own."""

    def __init__(self, root: Path, verbs: str, *, silence: int = 30) -> None:
        """``silence`` is for how many seconds a client may send nothing while a verb runs."""
        session = script("prelude.sh", "names.sh", "session.sh")
        assert all(
            session.count(f"timeout 30 {waits}") == 1 for waits in ("dd bs=1 count=1", 'sh -c "$read', 'dd bs="$part"')
        )
        texts = (
            session.replace("timeout 30", f"timeout {silence}"),
            verbs,
            script("serve.sh"),
        )
        self.process = subprocess.Popen(
            ["sh", "-c", "\n".join(texts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(root)},
        )
        self.write("".join(f"{line}\n" for line in (NONCE, root, "fleet", IDENTIFIER, 1, "somebody")))
        assert self.answer() == (0, b"")

    def send(self, verb: str, seconds: int, payload: str = "") -> None:
        self.write(f"{verb} 0 {len(payload)} {seconds}\n{payload}")

    def ask(self, verb: str, *, seconds: int = 20) -> tuple[int, bytes]:
        self.send(verb, seconds)
        self.write("\n\n")  # heartbeats
        answer = self.answer()
        self.write("E\n\n")
        return answer

    def children(self) -> list[str]:
        """Return what runs in its session beside itself, whoever started it."""
        listed = subprocess.run(
            ["ps", "-o", "stat=,pid=,args=", "-s", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
        own = ("IFS= read -r line", "dd bs=1 count=1")  # how it waits for the next request
        return [
            args
            for state, pid, args in lines
            if state[0] != "Z" and int(pid) != self.process.pid and not any(o in args for o in own)
        ]

    def write(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def answer(self) -> tuple[int, bytes]:
        assert self.process.stdout
        mark, code, length = self.process.stdout.readline().decode().split()
        assert mark == f"@{NONCE}"
        return int(code), self.process.stdout.read(int(length))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["pkill", "-KILL", "-s", str(self.process.pid)], check=False)
        self.process.wait()
        for end in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                end.close()  # type: ignore[union-attr]
