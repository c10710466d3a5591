"""What env files become: variables of the service, and nothing of the host."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sandboxer.errors import ComposeRefused
from tests.unit.extensions.compose_ssh.test_compose_grammar import POLICY, run

# An env file, and what a service has of it where the sandbox has the variables OWN and SHELL.
ENV_FILES: list[tuple[str, dict[str, str]]] = [
    ("A=1\nexport B = two words # not this\n# C=3\n\nD=\nE='$x ${OWN}'\nF=\"a\\nb\"\n",
     {"A": "1", "B": "two words", "D": "", "E": "$$x own", "F": "a\nb"}),
    ("A=1\nB=${A}${A}\nC=${NONE}|${NONE:-x}|${A:-y}|${HOME}|$HOME\nA=2\n",
     {"A": "2", "B": "11", "C": "|x|1||$$HOME"}),
    ("OWN\nHOME\nPATH\nLC_ALL\nSSH_CONNECTION\nA=${PATH}${SSH_CONNECTION}\n", {"OWN": "own", "A": ""}),
    ("A='two\nlines'\nB=a#b\r\nC=it's\nD=\"x\" y\nE=1\n", {"A": "two\nlines", "B": "a#b", "C": "it's", "E": "1"}),
    ("\ufeffA=1\n'B'=2\n= x\n=\n", {"A": "1", "B": "2"}),
]  # fmt: skip


@pytest.mark.parametrize("podman", [False, True], ids=["docker", "podman"])
@pytest.mark.parametrize(("text", "becomes"), ENV_FILES, ids=lambda item: ascii(item)[:40])
def test_an_env_file_is_read_here_and_takes_nothing_of_the_host(
    text: str, becomes: dict[str, str], podman: bool
) -> None:
    policy = replace(POLICY, variables={"OWN": "own"}, read=lambda _: text.encode())
    service = run({"env_file": "web.env"}, podman=podman, policy=policy)["services"]["web"]
    assert service["environment"] == becomes
    assert "env_file" not in service


def test_the_last_env_file_counts_and_the_service_itself_before_all() -> None:
    files = {"web.env": b"A=1\nB=1\nC=1\n", "more.env": b"A=$x\nB=${C}\n"}
    service = {"env_file": ["web.env", {"path": "more.env", "format": "raw"}], "environment": ["A=3", "C"]}
    made = run(service, policy=replace(POLICY, read=files.__getitem__))["services"]["web"]
    assert made["environment"] == {"A": "3", "B": "$${C}", "C": "1"}


GROWING = "".join(f"a-{n + 1}=${{a-{n}}}${{a-{n}}}\n" for n in range(30))


@pytest.mark.parametrize(
    "text",
    [
        "*\n", "S*\n", "'*'\n", "--privileged\n", "a b\nA,B\n", "A*=1\n", "é=1\n",
        "a-0=0123456789\n" + GROWING,
        "A=" + "x" * 1000 + "\n" + "".join(f"B{n}=${{A}}\n" for n in range(100)),
        "A='" + "\\'" * 50_000, "${" * 100_000 + "=1\n", "A=" + "${" * 100_000,
        "A" + " " * 200_000 + "x", "A=x" + " " * 200_000 + "y",
    ],
    ids=lambda text: ascii(text)[:20],
)  # fmt: skip
def test_an_env_file_is_never_more_than_some_variables(text: str) -> None:
    began = time.monotonic()
    policy = replace(POLICY, read=lambda _: text.encode())
    try:
        shown = str(run({"env_file": "web.env"}, podman=True, policy=policy)["services"]["web"].get("environment", {}))
    except ComposeRefused as error:
        shown = error.message
    assert len(shown) < 2000
    assert "*" not in shown or "is not the name of a variable" in shown
    assert time.monotonic() - began < 5
