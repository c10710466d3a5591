"""A failure: why a sandbox could not be created or changed, as its record, its handle and its event say it.

``extensions/recorded_directory.py`` writes it, with the whole text beside the record; a success clears both.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sandboxer.model.timestamp import Utc

MOST_MESSAGE, MOST_HINT, MOST_STEP, MOST_SERVICE = 1000, 500, 40, 255
MOST_TEXT = 64 * 1024
"""How many bytes of the whole text are kept beside the record."""

_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
_Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_Message = Annotated[str, StringConstraints(pattern=_LINE, max_length=MOST_MESSAGE)]
_Hint = Annotated[str, StringConstraints(pattern=_LINE, max_length=MOST_HINT)]
_Step = Annotated[str, StringConstraints(pattern=_LINE, max_length=MOST_STEP)]
_Service = Annotated[str, StringConstraints(pattern=_LINE, max_length=MOST_SERVICE)]


class Failure(BaseModel):
    """Why the last operation on a sandbox failed: its cause in one line, and what to do about it."""

    # A newer release may add keys.
    model_config = ConfigDict(extra="allow", frozen=True)

    code: _Code = Field(
        description="The kind of failure, such as `build-failed` or `out-of-memory`; a newer release may add more."
    )
    message: _Message = Field(description="The cause, in one line.")
    hint: _Hint = Field(description="What to do about it; may be empty.")
    at: Utc = Field(description="When it failed, by the clock of the machine that acted, RFC 3339 in UTC.")
    step: _Step = Field(description="What was being done, such as `build`, `pull` or `start`.")
    service: _Service | None = Field(None, description="The service at fault; null if none is known.")
