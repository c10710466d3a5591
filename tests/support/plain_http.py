"""HTTP without TLS: clients that load no certificates, which takes longer than a request."""

from __future__ import annotations

import ssl

import httpx

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def plain_client(url: str = "", token: str | None = None) -> httpx.Client:
    """Return a client of the server at ``url``, with a bearer token if one is given; it reads no proxy settings."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False, verify=_NO_CERTIFICATES)
