"""What is packed: the wheel has the whole product and nothing else, the sdist what one builds it from; no file of a
checkout that git does not track gets into either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest

from sandboxer import __version__
from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"sandboxer_fleet-{__version__}"
INFO = f"{NAME}.dist-info"
BUILD = "from setuptools import build_meta; build_meta.build_sdist('dist'); build_meta.build_wheel('dist')"
# What editors, tools and people leave in a checkout.
LEFTOVERS = (
    ".env",
    "notes.txt",
    "sandboxer/.env",
    "sandboxer/notes.txt",
    "sandboxer/__pycache__/errors.cpython-311.pyc",
    "sandboxer/extensions/compose_ssh/observe.sh.orig",
    "sandboxer/hub/page/.app.js.swp",
    "schemas/notes.txt",
    "tests/unit/test_notes.py",
)
# What setuptools itself writes into an sdist.
WRITTEN = ("PKG-INFO", "setup.cfg", "sandboxer_fleet.egg-info/")
SCRIPT = """
import sandboxer, sandboxer.__main__
from sandboxer.hosts.scripts import script
from sandboxer.hub.pages import __file__ as pages
assert {wheel!r} in sandboxer.__file__ and {wheel!r} in pages, sandboxer.__file__
assert "root" in script("prelude.sh")
sandboxer.__main__.main()
"""


def tracked() -> list[str]:
    """Return the names of the files that git tracks and that are there."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, timeout=60)
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both from a copy of the checkout, with leftovers in it, and return the folder that they are in."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    for name in LEFTOVERS:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return copy / "dist"


@pytest.fixture
def wheel(built: Path) -> Path:
    """Return the wheel, whose name says that it runs everywhere."""
    return built / f"{NAME}-py3-none-any.whl"


def test_the_wheel_is_the_product_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"{INFO}/")}
    assert names == {name for name in tracked() if name.startswith("sandboxer/")}
    assert {"sandboxer/py.typed", "sandboxer/hosts/prelude.sh", "sandboxer/hub/page/index.html"} <= names


def test_the_sdist_is_what_one_builds_the_wheel_from(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {member.name.removeprefix(f"{NAME}/") for member in archive.getmembers() if member.isfile()}
    expected = {
        *("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "pyproject.toml"),
        *(name for name in tracked() if name.startswith(("sandboxer/", "schemas/"))),
    }
    assert {name for name in names if not name.startswith(WRITTEN)} == expected


def test_the_metadata_has_owner_and_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = message_from_bytes(archive.read(f"{INFO}/METADATA"))
        points = archive.read(f"{INFO}/entry_points.txt").decode()
        licence = archive.read(f"{INFO}/licenses/LICENSE")
    assert (about["Name"], about["Version"]) == ("sandboxer-fleet", __version__)
    assert (about["License-Expression"], about["Author"]) == ("Apache-2.0", "Sandboxer maintainers")
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert about["Requires-Python"] == ">=3.11"
    assert {"Operating System :: POSIX :: Linux", "Typing :: Typed"} <= set(about.get_all("Classifier", []))
    assert set(points.split("[console_scripts]\n")[1].split("\n\n")[0].strip().splitlines()) == {
        "sandboxer = sandboxer.__main__:main",
        "sandbox = sandboxer.__main__:main",
    }


def test_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(wheel=str(wheel)), "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["sandboxer", __version__], done.stderr
