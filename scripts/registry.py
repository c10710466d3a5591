"""``python -m scripts.registry [FOLDER]``: check registry/ against its schemas, its index, and the product.

A page of ``registry/capabilities/`` begins with front matter, which ``registry/schemas/capability.schema.json``
describes; a row of ``registry/indexes/capabilities.yaml`` repeats the part that a catalogue shows.
"""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, get_args

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from sandboxer.cli.main import COMMANDS
from sandboxer.model.event import SANDBOX_EVENT
from sandboxer.model.lifecycle import Phase
from sandboxer.model.manifest import KINDS
from sandboxer.model.sandbox_manifests import Consumer
from tests.support.fleet import ROOT
from tests.support.markdown import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES, INDEX, SCHEMAS = "registry/capabilities", "registry/indexes/capabilities.yaml", "registry/schemas"
API = "schemas/openapi.json"
REPEATED = ("id", "name", "domain", "status", "summary")


def problems(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each problem with the registry of the repository at ``root``."""
    page, index = _validators(root)
    capabilities: dict[str, Any] = {}
    for path in sorted((root / PAGES).glob("*.md")):
        file = path.relative_to(root).as_posix()
        content = front_matter(path)
        wrong = list(_violations(file, page, content))
        yield from wrong
        if not wrong:
            capabilities[file] = content
            yield from _untrue(root, file, path.stem, content)
    rows = yaml.safe_load((root / INDEX).read_text(encoding="utf-8"))
    wrong = list(_violations(INDEX, index, rows))
    yield from wrong
    if not wrong:
        yield from _unlike(rows["capabilities"], capabilities)


def front_matter(path: Path) -> Any:
    """Return the front matter between the two lines of dashes at a page's beginning; None if there is none."""
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


def _violations(file: str, validator: Draft202012Validator, content: Any) -> Iterator[str]:
    for error in validator.iter_errors(content):
        yield f"{file}: {error.json_path}: {error.message}"


def _untrue(root: Path, file: str, stem: str, content: Any) -> Iterator[str]:
    """Yield the claims of a page that the repository does not fulfil."""
    if content["id"] != stem:
        yield f"{file}: id: {content['id']}, and the file is called {stem}.md"
    named = [content["specification"], *content["boundaries"]]
    for part in (*content["interfaces"], content["events"]):
        named += [part[key] for key in ("schema", "page") if key in part]
    missing = [name for name in named if not (root / name).is_file()]
    yield from (f"{file}: there is no {name}" for name in missing)
    if not missing:
        yield from _unlike_product(root, file, content)


def _unlike_product(root: Path, file: str, content: Any) -> Iterator[str]:
    """Yield the words of a page that differ from the specification, API, library, program or models."""
    core = _operations(root / content["specification"], "library")
    if content["operations"] != core:
        yield f"{file}: operations: the specification has {', '.join(core)}"
    if (shown := _operations(root / file, "takes")) != content["operations"]:
        yield f"{file}: operations: the table below has {', '.join(shown)}"
    actors = get_args(Consumer.model_fields["actor"].annotation)
    if set(content["consumers"]) != set(actors):
        yield f"{file}: consumers: these may ask: {', '.join(actors)}"
    for interface in content["interfaces"]:
        if not _leads_in(root, interface):
            yield f"{file}: interfaces: there is no {interface['kind']} {interface['entry']}"
    if not any(fnmatch(SANDBOX_EVENT + phase, content["events"]["types"]) for phase in Phase):
        yield f"{file}: events: there are no {content['events']['types']}"
    pages = {page.relative_to(root).as_posix() for page in (root / "docs/integrations").glob("*.md")}
    if set(content["boundaries"]) != pages:
        yield f"{file}: boundaries: docs/integrations has {', '.join(sorted(pages))}"


def _operations(page: Path, column: str) -> list[str]:
    """Return the operations of a page's first table that has the column."""
    rows = next(table.rows for table in tables(page) if {"operation", column} <= table.rows[0].keys())
    return [row["operation"].strip("`") for row in rows]


def _leads_in(root: Path, interface: Any) -> bool:
    """Return whether a request, class, command or kind exists."""
    entry = interface["entry"]
    match interface["kind"]:
        case "http":
            method, _, path = entry.partition(" ")
            return method.lower() in json.loads((root / interface.get("schema", API)).read_text())["paths"].get(
                path, ()
            )
        case "library":
            try:
                return bool(resolve_name(entry))
            except (ImportError, AttributeError, ValueError):
                return False
        case "command":
            return entry.split()[0] in ("sandbox", "sandboxer") and entry.split()[1] in COMMANDS
    return entry in KINDS


def _unlike(rows: list[dict[str, Any]], capabilities: dict[str, Any]) -> Iterator[str]:
    """Yield the differences between index and pages."""
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
    """Print every problem of the registry in a folder, by default this repository's; return 1 if there is any."""
    found = list(problems(Path(arguments[0]) if arguments else ROOT))
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
