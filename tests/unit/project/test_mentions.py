"""Every command, option, key, variable, file and address that a message, a help text or a page names exists."""

from __future__ import annotations

from functools import cache
from itertools import chain

import pytest

from tests.support.fleet import ROOT
from tests.support.mentions import CHECKS, faults
from tests.support.mentions.texts import Text, all_files, file_texts


@cache
def texts() -> tuple[Text, ...]:
    """Return every text of the repository that a person may read."""
    return tuple(chain.from_iterable(map(file_texts, all_files())))


@pytest.mark.parametrize("kind", CHECKS)
def test_what_a_text_names_exists(kind: str) -> None:
    found = [f"{text.location}: {fault}" for text in texts() for fault in CHECKS[kind](text)]
    assert found == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("docs/reference.md", "| `workspace.files` |"),
        ("INTENT.md", "# "),
        ("CHANGELOG.md", "Saved plans: `plan --out FILE`"),
        ("extensions/README.md", "wise-validator"),
        ("docs/runbooks/profile-compose-e2e.md", "sandbox"),
        ("sandboxer/cli/apply.py", "Make the hosts match git"),
        ("sandboxer/cli/main.py", "The format of standard error."),
        ("sandboxer/hub/app.py", "The `next` of the previous page."),
        ("sandboxer/hosts/session.sh", "client"),
        ("sandboxer/hub/page/app.js", "sandboxes"),
        ("Makefile", "Show this help"),
    ],
)
def test_the_texts_of_each_kind_of_file_are_walked(path: str, words: str) -> None:
    assert any(text.path == path and words in text.words for text in texts())


def faults_of(words: str, path: str = "sandboxer/model/plan.py", shell: tuple[str, ...] = ()) -> list[str]:
    """Return the faults of one text, without its place."""
    return [fault.partition(": ")[2] for fault in faults(Text(path, 1, words, shell))]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("run `sandboxer plam`", "commands: `sandboxer plam`: no such command: plam"),
        ("run `sandbox hub sreve`", "commands: `sandbox hub sreve`: no such command: sreve"),
        ("see ``sandboxer nothing --help``", "commands: `sandboxer nothing --help`: no such command: nothing"),
        ("`sandboxer list --deep`", "commands: `sandboxer list --deep`: list has no option --deep"),
        ("`sandboxer plan -o xml`", "commands: `sandboxer plan -o xml`: -o of plan takes no xml"),
        (
            "`sandboxer --log-format xml plan`",
            "commands: `sandboxer --log-format xml plan`: --log-format of cli takes no xml",
        ),
        ("plan again: sandboxer plan --outp FILE", "commands: `sandboxer plan --outp FILE`: plan has no option --outp"),
        ("Show.\n\n      sandboxer get web --al   all", "commands: `sandboxer get web --al`: get has no option --al"),
        ("run `make demonstration`", "commands: `make demonstration`: no such target: demonstration"),
        ("run make lab-upp", "commands: `make lab-upp`: no such target: lab-upp"),
        ("run .venv/bin/python -m scripts.filds", "commands: no such module: scripts.filds"),
        ("give `--targt` twice", "options: no such option: --targt"),
        ("without --targt, all of them", "options: no such option: --targt"),
        ("with `-Q FILE`", "options: no such option: -Q"),
        ("set `spec.ttl.maxi`", "manifest keys: no such key: spec.ttl.maxi"),
        ("Profile.spec.guards is not there", "manifest keys: no such key: Profile.spec.guards"),
        ("set `placement.hots`", "manifest keys: no such key: placement.hots"),
        ("set SANDBOXER_LOG_FORM", "variables: nothing reads SANDBOXER_LOG_FORM"),
        ("see `docs/referenze.md`", "files: no such file: docs/referenze.md"),
        ("see docs/referenze.md#locks", "files: no such file: docs/referenze.md"),
        ("the host's recrod.json is damaged", "files: no such file: recrod.json"),
        ("in `recrod.json`", "files: no such file: recrod.json"),
        ("GET /v1/sandbox", "addresses: no such address: GET /v1/sandbox"),
        ("`DELETE /v1/plan`", "addresses: no such address: DELETE /v1/plan"),
        ("at /v1/sandboxes/{ref}/lgos", "addresses: no such address: /v1/sandboxes/{ref}/lgos"),
        ("`/evnts` has them", "addresses: no such address: /evnts"),
        ("`/metric`", "addresses: no such address: /metric"),
    ],
)
def test_what_does_not_exist_is_found(words: str, fault: str) -> None:
    assert faults_of(words) == [fault]


def test_a_line_of_a_shell_example_is_read_as_a_command() -> None:
    assert faults_of("", "docs/api.md", ("sandboxer hub sreve",)) != []
    assert faults_of("", "docs/api.md", ('curl "$SANDBOXER_URL/v1/sandboxs"',)) != []


def test_an_option_is_one_of_the_commands_of_its_module() -> None:
    assert faults_of("with --follow, it goes on", "sandboxer/cli/logs.py") == []
    assert faults_of("with --follow, it goes on", "sandboxer/cli/plan.py") == ["options: no such option: --follow"]
    assert faults_of("it needs -y", "sandboxer/cli/apply.py") == []
    assert faults_of("it needs -y", "sandboxer/cli/listing.py") == ["options: no such option: -y"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("`sandboxer plam`", "commands: `sandboxer plam`: no such command: plam"),
        ("`plam --out FILE`", "changes: `plam --out FILE`: no such command: plam"),
        ("`plan --deep`", "changes: `plan --deep`: plan has no option --deep"),
        ("`hub sreve`", "changes: `hub sreve`: no such command: sreve"),
        ("`recrate`, `destroy`", "changes: `recrate`: nothing is called recrate"),
        ("`Client.liste`", "changes: `Client.liste`: nothing is called liste"),
        ("`HostNotSean` is raised", "changes: `HostNotSean`: nothing is called HostNotSean"),
        ("`handle.to_yson()`", "changes: `handle.to_yson()`: nothing is called to_yson"),
    ],
)
def test_the_changelog_names_commands_without_their_program(words: str, fault: str) -> None:
    assert faults_of(words, "CHANGELOG.md") == [fault]


def test_only_the_unreleased_part_of_the_changelog_is_walked_without_former_names() -> None:
    page = ROOT / "CHANGELOG.md"
    assert "## [0." in page.read_text(encoding="utf-8")
    (text,) = file_texts(page)
    assert "[0." not in text.words
    assert "`HostNotSeen`" in page.read_text(encoding="utf-8")
    assert "HostNotSeen" not in text.words


@pytest.mark.parametrize(
    "words",
    [
        "`sandboxer COMMAND --help`, `sandboxer -C DIR plan|apply --target NAME`, `sandboxer hub`",
        "run `sandboxer destroy VALUE` on VALUE",
        "a sandbox may have either; sandboxer is not queried",
        "run git config --global --add safe.directory VALUE",
        "`git clone` without --shared; `docker compose up --no-such-thing`",
        "`metadata.labels.anything`, `Fleet.spec.guards`, `metadata.name`, `compose.yaml`, `network.egress`",
        "`/tmp`, `/etc/subuid`, `GET /v1/sandboxes/web`, `/v1`, `/healthz`, https://collector.example/v1/traces",
        "`record.json`, `plan_text.py`, `render/`, `adapters/ssh*.py`, docs/hub.md#metrics",
    ],
)
def test_what_exists_or_is_another_programs_is_let_pass(words: str) -> None:
    assert faults_of(words) == []
