"""The manifests that this repository ships, and the files to read them as a fleet."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def shipped_files() -> dict[str, bytes]:
    """Return the demo's fleet with the example hosts, by path."""
    paths = [ROOT / "sandboxer.yaml"]
    for folder in ("manifests", "profiles", "extensions"):
        paths += sorted((ROOT / folder).rglob("*.y*ml"))
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    files["manifests/example-hosts.yaml"] = (ROOT / "docs" / "examples" / "hosts.yaml").read_bytes()
    return files


def example_files() -> list[Path]:
    """Return every manifest that is shipped or shown in the documentation."""
    folders = [ROOT / folder for folder in ("manifests", "profiles", "extensions", "docs", "examples/extension/fleet")]
    return [ROOT / "sandboxer.yaml", *(path for folder in folders for path in sorted(folder.rglob("*.y*ml")))]
