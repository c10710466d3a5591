"""Writes the OpenAPI document of the API.

``python -m sandboxer.api.schema DIR`` writes ``openapi.json``; with ``--check`` it writes nothing and fails where it
differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sandboxer.api.app import create_app

NAME = "openapi.json"


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the document in a folder; return 1 if a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m sandboxer.api.schema", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file differs")
    parser.add_argument("folder", metavar="DIR", type=Path)
    options = parser.parse_args(arguments)
    file, expected = options.folder / NAME, text()
    if not options.check:
        options.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(expected, encoding="utf-8")
        return 0
    if file.exists() and file.read_text(encoding="utf-8") == expected:
        return 0
    sys.stderr.write(f"{file} is outdated: run `make schemas`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
