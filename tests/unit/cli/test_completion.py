"""What a shell is answered: names that are there, soon, and nothing at all where something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from sandboxer.cli.completion import _NAMED, PROGRAMS, SHELLS, Names, completes
from sandboxer.cli.main import COMMANDS, cli
from sandboxer.model.record import Service
from tests.support.e2e import until
from tests.support.journal_host import ONE, RECORD, JournalHost, document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(sys.executable).parent


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    """A fleet with one host, which is this machine, and a sandbox on it that git does not know."""
    host = JournalHost.create(tmp_path)
    repo = host.fleet()
    repo.write(
        "manifests/web.yaml",
        document("Sandbox", "git-web", "{profile: profile.web}").replace(
            "git-web", "git-web, labels: {team: a, odd: $HOME}"
        ),
    )
    repo.write("profiles/web.yaml", document("Profile", "profile.web", "{extension: ext.compose-ssh}"))
    repo.write("compose.yaml", "services: {web: {image: busybox}}\n")
    repo.commit()
    host.lives(ONE, "")
    yield host
    host.close()


def environment(**more: str) -> dict[str, str]:
    path = f"{FOLDER}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "PATH": path, **more}


def complete_slowly(folder: Path, line: str, program: str) -> list[str]:
    """Return the same with longer limits, which a busy machine can keep to."""
    code = (
        "import sys; from sandboxer.cli import completion; from sandboxer.__main__ import main; "
        f"completion.OBSERVE_SECONDS, completion.MOST_SECONDS = 6.0, 30.0; sys.argv = [{program!r}]; main()"
    )
    return complete(folder, line, program, command=(sys.executable, "-c", code))


def complete(
    folder: Path, line: str, program: str = "sandboxer", *, shell: str = "bash", command: tuple[str, ...] = ()
) -> list[str]:
    """Return what a shell is answered for a line whose last word is not finished."""
    variables = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        f"_{program}_COMPLETE".upper(): f"{shell}_complete",
    }
    done = subprocess.run(
        command or [FOLDER / program],
        env=environment(**variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def offered(answer: Callable[[Path, str, str], list[str]], folder: Path, line: str, program: str) -> list[str]:
    """Return the completions, with retries until there are some: a busy machine may be too slow."""
    words: list[str] = until(lambda: answer(folder, line, program), f"what {line!r} is completed to")
    return words


def in_bash(folder: Path, line: str, program: str) -> list[str]:
    """Return what a real bash offers for the line, with the script sourced as a person would."""
    script = (
        'source <(sandboxer completion bash); complete -p "$1" >/dev/null || exit 1\n'
        'COMP_LINE=$2; COMP_WORDS=($2); [[ $2 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n'
        '"$3" "$1"; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", program, line, f"_{program}_completion"],
        env=environment(), cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("program", PROGRAMS)
def test_names_of_sandboxes_come_from_the_hosts(host: JournalHost, program: str) -> None:
    folder = host.session.folder / "fleet"
    assert offered(complete, folder, f"{program} get ", program) == ["plain,web"]
    assert complete(folder, f"{program} get x", program=program) == []
    assert complete(folder, f"{program} destroy web ", program=program) == [], "it was given before"
    assert offered(in_bash, folder, f"{program} get w", program) == ["web"]
    assert offered(complete, folder, f"{program} cp w", program) == ["plain,web:"]
    assert complete(folder, f"{program} cp ./w", program=program) == ["file,./w"]
    elsewhere = f"{program} -C {folder} events "
    assert offered(complete, host.session.folder, elsewhere, program) == ["plain,web"]


def test_profiles_hosts_and_sandboxes_of_git_come_from_the_manifests(host: JournalHost) -> None:
    folder = host.session.folder / "fleet"
    assert complete(folder, "sandboxer create --profile ") == ["plain,profile.web"]
    assert complete(folder, "sandboxer list --host o") == ["plain,one"]
    assert complete(folder, "sandboxer doctor ") == ["plain,one"]
    assert complete(folder, "sandboxer doctor one ") == []
    assert complete(folder, "sandboxer render ") == ["plain,git-web"]
    assert complete(folder, "sandboxer plan --target ") == ["plain,git-web"]
    assert complete(folder / "manifests", "sandboxer plan --target ") == ["plain,git-web"]
    assert complete(folder, "sandboxer list -l te") == ["plain,team=a"]
    assert complete(folder, "sandboxer plan -l tier -l te") == ["plain,team=a"]
    assert in_bash(folder, "sandboxer create --profile ", "sandboxer") == ["profile.web"]
    assert complete(folder, "sandboxer create --profile ", shell="zsh") == ["plain", "profile.web", "ext.compose-ssh"]


def test_services_and_ports_come_from_the_record_of_the_sandbox(host: JournalHost) -> None:
    folder = host.session.folder / "fleet"
    services = {name: Service(config_hash="c", image_id="i", replicas=1) for name in ("db", "web", "worker")}
    ports = [{"name": "http", "service": "web", "port": 8080}, {"name": "sql", "service": "db", "port": 5432}]
    record = RECORD.model_copy(update={"services": services, "spec": {**RECORD.spec, "reachability": {"ports": ports}}})
    (host.directory() / "record.json").write_bytes(record.model_copy(update={"uid": ONE}).to_bytes())
    program = "sandboxer"
    assert offered(complete, folder, "sandboxer logs web --service w", program) == ["plain,web", "plain,worker"]
    assert offered(complete, folder, "sandboxer ssh web ", program) == ["plain,db", "plain,web", "plain,worker"]
    assert offered(complete, folder, "sandboxer forward web ", program) == ["plain,http", "plain,sql"]
    assert offered(complete, folder, "sandboxer forward web 80:h", program) == ["plain,80:http"]
    assert offered(complete, folder, f"sandboxer forward {record.id} --service d", program) == ["plain,db"]
    assert complete(folder, "sandboxer ssh other ") == []


def test_an_unreachable_host_keeps_no_name_of_another_back(host: JournalHost) -> None:
    folder = host.session.folder / "fleet"
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts a connection, and never answers
        spec = f"{{address: 127.0.0.1, port: {server.getsockname()[1]}, user: nobody}}"
        (folder / "manifests/offline.yaml").write_text(document("Host", "offline", spec))
        # The whole answer may take half of the minute that an observation of that host takes.
        assert offered(complete_slowly, folder, "sandboxer get ", "sandboxer") == ["plain,web"]


def test_an_error_completes_nothing(host: JournalHost) -> None:
    folder = host.session.folder / "fleet"
    for line in ("sandboxer get ", "sandboxer create --profile "):
        assert complete(host.session.folder, line) == [], "there is no fleet"
        assert complete(folder, f"sandboxer -C /nowhere {line.removeprefix('sandboxer ')}") == []
    (folder / "sandboxer.yaml").write_text("}{")
    assert complete(folder, "sandboxer get ") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_for_both_names(shell: str) -> None:
    done = subprocess.run([FOLDER / "sandboxer", "completion", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for program in PROGRAMS:
        assert f"_{program}_COMPLETE".upper() + f"={shell}_complete" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True, timeout=60)


@pytest.mark.parametrize("name", sorted(_NAMED.keys() & COMMANDS.keys()))
def test_each_command_that_takes_a_sandbox_has_it_completed(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    assert len(arguments) >= _NAMED[name]
    completes(command, name)
    assert all(isinstance(argument.type, Names) for argument in arguments[: _NAMED[name]])
