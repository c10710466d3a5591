"""``python -m scripts.registry [FOLDER]``: hold registry/ to its schemas, to its index, and to the product.

A page of ``registry/capabilities/`` begins with front matter, which ``registry/schemas/capability.schema.json``
describes; a row of ``registry/indexes/capabilities.yaml`` repeats what a catalogue shows of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from sandboxer.client import Client
from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES, INDEX, SCHEMAS = "registry/capabilities", "registry/indexes/capabilities.yaml", "registry/schemas"
REPEATED = ("id", "name", "domain", "status", "summary")


def problems(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each thing that is wrong with the registry of the repository at ``root``."""
    page, index = _validators(root)
    capabilities: dict[str, Any] = {}
    for path in sorted((root / PAGES).glob("*.md")):
        place = path.relative_to(root).as_posix()
        content = front_matter(path)
        wrong = list(_violations(place, page, content))
        yield from wrong
        if not wrong:
            capabilities[place] = content
            yield from _untrue(root, place, path.stem, content)
    rows = yaml.safe_load((root / INDEX).read_text(encoding="utf-8"))
    wrong = list(_violations(INDEX, index, rows))
    yield from wrong
    if not wrong:
        yield from _unlike(rows["capabilities"], capabilities)


def front_matter(path: Path) -> Any:
    """Return what stands between the two lines of dashes at a page's beginning; None where there is no such thing."""
    parts = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None


def _validators(root: Path) -> tuple[Draft202012Validator, Draft202012Validator]:
    schemas = [
        json.loads((root / SCHEMAS / f"{name}.schema.json").read_text()) for name in ("capability", "capabilities")
    ]
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
    known = Registry[Any]().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
    page, index = (Draft202012Validator(schema, registry=known) for schema in schemas)
    return page, index


def _violations(place: str, validator: Draft202012Validator, content: Any) -> Iterator[str]:
    for error in validator.iter_errors(content):
        yield f"{place}: {error.json_path}: {error.message}"


def _untrue(root: Path, place: str, stem: str, content: Any) -> Iterator[str]:
    """What a page claims and the repository does not have."""
    if content["id"] != stem:
        yield f"{place}: id: {content['id']}, and the file is called {stem}.md"
    for operation in content["operations"]:
        if not callable(getattr(Client, operation, None)):
            yield f"{place}: operations: there is no {operation}"
    named = [content["specification"], *content["boundaries"]]
    for part in (*content["interfaces"], content["events"]):
        named += [part[key] for key in ("schema", "page") if key in part]
    yield from (f"{place}: there is no {name}" for name in named if not (root / name).is_file())


def _unlike(rows: list[dict[str, Any]], capabilities: dict[str, Any]) -> Iterator[str]:
    """Where index and pages differ."""
    listed = [row["page"] for row in rows]
    yield from (f"{INDEX}: {page} has {listed.count(page)} rows, not one" for page in sorted({*listed, *capabilities})
                if listed.count(page) != 1)  # fmt: skip
    for row in rows:
        page = capabilities.get(row["page"])
        if page is None:
            yield f"{INDEX}: {row['page']}: there is no such page, or it is not valid"
            continue
        yield from (f"{INDEX}: {row['id']}: {key} is not as {row['page']} has it" for key in REPEATED
                    if row[key] != page[key])  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print every problem of the registry in a folder, by default this repository's; return 1 where there is any."""
    found = list(problems(Path(arguments[0]) if arguments else ROOT))
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
