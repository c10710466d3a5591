"""``sandboxer hub flush`` and ``sandboxer hub serve`` together, with this machine as the host."""

from __future__ import annotations

import gc
import json
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.gitrepo import GitRepo
from tests.support.hubs import HANGS, TAKES, TOKEN, Answer, LyingHub, ServedHub, says
from tests.support.journal_host import ONE, TWO, JournalHost, life, lines
from tests.support.local_hosts import ID
from tests.support.program import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = "apiVersion: sandboxer.dev/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n"
SETTINGS = "{stateHub: {url: '${STATE_HUB_URL}', token: env:STATE_HUB_TOKEN}}"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    """A host with a sandbox, and what another one left."""
    host = JournalHost.create(tmp_path)
    repo = GitRepo.create(tmp_path / "fleet")
    repo.write("sandboxer.yaml", HEAD.format("Fleet", "acme", SETTINGS))
    root = json.dumps(str(host.session.root("one")))
    repo.write("manifests/one.yaml", HEAD.format("Host", "one", f"{{connection: local, root: {root}}}"))
    repo.commit()
    host.lives(ONE, lines(life(ONE, 3)))
    host.left(lines(life(TWO, identifier="0badcafe")), identifier="0badcafe")
    yield host
    host.close()


def flush(host: JournalHost, url: str, code: int) -> str:
    """Return standard error; standard output must be empty."""
    done = run("-C", host.session.folder / "fleet", "hub", "flush", STATE_HUB_URL=url, STATE_HUB_TOKEN=TOKEN)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert TOKEN not in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_waited_for_a_hub_is_sent_once_it_serves(host: JournalHost, tmp_path: Path) -> None:
    hub = ServedHub(tmp_path / "hub")
    output = flush(host, hub.url, 1)
    assert "; 8 events wait on the hosts (sent by the next run" in " ".join(output.split())
    with hub:
        assert flush(host, hub.url, 0) == "Reported 2 sandboxes to State Hub.\n"
        assert [event["data"]["number"] for event in hub.events(sandbox=ID)] == [1, 2, 3]
        assert [event["data"]["number"] for event in hub.events(sandbox="0badcafe")] == [1, 2, 3, 4, 5]
        assert host.numbers() == [("1", 3, [])]
        assert not host.kept("0badcafe").exists()
        assert flush(host, hub.url, 0) == "Reported 0 sandboxes to State Hub.\n"
        (host.directory() / "journal.acked").unlink()  # sent, and not noted: the runner died in between
        assert flush(host, hub.url, 0) == "Reported 1 sandbox to State Hub.\n"
        assert hub.duplicates() == 3
        assert len(hub.events(type="dev.sandboxer.sandbox.*")) == 8
        hub.stop()
        hub.start()
        assert len(hub.events(type="dev.sandboxer.sandbox.*")) == 8


@pytest.mark.parametrize("otherwise", [TAKES, says(500), HANGS], ids=["takes", "fails", "hangs"])
def test_the_connections_end_with_the_run(
    host: JournalHost, otherwise: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandboxer.cli.hub.FLUSH_PATIENCE", 1.0)
    with LyingHub(otherwise=otherwise) as lying:
        flush(host, lying.url, 0 if otherwise is TAKES else 1)
        senders = [thread for thread in threading.enumerate() if thread.name == "state-hub"]
        for thread in senders:
            thread.join(30)
        assert not any(thread.is_alive() for thread in senders)
        assert otherwise is HANGS or lying.left_alone()  # one that hangs does not read, and so notices nothing
    gc.collect()  # a connection that nobody closed would be a ResourceWarning now


def test_a_hub_that_refuses_is_one_warning(host: JournalHost) -> None:
    with LyingHub(otherwise=says(401)) as lying:
        output = flush(host, lying.url, 1)
    warning, summary = output.splitlines()
    assert warning.startswith(
        f"Warning: State Hub at {lying.url}: answered 401 Unauthorized (check spec.stateHub.token); 8"
    )
    assert summary == "Reported 0 sandboxes to State Hub."


def test_a_variable_that_is_not_set_is_one_warning(host: JournalHost) -> None:
    warning, _ = flush(host, "", 1).splitlines()
    assert warning == (
        "Warning: no events are sent to State Hub: STATE_HUB_URL is not set, but spec.stateHub.url refers to it "
        "(set STATE_HUB_URL to the URL of State Hub); events wait on the hosts."
    )
