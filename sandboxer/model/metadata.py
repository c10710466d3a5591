"""What every manifest begins with: its version, its kind and its metadata."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sandboxer.model.base import Strict
from sandboxer.model.text import LabelKey, LabelValue, Name

API_VERSION = "sandboxer.dev/v1"

Labels = dict[LabelKey, LabelValue]
TcpPort = Annotated[int, Field(ge=1, le=65535)]


class Metadata(Strict):
    """The metadata of every manifest."""

    name: Name = Field(description="Unique among the fleet's manifests of this kind.")
    labels: Labels = Field({}, description="Labels for selectors and for people.")


class Manifest(Strict):
    """The fields of every document."""

    api_version: Literal["sandboxer.dev/v1"] = Field(description="The version of the manifest format.")
    metadata: Metadata = Field(description="The name and labels.")
