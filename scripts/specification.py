"""``python -m scripts.specification``: check the tables of docs/meta-framework.md against the code.

Each row of a table with the column ``status`` is *implemented*, and then must be in the code, or *reserved*, and then
must not be there. Whatever the code has must have a row. So the page neither promises nor omits anything.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from sandboxer.cli.main import COMMANDS
from sandboxer.client import Client
from sandboxer.extensions.base import REQUIRED_OPERATIONS
from sandboxer.model.fleet_manifests import FORMER_OPERATIONS, ExtensionOperation
from sandboxer.model.hub import SandboxData
from sandboxer.model.lifecycle import TRANSITIONS, Phase
from sandboxer.model.manifest import KINDS
from sandboxer.model.sandbox_manifests import Consumer
from sandboxer.profiles.loader import built_in_extensions
from tests.support.fleet import ROOT
from tests.support.markdown import blocks, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Rows = list[dict[str, str]]

PAGE = ROOT / "docs/meta-framework.md"
IMPLEMENTED, RESERVED = "implemented", "*reserved*"

# Not operations in themselves: they make others possible, or are for programs that serve a fleet.
_INNER = {"unrecorded", "forward_all", "abandoned", "give_up", "reap"}
# Commands for a fleet or its manifests, not operations on a sandbox.
_SERVING = {"unlock", "render", "doctor", "hub", "serve", "completion"}
_CAPABILITIES = ("isolation", "scopes", "connections", "runtimes")
# What calls a backend beyond the operations that every one has.
_CALLERS = ("client", "lifecycle", "wiring")


def problems(page: Path = PAGE) -> Iterator[str]:
    """Yield a line for each row that the code contradicts, and for each thing in the code that has no row."""
    rows: dict[str, Rows] = {}
    try:
        shown = tables(page)
    except ValueError as error:
        yield str(error)
        return
    for table in shown:
        if "status" in (table.rows[0] if table.rows else {}):
            rows.setdefault(next(iter(table.rows[0])), []).extend(table.rows)
    checks: dict[str, Callable[[Rows], Iterator[str]]] = {
        "resource": _resources,
        "phase": _phases,
        "operation": _operations,
        "key": _keys,
        "actor type": _actors,
        "capability": _capabilities,
        "policy": _policies,
    }
    for title in sorted(checks.keys() ^ rows.keys()):
        yield f"a table of {title}: missing, or not known here"
    for title in checks.keys() & rows.keys():
        for row in rows[title]:
            if row["status"] not in (IMPLEMENTED, RESERVED):
                yield f"{title} {row[title]}: the status {row['status']!r} is neither {IMPLEMENTED} nor {RESERVED}"
        yield from checks[title](rows[title])
    yield from _diagram(page)


def _resources(rows: Rows) -> Iterator[str]:
    yield from _compared("resource", rows, KINDS)


def _phases(rows: Rows) -> Iterator[str]:
    yield from _compared("phase", rows, [phase.value for phase in Phase])
    for row in rows:
        (name,) = _words(row["phase"])
        if _words(row["State Hub event"]) != [f"dev.sandboxer.sandbox.{name}"]:
            yield f"phase {name}: its event is dev.sandboxer.sandbox.{name}"


def _diagram(page: Path) -> Iterator[str]:
    (text,) = (block.text for block in blocks(page) if block.language == "mermaid")
    shown = set(re.findall(r"^  ([a-z\[*\]]+) --> ([a-z\[*\]]+)$", text, re.MULTILINE))
    yield from (f"the diagram: {line.strip()!r} is not read" for line in text.splitlines()[1:] if "-->" not in line)
    if text.count("-->") != len(shown):
        yield "the diagram: an arrow is there twice, or is not of the form `a --> b`"
    start, end = "[*]", {(phase.value, "[*]") for phase, after in TRANSITIONS.items() if phase and not after}
    there = {
        (former.value if former else start, phase.value) for former, after in TRANSITIONS.items() for phase in after
    }
    yield from (f"the diagram: {a} --> {b} is shown or there, not both" for a, b in sorted(shown ^ (there | end)))


def _operations(rows: Rows) -> Iterator[str]:
    operations = [row for row in rows if "library" in row]
    backend = [row for row in rows if "contract" in row]
    yield from _backend(backend)
    requests = _requests()
    for row in operations:
        yield from _operation(row, requests)
    request = [(method, _plain(path)) for row in operations for method, path in map(str.split, _words(row["HTTP"]))]
    yield from (f"operation: {request.count(one)} rows have {' '.join(one)}" for one in sorted(set(request))
                if request.count(one) > 1)  # fmt: skip
    yield from (f"operation: the API has {' '.join(one)}, and no row" for one in sorted(requests - set(request)))
    called = {command.split()[1] for row in operations for command in _words(row["command"])}
    yield from (f"operation: there is `{name}`, and no row" for name in sorted(COMMANDS.keys() - called - _SERVING))
    shown = {name.removeprefix("Client.") for row in operations for name in _words(row["library"])}
    public = {name for name, value in vars(Client).items() if inspect.isfunction(value) and name[0] != "_"} - _INNER
    yield from (f"operation {name}: Client has it, and no row" for name in sorted(public - shown))


def _requests() -> set[tuple[str, str]]:
    """Return the requests about sandboxes that the HTTP API accepts."""
    described = json.loads((ROOT / "schemas/openapi.json").read_text(encoding="utf-8"))["paths"]
    return {
        (m.upper(), _plain(path)) for path, methods in described.items() if path.startswith("/v1/") for m in methods
    }


def _operation(row: dict[str, str], requests: set[tuple[str, str]]) -> Iterator[str]:
    names, there = _words(row["operation"]), False
    for name in _words(row["library"]):
        there = True
        if name.removeprefix("Client.") not in names:
            yield f"operation {names}: {name} is another one"
        if not callable(getattr(Client, name.removeprefix("Client."), None)):
            yield f"operation {names}: there is no {name}"
    for command in _words(row["command"]):
        there = True
        if (called := command.split()[1]) not in COMMANDS:
            yield f"operation {names}: there is no `{command}`"
        if (own := [name for name in names if name.replace("_", "-") in COMMANDS]) and called.replace(
            "-", "_"
        ) not in own:
            yield f"operation {names}: `{command}` is another one"
    for request in _words(row["HTTP"]):
        there = True
        method, path = request.split()
        if (method, _plain(path)) not in requests:
            yield f"operation {names}: there is no {request}"
    if there != (row["status"] == IMPLEMENTED):
        yield f"operation {names}: {row['status']}, and {'a' if there else 'no'} way to call it is shown"


def _backend(rows: Rows) -> Iterator[str]:
    names = {name: row for row in rows for name in _words(row["operation"])}
    files = (file for row in _CALLERS for file in (ROOT / "sandboxer" / row).rglob("*.py"))
    core = "".join(file.read_text(encoding="utf-8") for file in files)
    for name in sorted(names.keys() ^ set(get_args(ExtensionOperation)) - FORMER_OPERATIONS.keys()):
        yield f"operation {name} of an extension: in the page or in the code, not both"
    for name, row in names.items():
        called = f'"{name}"' in core or f".{name}(" in core
        if (row["status"] == IMPLEMENTED) != (name in REQUIRED_OPERATIONS or called):
            yield f"operation {name} of an extension: {row['status']}, and the core does not say so"
        if (row["required"] == "yes") != (name in REQUIRED_OPERATIONS):
            yield f"operation {name} of an extension: required is {row['required']}, and the code says otherwise"


def _keys(rows: Rows) -> Iterator[str]:
    """Yield the keys of the attribution that a Consumer or an event's data does not have."""
    for row in rows:
        for title, prefix, model in (
            ("in a manifest or request", "consumer.", Consumer),
            ("in an event", "data.", SandboxData),
        ):
            (path,) = _words(row[title])
            if not path.startswith(prefix) or path.removeprefix(prefix) not in model.model_fields:
                yield f"key {row['key']}: there is no {path} {title}"


def _actors(rows: Rows) -> Iterator[str]:
    yield from _compared("actor type", rows, get_args(Consumer.model_fields["actor"].annotation))


def _capabilities(rows: Rows) -> Iterator[str]:
    """Yield the capabilities whose values are not those that the built-in extensions declare."""
    yield from _compared("capability", rows, _CAPABILITIES)
    for row in rows:
        (name,) = _words(row["capability"])
        shipped = [one.spec.capabilities for one in built_in_extensions().values()]
        values = {value for can in shipped for value in getattr(can, name, ())}
        if set(_words(row["values"])) != values:
            yield f"capability {name}: its values are {', '.join(sorted(values))}"


def _policies(rows: Rows) -> Iterator[str]:
    """Yield wrong policies: one is implemented if the words of its row are valid in a manifest of that kind."""
    for row in rows:
        (name,) = _words(row["policy"])
        expressed = re.fullmatch(r"(Profile|Sandbox) `(\{.+\})`", row["expressed as"])
        if row["status"] == RESERVED:
            if expressed:
                yield f"policy {name}: reserved, and expressed as {expressed[0]}"
        elif expressed is None:
            yield f"policy {name}: implemented, and no manifest is shown that expresses it"
        else:
            yield from (f"policy {name}: {wrong}" for wrong in _invalid(expressed[1], yaml.safe_load(expressed[2])))


def _invalid(kind: str, spec: dict[str, Any]) -> Iterator[str]:
    needed = {"Profile": {"extension": "ext.compose-ssh"}, "Sandbox": {"profile": "profile.any"}}[kind]
    document = {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": {"name": "any"}, "spec": needed | spec}
    model: type[BaseModel] = KINDS[kind]
    try:
        model.model_validate(document)
    except ValidationError as error:
        yield f"not valid in a {kind}: {error.errors()[0]['msg']}"


def _compared(title: str, rows: Rows, there: Iterable[str]) -> Iterator[str]:
    """Yield rows that are implemented and missing, or reserved and present, and things without a row."""
    known, shown = set(there), set()
    for row in rows:
        for name in _words(row[title]):
            shown.add(name)
            if (name in known) != (row["status"] == IMPLEMENTED):
                yield f"{title} {name}: {row['status']}, and it is {'there' if name in known else 'not there'}"
    yield from (f"{title} {name}: the code has it, and no row" for name in sorted(known - shown))


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _plain(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def main() -> int:
    """Print every problem of the page; return 1 if there is any."""
    found = list(problems())
    for line in found:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)}: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
