"""``sandboxer render``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sandboxer.cli.console import stdout, write
from sandboxer.cli.exit_codes import EXIT_DONE
from sandboxer.cli.options import output_option
from sandboxer.cli.session import opened
from sandboxer.errors import UsageError

if TYPE_CHECKING:
    from sandboxer.model.desired import DesiredSandbox, Fleet


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--explain", "explained", is_flag=True, help="Show the manifest and line that set each value.")
@click.option("--ref", metavar="REV", help="Read the manifests of this git revision.")
@output_option("text", "json", "yaml")
def render(name: str, explained: bool, ref: str | None, output: str) -> int:
    """Show the effective manifest of a sandbox.

    Merges in the profile, the defaults and the commit of the input, without contacting a host. Environment values are
    hidden, and secrets show their source only.

    \b
    Examples:
      sandboxer render checkout-e2e
      sandboxer render checkout-e2e --explain
      sandboxer render checkout-e2e --ref origin/main -o json
    """
    from sandboxer.profiles.explain import effective, explain, shown

    with opened(revision=ref) as (source, _hosts):
        sandbox = _find(source.fleet(), name)
        rows = explain(sandbox, source.manifests()) if explained else []
    if explained and output == "text":
        from sandboxer.render.explain import explain_text

        stdout().print(explain_text(rows))
        return EXIT_DONE
    value = [shown(row._asdict()) for row in rows] if explained else shown(effective(sandbox))
    if output == "json":
        write(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        import yaml

        write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000))
    return EXIT_DONE


def _find(fleet: Fleet, name: str) -> DesiredSandbox:
    """Return the sandbox of this name or ID. Raise UsageError, with a similar name, if there is none."""
    for sandbox in fleet.sandboxes.values():
        if name in (sandbox.name, sandbox.id):
            return sandbox
    from sandboxer.model.suggestion import did_you_mean
    from sandboxer.model.text import named

    raise UsageError(f"no {named('sandbox', name)} in git", hint=did_you_mean(name, fleet.sandboxes))
