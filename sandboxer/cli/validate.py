"""``sandboxer validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stderr, stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.fleet_folder import within_fleet
from sandboxer.cli.options import output_option
from sandboxer.cli.session import opened
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sandboxer.model.desired import DesiredSandbox


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--ref", metavar="REV", help="Check the manifests of this git revision.")
@output_option("text", "json", "sarif", "github")
def validate(paths: tuple[str, ...], ref: str | None, output: str) -> int:
    """Check all manifests and inputs offline.

    Reports all findings at once, and how many documents are valid. PATH limits the report to files or folders, and to
    what their sandboxes run; the whole fleet is still read, because manifests refer to each other.

    \b
    Examples:
      sandboxer validate
      sandboxer validate manifests/web.yaml
      sandboxer validate -o github       annotations in a GitHub workflow
    """
    from sandboxer.render import diagnostics as render

    with opened(revision=ref) as (source, _hosts):
        found, documents = source.manifests().diagnostics, source.manifests().documents
        chosen = _checked(paths, source.files().files, source.root)
        sandboxes = list(source.fleet_offline().sandboxes.values()) if source.manifests().ok else []
    if paths:
        files = {one.name: one.file for one in documents if one.kind == "Sandbox"}
        sandboxes = [one for one in sandboxes if any(_within(files[one.name], path) for path in chosen)]
        found = tuple(one for one in found if any(_within(one.location.file, path) for path in chosen))
        documents = tuple(one for one in documents if any(_within(one.file, path) for path in chosen))
    found = tuple(dict.fromkeys((*found, *(finding for one in sandboxes for finding in one.diagnostics))))
    for note in _not_checked(sandboxes):
        stderr().print(note, markup=False)
    if output == "text":
        text = render.to_text(found) if found else ""
        stdout().print(text + render.valid_documents(documents, found), markup=False)
    else:
        write({"json": render.to_json, "sarif": render.to_sarif, "github": render.to_github}[output](found))
    return EXIT_ERROR if any(d.severity == "error" for d in found) else EXIT_DONE


def _not_checked(sandboxes: Iterable[DesiredSandbox]) -> Iterator[str]:
    """Yield what could not be checked offline, and why."""
    causes: dict[str, list[str]] = {}
    for one in sandboxes:
        if one.input_error is not None:
            causes.setdefault(one.input_error, []).append(named("sandbox", one.name))
    for cause, names in causes.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"Not checked: the files of {', '.join(names[:3])}{more}: {cause}"


def _checked(paths: tuple[str, ...], files: Iterable[str], root: Path) -> list[str]:
    """Return the paths as the fleet's manifests are named, which is from its folder."""
    names, chosen = list(files), []
    for path in paths:
        chosen.append(within_fleet(path, root))
        if not any(_within(name, chosen[-1]) for name in names):
            raise click.UsageError(f"{path}: contains no manifest of this fleet")
    return chosen


def _within(file: str, path: str) -> bool:
    return path in (".", file) or file.startswith(path + "/")
