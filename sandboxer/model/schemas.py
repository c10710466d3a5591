"""Writes the JSON Schemas (2020-12) of the manifests, of a handle, and of what State Hub is sent.

``python -m sandboxer.model.schemas DIR`` writes them; with ``--check`` it writes nothing and fails where they differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from sandboxer.model.handle import Handle
from sandboxer.model.hub import CloudEvent, Progress, Registration
from sandboxer.model.manifest import KINDS

if TYPE_CHECKING:
    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BASE = "https://sandboxer.dev/v1/"
_OTHERS: dict[str, type[BaseModel]] = {
    "handle": Handle,
    "event": CloudEvent,
    "progress": Progress,
    "registration": Registration,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by file name: one for each kind, ``manifest.schema.json`` for any document, and the rest."""
    found = {}
    for kind, model in KINDS.items():
        name = f"{kind.lower()}.schema.json"
        content = model.model_json_schema(by_alias=True)
        found[name] = {"$schema": DIALECT, "$id": _BASE + name, **content}
    references, combined = models_json_schema([(model, "validation") for model in KINDS.values()], by_alias=True)
    name = "manifest.schema.json"
    found[name] = {
        "$schema": DIALECT,
        "$id": _BASE + name,
        "title": "Manifest",
        "description": "A Sandboxer manifest of any kind.",
        "oneOf": list(references.values()),
        **combined,
    }
    for title, other in _OTHERS.items():
        name = f"{title}.schema.json"
        found[name] = {"$schema": DIALECT, "$id": _BASE + name, **other.model_json_schema(by_alias=True)}
    for content in found.values():
        _close(content)
    return found


def _close(part: Any) -> None:
    """Forbid keys that break the pattern in mappings with free keys; pydantic leaves that open."""
    if isinstance(part, dict):
        if "patternProperties" in part:
            part["additionalProperties"] = False
        for inner in part.values():
            _close(inner)
    elif isinstance(part, list):
        for inner in part:
            _close(inner)


def texts() -> dict[str, str]:
    """Return the text of each file, by name."""
    return {name: json.dumps(content, indent=2) + "\n" for name, content in schemas().items()}


def main(arguments: list[str] | None = None) -> int:
    """Write or check the schemas in a directory; return 1 where a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m sandboxer.model.schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the files differ")
    parser.add_argument("folder", metavar="DIR", type=Path)
    options = parser.parse_args(arguments)
    expected = texts()
    if not options.check:
        options.folder.mkdir(parents=True, exist_ok=True)
        for name, text in expected.items():
            (options.folder / name).write_text(text, encoding="utf-8")
        return 0
    there = {path.name: path.read_text(encoding="utf-8") for path in options.folder.glob("*.schema.json")}
    differing = sorted(name for name in expected.keys() | there.keys() if expected.get(name) != there.get(name))
    for name in differing:
        sys.stderr.write(f"{options.folder / name} is outdated: run `make schemas`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
