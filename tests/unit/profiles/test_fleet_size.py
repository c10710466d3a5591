"""What a fleet's manifests may cost: files, bytes, values, and so the memory of whoever reads them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters import work_tree
from sandboxer.adapters.git import FleetRepository
from sandboxer.errors import FleetTooLarge, SourceError
from sandboxer.profiles import yaml_nodes
from sandboxer.profiles.loader import load
from tests.support.gitrepo import GitRepo, isolate

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\n"
SANDBOX = """apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: s%d, labels: {team: a}}
spec: {profile: profile.web, inputs: {repo: ., ref: main}, env: {A: b, C: d}}
"""
MEASURED = """
import sys
from pathlib import Path
from sandboxer.errors import SandboxerError
from sandboxer.wiring.source import FleetSource
output = ""
try:
    source = FleetSource(Path.cwd(), revision=sys.argv[1] or None, find_inputs=False)
    output = str(source.fleet().sandboxes.keys())
except SandboxerError as error:
    output = error.message + "; " + error.hint
    output += "".join(f"; {d.message}" for d in getattr(error, "diagnostics", ())[:100])
print(int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) // 1024)  # ru_maxrss has the parent's
print(output)
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "fleet")
    made.commit({"sandboxer.yaml": FLEET})
    return made


def measured(repo: GitRepo, revision: str = "") -> tuple[int, str]:
    """Return the peak memory of a run over a fleet in MiB, and what it says."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, revision],
        cwd=repo.path, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    peak, _, output = done.stdout.partition("\n")
    return int(peak), output


def big(kind: str) -> str:
    """Return a manifest of a little less than 1 MiB."""
    if kind == "comment":
        return "# " + "x" * (MIB - 100) + "\n"
    if kind == "lines":
        return "#\n" * (MIB // 2 - 100)
    if kind == "values":
        return "- a\n" * 49_000 + "#" * (MIB - 300_000) + "\n"
    return FLEET.replace("Fleet", "Sandbox") + "spec:\n" + "".join(f"  k{n}: {{a: b, c: [d]}}\n" for n in range(8_000))


@pytest.mark.parametrize("kind", ["comment", "lines", "values", "a sandbox"])
def test_many_files_of_a_mebibyte_cost_little_memory(repo: GitRepo, kind: str) -> None:
    content = big(kind)
    first = repo.write("manifests/0.yaml", content)
    for number in range(1, 60):
        (first.parent / f"{number}.yaml").hardlink_to(first)
    repo.commit()
    peak, output = measured(repo)
    assert "16 MiB for all manifests together" in output or "hold more than 200,000 values" in output, output[:400]
    assert "split the fleet" in output or "split the fleet" in output or "200,000" in output
    assert peak < 250, output[:400]
    peak, output = measured(repo, "HEAD")
    assert "16 MiB for all manifests together" in output or "200,000 values" in output, output[:400]
    assert peak < 250, output[:400]


def test_links_count_as_what_they_lead_to(repo: GitRepo) -> None:
    repo.write("manifests/0.yaml", big("comment"))
    for number in range(1, 40):
        repo.link(f"manifests/{number}.yaml", "0.yaml")
    repo.commit()
    for revision in (None, "HEAD"):
        with pytest.raises(FleetTooLarge, match=r"manifests/.*\.yaml exceeds the limit of 16 MiB"):
            FleetRepository(repo.path).read(revision)


def test_no_more_than_so_many_manifests(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_tree, "MAX_MANIFESTS", 3)
    for number in range(2):
        repo.write(f"manifests/{number}.yaml", "")
    repo.write("manifests/notes.txt", "not counted")
    repo.commit()
    assert len(FleetRepository(repo.path).read(None).files) == len(FleetRepository(repo.path).read("HEAD").files) == 3
    repo.write("profiles/p.yaml", "")
    repo.commit()
    for revision in (None, "HEAD"):
        with pytest.raises(FleetTooLarge, match=r"exceeds the limit of 3 manifests") as refused:
            FleetRepository(repo.path).read(revision)
        assert "several" in refused.value.hint


def test_a_commit_before_that_was_too_large_keeps_nothing_from_going_on(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_tree, "MAX_IN_ALL", 1_000)
    repo.commit({"manifests/large.yaml": "#" * 2_000})
    (repo.path / "manifests/large.yaml").unlink()
    # HEAD differs from the work tree and is too large; the commit before it is not.
    assert [set(old.files) for old in FleetRepository(repo.path).history(None)] == [{"sandboxer.yaml"}]
    repo.commit()
    assert FleetRepository(repo.path).history(None) == ()


def test_values_are_counted_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes.Budget, "__init__", lambda self: setattr(self, "left", 100))
    files = {"sandboxer.yaml": FLEET.encode()}
    files |= {f"manifests/{number:02}.yaml": (SANDBOX % number).encode() for number in range(20)}
    (finding,) = load(files).diagnostics
    assert (finding.code, finding.location.file) == ("too-many-values", "manifests/03.yaml")
    assert "the manifests of the fleet hold more than" in finding.message
    assert "split the fleet" in finding.hint
    few = dict(list(files.items())[:3])
    assert "too-many-values" not in {found.code for found in load(few).diagnostics}


def test_a_fleet_of_two_thousand_sandboxes_is_within_all_limits(tmp_path: Path) -> None:
    files = {"sandboxer.yaml": FLEET.encode()}
    files |= {f"manifests/{number}.yaml": (SANDBOX % number).encode() for number in range(1_999)}
    assert {found.code for found in load(files).diagnostics} == {"unknown-reference"}  # its profile is left out here
    for path, data in files.items():
        (tmp_path / "fleet" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fleet" / path).write_bytes(data)
    assert len(FleetRepository(tmp_path / "fleet").read(None).files) == 2_000


def test_a_manifest_over_one_mebibyte_is_still_reported_by_its_name(repo: GitRepo) -> None:
    repo.write("manifests/0.yaml", "#" * (MIB + 1))
    found = load(FleetRepository(repo.path).read(None).files).diagnostics
    assert [one.code for one in found if one.location.file == "manifests/0.yaml"] == ["too-large"]


def test_no_fleet_is_read_from_what_never_ends(repo: GitRepo) -> None:
    repo.link("manifests/0.yaml", "/dev/zero")
    with pytest.raises(SourceError, match="points outside the fleet"):
        FleetRepository(repo.path).read(None)
