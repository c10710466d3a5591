"""Settings of the hub, from the options of the command line: its address, its token and its file."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sandboxer.errors import UsageError
from sandboxer.model.hidden import Hidden
from sandboxer.model.text import printable
from sandboxer.web.limits import Limits
from sandboxer.web.listen import is_loopback, parse_listen, url_of

LISTEN = "127.0.0.1:8600"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a hub. ``shown`` says whether its token may be printed: only if it was generated for this run."""

    host: str
    port: int
    token: Hidden
    shown: bool
    database: Path
    limits: Limits = field(default_factory=Limits)


def settings_of(listen: str, token: str | None, database: str | None) -> Settings:
    """Return the settings that the options name.

    Raise UsageError if they are invalid, or if the hub would be open to a network unintentionally.
    """
    host, port = parse_listen(listen, LISTEN)
    if token is None and not is_loopback(host):
        raise UsageError(
            f"--listen {printable(listen)}: not a loopback address, but no token is set",
            hint="add --token env:NAME or --token file:PATH, or listen on 127.0.0.1",
        )
    value = _token(token) if token is not None else Hidden(secrets.token_urlsafe(32))
    path = Path(database).expanduser() if database else default_database()
    return Settings(host, port, value, shown=token is None, database=path.absolute())


def default_database() -> Path:
    """Return the default path of the file: below the user's directory for state."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "sandboxer" / "hub.sqlite"


def address_of(settings: Settings, port: int) -> str:
    """Return the URL of the page.

    A token that was generated for this run follows `#`, a part that no browser sends.
    """
    fragment = f"#token={settings.token.reveal()}" if settings.shown else ""
    return f"{url_of(settings.host, port)}/{fragment}"


def _token(source: str) -> Hidden:
    """Return the token that `env:NAME` or `file:PATH` refers to. Raise UsageError, which never contains it."""
    kind, _, where = source.partition(":")
    if kind not in ("env", "file") or not where:
        # A user who gave the token itself must not read it in a log.
        raise UsageError("--token must be a reference to the token, not its value", hint="use env:NAME or file:PATH")
    try:
        value = (
            os.environ[where] if kind == "env" else Path(where).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        )
    except KeyError:
        raise UsageError(f"--token {printable(source)}: no such environment variable") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"--token {printable(source)}: cannot be read: {reason}") from None
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", value):
        raise UsageError(
            f"--token {printable(source)}: contains no valid token",
            hint="use one line of printable ASCII characters without spaces",
        )
    return Hidden(value)
