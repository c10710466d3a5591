"""A script states its parameters once: what a client sends is what the script reads, and nothing else can be sent."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import SandboxerError
from sandboxer.hosts import scripts
from sandboxer.hosts.escaping import command_lines
from sandboxer.hosts.scripts import host_command, parameters, script

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
MORE = 'parameters name last\nIFS= read -r line\nprintf "%s|" "$root" "$fleet" "$id" "$name" "$last" "$line"\n'


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let a package of the test have the scripts: two that state parameters, the second behind the first."""
    package = tmp_path / "own_scripts"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "first.sh").write_text("# parameters in a comment\nparameters root fleet id\n")
    (package / "more.sh").write_text(MORE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (script, parameters):
        monkeypatch.setattr(scripts, cached.__name__, cached.__wrapped__)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_each_value_is_in_the_variable_of_its_name_whatever_it_holds(shell: list[str]) -> None:
    names = ("prelude.sh", "own_scripts:first.sh", "own_scripts:more.sh")
    values = {"last": "", "root": " /a  b\\c ", "fleet": '$(x)`"', "id": "-n", "name": "*'é"}
    command = host_command(*names, **values, lines=["a line"])  # type: ignore[arg-type]
    done = subprocess.run(
        [*shell, "-c", command.script], input=command.stdin, capture_output=True, check=True, timeout=30
    )
    assert done.stdout.decode() == " /a  b\\c |$(x)`\"|-n|*'é||a line|"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"root": "/r", "fleet": "f", "id": "0badcafe"}, "present.sh gets no value of name"),
        (
            {"root": "/r", "fleet": "f", "id": "0badcafe", "name": "", "nonce": ""},
            "present.sh states no parameter nonce",
        ),
    ],
)
def test_values_are_those_of_the_parameters(values: dict[str, str], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        host_command("prelude.sh", "names.sh", "present.sh", **values)  # type: ignore[arg-type]


def test_no_value_and_no_line_can_pass_for_two() -> None:
    with pytest.raises(SandboxerError, match=r"present\.sh holds a line break"):
        host_command("prelude.sh", "names.sh", "present.sh", root="/r\n/s", fleet="f", id="0badcafe", name="")
    with pytest.raises(SandboxerError, match=r"contents\.sh holds a line break"):
        host_command("prelude.sh", "contents.sh", nonce="0", root="/r", fleet="f", lines=["0badcafe\nx"])


@pytest.mark.parametrize(
    ("backend", "values"),
    [
        ("sandboxer.extensions.compose_ssh:shell.sh", {"engine": "", "id": "", "folder": ".", "fresh": "x"}),
        (
            "sandboxer.extensions.dir_ssh:exec.sh",
            {"directory": ".", "uid": "u", **dict.fromkeys(("seconds", "cpu", "memory", "blocks", "open"), "-")},
        ),
    ],
)
def test_a_program_of_the_users_own_gets_the_locale_of_the_login(
    tmp_path: Path, backend: str, values: dict[str, str]
) -> None:
    (tmp_path / "work").mkdir()
    lines = command_lines(["sh", "-c", 'echo "${LC_ALL-none}"'], None)
    command = host_command("prelude.sh", backend, "command.sh", **values, lines=lines)  # type: ignore[arg-type]

    def printed(**environment: str) -> str:
        return subprocess.run(
            ["sh", "-c", command.script],
            input=command.stdin,
            env={"PATH": "/usr/bin:/bin", **environment},
            cwd=tmp_path,
            stdout=-1,
            check=True,
            timeout=30,
        ).stdout.decode()

    assert (printed(), printed(LC_ALL="de_DE.UTF-8")) == ("none\n", "de_DE.UTF-8\n")
