"""``sandboxer validate``."""

from __future__ import annotations

from pathlib import Path

import click

from sandboxer.cli.console import stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR
from sandboxer.cli.options import output_option
from sandboxer.cli.session import opened


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--ref", metavar="REV", help="Check the manifests of this git revision.")
@output_option("text", "json", "sarif", "github")
def validate(paths: tuple[str, ...], ref: str | None, output: str) -> int:
    """Check all manifests without contacting a host.

    Reports all findings at once. PATH limits the report to files or folders; the whole fleet is still read, because
    manifests refer to each other.

    \b
    Examples:
      sandboxer validate
      sandboxer validate manifests/web.yaml
      sandboxer validate -o github       annotations in a GitHub workflow
    """
    from sandboxer.render import diagnostics as render

    with opened(revision=ref) as (source, _hosts):
        found = source.manifests().diagnostics
        files = source.files().files
    if paths:
        found = tuple(d for d in found if any(_within(d.location.file, path) for path in _checked(paths, files)))
    if output == "text":
        stdout().print(render.to_text(found, color=False), markup=False, end="")
    else:
        write({"json": render.to_json, "sarif": render.to_sarif, "github": render.to_github}[output](found))
    return EXIT_ERROR if any(d.severity == "error" for d in found) else EXIT_DONE


def _checked(paths: tuple[str, ...], files: object) -> list[str]:
    prefixes = [Path(path).as_posix().removeprefix("./").rstrip("/") for path in paths]
    names = list(files)  # type: ignore[call-overload]
    for path in prefixes:
        if not any(_within(name, path) for name in names):
            raise click.UsageError(f"{path}: contains no manifest of this fleet")
    return prefixes


def _within(file: str, path: str) -> bool:
    return path in (".", file) or file.startswith(path + "/")
