"""The page as files: whole, without an address outside, and without a way for data to become markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.hub.app import router
from sandboxer.hub.pages import page_files

if TYPE_CHECKING:
    from tests.unit.hub.hubs import RunningHub

FOLDER = Path(str(files("sandboxer.hub"))) / "page"
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


def named(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_file_is_served_with_its_type_and_revalidated_each_time(refusing_hub: RunningHub) -> None:
    assert {file.path for file in page_files()} == {"/"} | {f"/{path.name}" for path in FILES} - {"/index.html"}
    for file in page_files():
        answer = refusing_hub.client.get(file.path)
        assert (answer.content, answer.headers["Content-Type"]) == (file.content, file.media_type)
        again = refusing_hub.client.get(file.path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_no_file_of_the_page_is_in_the_way_of_the_api() -> None:
    assert not {file.path for file in page_files()} & {getattr(route, "path", "") for route in router.routes}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_external_address_is_requested(path: Path) -> None:
    found = set(re.findall(r"(?:https?:)?//[a-z0-9][^\s\"'`)>]*", named(path)))
    allowed = {"http://www.w3.org/2000/svg"}
    comments = set(re.findall(r"//[^\n]*", named(path))) if path.suffix == ".js" else set()
    assert {one for one in found - allowed if not any(one in comment for comment in comments)} == set()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_data_becomes_text_and_never_markup_or_code(path: Path) -> None:
    text = named(path)
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        ".style",
    ):
        assert forbidden not in text, forbidden
    assert len(text.splitlines()) < 400


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_import_is_there_and_exported(path: Path) -> None:
    for names, module in re.findall(r"import \{([^}]*)\} from \"\./([\w.]+)\"", named(path)):
        source = named(FOLDER / module)
        for name in (one.strip() for one in names.split(",") if one.strip()):
            assert re.search(rf"export (async )?(function|class|const) {name}\b", source), f"{module}: {name}"


def test_every_element_that_a_script_uses_is_there() -> None:
    page, scripts = named(FOLDER / "index.html"), "\n".join(named(path) for path in SCRIPTS)
    there = set(re.findall(r"\bid=\"([\w-]+)\"", page)) | set(re.findall(r"\bid: \"([\w-]+)\"", scripts))
    assert set(re.findall(r"byId\(\"([\w-]+)\"\)", scripts)) <= there


def test_the_page_holds_nothing_inline_that_its_own_policy_forbids() -> None:
    page = named(FOLDER / "index.html")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page)
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here to read the scripts")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_read(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / f"{path.stem}.mjs"
    copy.write_bytes(path.read_bytes())
    done = subprocess.run(["node", "--check", copy], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
