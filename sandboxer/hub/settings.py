"""Where the hub listens, what its token is, and where its file lies: from the words of a command line."""

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
    """What a hub runs with. ``shown`` says whether its token is to be told: only where it was made for this run."""

    host: str
    port: int
    token: Hidden
    shown: bool
    database: Path
    limits: Limits = field(default_factory=Limits)


def settings_of(listen: str, token: str | None, database: str | None) -> Settings:
    """Return the settings that the options name.

    Raises UsageError, also where the hub would be open to a network unasked.
    """
    host, port = parse_listen(listen, LISTEN)
    if token is None and not is_loopback(host):
        raise UsageError(
            f"--listen {printable(listen)}: others can reach that address, and there is no token to keep them out",
            hint="add --token env:NAME or --token file:PATH, or listen on 127.0.0.1",
        )
    value = _token(token) if token is not None else Hidden(secrets.token_urlsafe(32))
    path = Path(database).expanduser() if database else default_database()
    return Settings(host, port, value, shown=token is None, database=path.absolute())


def default_database() -> Path:
    """Return where the file lies unless something else is said: below the user's folder for state."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # The specification has a relative path ignored.
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "sandboxer" / "hub.sqlite"


def address_of(settings: Settings, port: int) -> str:
    """Return the address of the page.

    With a token of this run it carries that, behind the `#` that no browser sends.
    """
    fragment = f"#token={settings.token.reveal()}" if settings.shown else ""
    return f"{url_of(settings.host, port)}/{fragment}"


def _token(source: str) -> Hidden:
    """Return the token that `env:NAME` or `file:PATH` stands for. Raises UsageError, which never shows it."""
    kind, _, where = source.partition(":")
    if kind not in ("env", "file") or not where:
        # Whoever put the token itself here must not read it in a log.
        raise UsageError("--token must say where the token is, never the token", hint="env:NAME or file:PATH")
    try:
        value = (
            os.environ[where] if kind == "env" else Path(where).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        )
    except KeyError:
        raise UsageError(f"--token {printable(source)}: there is no such variable") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"--token {printable(source)}: cannot be read: {reason}") from None
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", value):
        raise UsageError(
            f"--token {printable(source)}: holds no token", hint="one line of printable ASCII characters without blanks"
        )
    return Hidden(value)
