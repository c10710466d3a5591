"""The examples of docs/integrations, run against a real server over a real host; and the one for older callers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import contract
from tests.support.api import ServedApi
from tests.support.e2e import service, stack, web
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo
from tests.support.markdown import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

REPOSITORIES = "/srv/repositories"
SECRET = "s3cr3t-of-the-test"
# What an example shows is what is answered, but for what each sandbox has of its own.
OWN = {
    "id",
    "host",
    "created_at",
    "expires_at",
    "seconds_left",
    "requested_by",
    "detail",
    "commit",
    "inputs.repo",
    "inputs.commit",
}


@pytest.mark.parametrize("page", contract.PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run_and_answer_as_it_shows(
    new_fleet: Callable[..., FleetRepo], tmp_path: Path, page: Path
) -> None:
    fleet = new_fleet("lab-1", **_moved(contract.fleet_spec(page), tmp_path))
    for path in ("profiles/profile.compose-e2e.yaml", *(f"examples/stacks/hello/{name}" for name in _HELLO)):
        fleet.repo.write(path, (ROOT / path).read_text())
    for path, text in contract.profiles(page).items():
        fleet.repo.write(path, text)
    fleet.commit()
    _repositories(tmp_path)
    before = fleet.lab.snapshot("lab-1")
    with ServedApi(fleet, env={"NOTES_API_KEY": SECRET}) as api:
        for name, status, command in contract.requests(page):
            if name == "destroy":
                _programs(fleet, page)
            answer = _run(command.replace(REPOSITORIES, str(tmp_path / "srv")), api, tmp_path)
            assert answer.pop("status") == status, answer
            _compare(page, name, answer.get("body"))
        assert {one["phase"] for one in api.there().values()} <= {"failed"}
        for identifier in api.there():
            assert api.ask("DELETE", f"/v1/sandboxes/{identifier}?wait=60").status_code == 204
    assert fleet.lab.leaked("lab-1", before) == {}


def test_the_file_for_callers_of_the_older_target_runs_their_tests(
    new_fleet: Callable[..., FleetRepo], tmp_path: Path
) -> None:
    fleet = new_fleet("lab-1", folder="fleet")
    fleet.repo.write("profiles/profile.compose-e2e.yaml", (ROOT / "profiles/profile.compose-e2e.yaml").read_text())
    fleet.commit()
    project = GitRepo.create(tmp_path / "project")
    project.write("compose.yaml", json.dumps(stack(web=web(volumes=["./www:/www:ro"]))))
    project.write("www/index.html", "from the commit\n")
    shown = {block.name or block.language: block.text for block in blocks(ROOT / "extensions/README.md")}
    project.write("e2e.py", shown["e2e.py"])
    project.write("Makefile", shown["make"])
    tests = "from urllib.request import urlopen; import os; print(urlopen(os.environ['E2E_URL'], timeout=30).read())"
    project.write("run-tests.sh", f'#!/bin/sh\npython3 -c "{tests}"\nexit ${{RESULT:-0}}\n')
    (project.path / "run-tests.sh").chmod(0o755)
    project.commit()
    before = fleet.lab.snapshot("lab-1")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command, result in ((["make", "e2e"], 0), (["python3", "e2e.py", "../fleet", "./run-tests.sh"], 7)):
        done = subprocess.run(
            command, cwd=project.path, env=os.environ | fleet.env | {"PATH": path, "RESULT": str(result)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == result, done.stderr
        assert "from the commit" in done.stdout
    assert fleet.lab.leaked("lab-1", before) == {}


def test_the_pipeline_of_a_validator_comes_to_its_end(new_fleet: Callable[..., FleetRepo], tmp_path: Path) -> None:
    (script,) = (block.text for page in contract.PAGES for block in blocks(page) if block.name == "pipeline")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    fleet = new_fleet("lab-1", folder="fleet")
    fleet.repo.write("profiles/profile.compose-e2e.yaml", (ROOT / "profiles/profile.compose-e2e.yaml").read_text())
    fleet.repo.write("run-tests.sh", '#!/bin/sh\ntest "$(curl -sS "$1/")" = "from the commit"\n')
    (fleet.repo.path / "run-tests.sh").chmod(0o755)
    fleet.commit()
    shop = GitRepo.create(tmp_path / "shop")
    shop.write("compose.yaml", json.dumps(stack(web=web(volumes=["./www:/www:ro"]))))
    shop.write("www/index.html", "from the commit\n")
    shop.commit()
    before = fleet.lab.snapshot("lab-1")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", script.replace("18080", port)], cwd=fleet.repo.path,
        env=os.environ | fleet.env | {"PATH": path, "no_proxy": "*"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation-19: destroyed" in done.stdout
    assert fleet.lab.leaked("lab-1", before) == {}


def _moved(spec: Any, folder: Path) -> Any:
    return json.loads(json.dumps(spec).replace(REPOSITORIES, str(folder / "srv")))


_HELLO = ("compose.yaml", "www/index.html", "www/cgi-bin/greeting")


def _repositories(folder: Path) -> None:
    """The repositories that the examples name; the one with a secret ends at once where it is not given it."""
    shop = GitRepo.create(folder / "srv/shop")
    shop.write("compose.yaml", json.dumps(stack(web=web())))
    shop.commit()
    shop.git("checkout", "-q", "-b", "broken")
    shop.write("compose.yaml", json.dumps(stack(web=service("sh", "-c", "echo no database >&2; exit 3"))))
    shop.commit()
    shop.git("checkout", "-q", "main")
    check = 'test "$$LOG_LEVEL" = debug && test -s /run/secrets/API_KEY && exec httpd -f -p 8080 -h /www'
    todo = stack(web=service("sh", "-c", check, environment={"LOG_LEVEL": "${LOG_LEVEL}"}, secrets=["API_KEY"]))
    todo["secrets"] = {"API_KEY": {"environment": "API_KEY"}}
    repo = GitRepo.create(folder / "srv/notes-app")
    repo.write("compose.yaml", json.dumps(todo))
    repo.commit()


def _run(command: str, api: ServedApi, folder: Path) -> dict[str, Any]:
    """Run a block of shell unchanged; curl prints the status after the body, by its settings."""
    (folder / ".curlrc").write_text('write-out = "\\n%{http_code}"\nmax-time = 330\nnoproxy = "*"\n')
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "SANDBOXER_URL": api.url, "TOKEN": api.token}
    done = subprocess.run(["sh", "-euc", command], env=env, capture_output=True, text=True, timeout=360, check=False)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout
    body, _, status = done.stdout.rpartition("\n")
    return {"status": int(status), "body": json.loads(body) if body else None}


def _compare(page: Path, name: str, answer: Any) -> None:
    """The answer has the fields of the page's table, of their types, and the values of the page's example."""
    if answer is None:
        return
    table = contract.table(page, contract.PROBLEM if "detail" in answer else contract.HANDLE)
    assert contract.fields(answer).keys() == table.keys()
    assert contract.wrong_types(answer, table) == {}
    if (shown := contract.response(page, name)) is not None:
        got, example = contract.fields(answer), contract.fields(shown)
        assert got.keys() == example.keys()
        same = {path for path, value in example.items() if not isinstance(value, dict | list)} - OWN
        same = {path for path in same if path.partition("[].")[2] not in ("address", "url", "image")}
        assert {path: got[path] for path in same} == {path: example[path] for path in same}


def _programs(fleet: FleetRepo, page: Path) -> None:
    """Run the page's Python while its sandbox is there."""
    for block in blocks(page):
        if block.language == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=fleet.repo.path, env=os.environ | fleet.env,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("http://127.0.0.1:")
