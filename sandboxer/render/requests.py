"""What is wrong with a request, in the terms of the options that it was made of: no manifest has it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors import ManifestError
from sandboxer.errors.diagnostic import Location
from sandboxer.model.request import FILE

if TYPE_CHECKING:
    from sandboxer.errors.diagnostic import Diagnostic

# With `=`, the option takes a key, which the rest of the path names.
_OPTIONS = {
    "metadata.name": "--name",
    "metadata.labels": "--label=",
    "spec.profile": "--profile",
    "spec.inputs": "--input=",
    "spec.ttl": "--ttl",
    "spec.consumer": "--consumer",
    "spec.env": "--env=",
    "spec.secretRefs": "--secret=",
    "spec.placement.hosts": "--host",
}
_PATH = re.compile(r"(?:`|Sandbox )((?:spec|metadata)\.[^\s`]+)`?")


def in_options(error: ManifestError) -> ManifestError:
    """Return the error with each finding about the request in the terms of the options of ``create``."""
    return ManifestError([_in_options(one) if one.location.file == FILE else one for one in error.diagnostics])


def _in_options(found: Diagnostic) -> Diagnostic:
    message, hint = (
        _PATH.sub(lambda match: _option(match[1]) or match[0], text) for text in (found.message, found.hint)
    )
    return replace(found, message=message, hint=hint, location=Location(""), source_line="")


def _option(path: str) -> str:
    """Return the option that sets this part of the document; empty if none does."""
    for start, option in _OPTIONS.items():
        rest = path.removeprefix(start)
        if rest == path or rest[:1] not in ("", ".", "["):
            continue
        key = rest.removeprefix(".")
        if option.endswith("="):
            return f"`{option[:-1]} {key}=`" if key and not key.startswith("[") else f"`{option[:-1]}`"
        return f"the {key} of `{option}`" if key and not key.startswith("[") else f"`{option}`"
    return ""
