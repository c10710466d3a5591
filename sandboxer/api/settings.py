"""Settings of a server, from the options of the command line."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.api.rate_limit import parse_rate
from sandboxer.api.tokens import read_tokens, token_of_this_run
from sandboxer.errors import UsageError
from sandboxer.model.text import printable
from sandboxer.web.limits import Limits
from sandboxer.web.listen import is_loopback, parse_listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from limits import RateLimitItem

    from sandboxer.api.tokens import Tokens
    from sandboxer.model.hidden import Hidden

LISTEN = "127.0.0.1:8700"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a server. ``token`` is set only if it was generated for this run, to be announced.

    ``reap_every`` and ``grace`` are in seconds.
    """

    host: str
    port: int
    tokens: Tokens
    token: Hidden | None
    tls: tuple[str, str] | None
    any_name: bool
    operations: int
    queue: int
    rate: RateLimitItem
    reap_every: float
    grace: float
    limits: Limits = field(default_factory=Limits)


def settings_of(
    *,
    listen: str,
    tokens: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    behind_proxy: bool,
    operations: int,
    queue: int,
    rate: str,
    reap_every: float,
    grace: float,
    warn: Callable[[str], None],
) -> Settings:
    """Return the settings that the options name.

    Raise UsageError if they are invalid, or if an address would be open to others unintentionally.
    """
    host, port = parse_listen(listen, LISTEN)
    tls = _tls(tls_cert, tls_key)
    if not is_loopback(host):
        words = f"--listen {printable(listen)}: not a loopback address"
        if tokens is None:
            raise UsageError(f"{words}, but no tokens are set", hint="add --tokens FILE")
        if tls is None and not behind_proxy:
            hint = "add --tls-cert and --tls-key, or --behind-proxy if a proxy terminates TLS"
            raise UsageError(f"{words}; without TLS, tokens would be sent in clear text", hint=hint)
    known, token = (read_tokens(Path(tokens), warn), None) if tokens is not None else token_of_this_run()
    return Settings(
        host=host,
        port=port,
        tokens=known,
        token=token,
        tls=tls,
        # A foreign page may reach the loopback, and has no token; behind a proxy, or with a host name of its own, the
        # name that a client requested is not known here.
        any_name=behind_proxy or not is_loopback(host),
        operations=operations,
        queue=queue,
        rate=parse_rate(rate),
        reap_every=reap_every,
        grace=grace,
        # Clients behind a proxy all come from its address.
        limits=replace(Limits(), of_address=None) if behind_proxy else Limits(),
    )


def _tls(cert: str | None, key: str | None) -> tuple[str, str] | None:
    """Return the files of certificate and key after checking that they fit. Raise UsageError if they do not."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UsageError("--tls-cert and --tls-key must be used together")
    try:
        # Without a prompt for a passphrase, which nobody would answer.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"--tls-cert {printable(cert)}, --tls-key {printable(key)}: cannot be used: {reason}",
            hint="use PEM files, and a key without a passphrase",
        ) from None
    return cert, key
