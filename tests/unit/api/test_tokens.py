"""The file of tokens, and where a server may listen without one."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.api.settings import settings_of
from sandboxer.api.tokens import Grant, read_tokens
from sandboxer.errors import UsageError
from sandboxer.web.gate import digest
from tests.support.hubs import self_signed

if TYPE_CHECKING:
    from pathlib import Path

SUM = hashlib.sha256(b"the token").hexdigest()
GOOD = f"""
- name: ci
  sha256: {SUM}
  scopes: [read, write]
  consumer: atm/wise-validator
- {{name: board, sha256: {"0" * 64}, scopes: [read]}}
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "tokens.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def refuse(words: str) -> None:
    pytest.fail(f"warned: {words}")


def test_a_file_grants_scopes_to_tokens(tmp_path: Path) -> None:
    tokens = read_tokens(written(tmp_path, GOOD), refuse)
    assert tokens.grant_of(digest(b"the token")) == Grant("ci", write=True, consumer=("atm", "wise-validator"))
    assert tokens.grant_of(bytes(32)) == Grant("board", write=False)
    assert tokens.grant_of(digest(b"another")) is None


def test_a_file_may_be_json(tmp_path: Path) -> None:
    text = json.dumps([{"name": "ci", "sha256": SUM.upper(), "scopes": ["write"]}])
    assert read_tokens(written(tmp_path, text), refuse).grant_of(digest(b"the token")) == Grant("ci", write=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a list"),
        ("{}", "must be a list"),
        ("[]", "must be a list"),
        ("- [", ":1: not valid YAML"),
        ("- a\n- &x [*x]", ":1: a token must be a mapping"),
        (GOOD + "- {name: a}", ":7: `sha256` is missing"),
        (GOOD + f"- {{name: ci, sha256: {'1' * 64}, scopes: [read]}}", ":7: the name ci occurs twice"),
        (GOOD + f"- {{name: other, sha256: {SUM}, scopes: [read]}}", ":7: the token of ci occurs twice"),
        ("- name: a\n  sha256: my-own-secret\n  scopes: [read]", ":2: `sha256` must be 64 hex digits"),
        (f"- name: a\n  sha256: {SUM}\n  scopes: [admin]", ":3: `scopes` must be"),
        (f"- name: a\n  sha256: {SUM}\n  scopes: read", ":3: `scopes` must be"),
        (f"- name: a\n  sha256: {SUM}\n  scopes: []", ":3: `scopes` must be"),
        (f"- name: a b\n  sha256: {SUM}\n  scopes: [read]", ":1: `name` must be"),
        (f"- name: a\n  token: {SUM}", ":2: the key `token` is unknown"),
        ("- name: a\n  name: b", ":2: the key `name` occurs twice"),
        (f"- name: a\n  sha256: {SUM}\n  scopes: [read]\n  consumer: me/x", ":4: `consumer` must be"),
        (f"- name: a\n  sha256: {SUM}\n  scopes: [read]\n  consumer:", ":4: `consumer` must be"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read_tokens(written(tmp_path, text), refuse)
    assert words in error.value.message
    assert "my-own-secret" not in error.value.message + error.value.hint


def test_a_file_that_others_may_change_lets_nobody_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="writable by other users"):
        read_tokens(written(tmp_path, GOOD, 0o620), refuse)
    warned: list[str] = []
    read_tokens(written(tmp_path, GOOD, 0o644), warned.append)
    assert "readable by other users" in warned[0]


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="--tokens"):
            read_tokens(path, refuse)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match="not a regular file"):
        read_tokens(tmp_path / "pipe", refuse)


def settings(**given: Any) -> Any:
    """Return settings, of what the command line gives without options but for these."""
    defaults: dict[str, Any] = {
        "listen": "127.0.0.1:8700",
        "tokens": None,
        "tls_cert": None,
        "tls_key": None,
        "behind_proxy": False,
        "operations": 8,
        "queue": 100,
        "rate": "120/minute",
        "reap_every": 60.0,
        "grace": 30.0,
        "warn": refuse,
    }
    return settings_of(**{**defaults, **given})


def test_on_the_loopback_there_is_a_token_for_the_run() -> None:
    one, other = settings(), settings()
    assert one.token.reveal() != other.token.reveal()
    assert one.tokens.grant_of(digest(one.token.reveal().encode())) == Grant("this-run", write=True)
    assert one.token.reveal() not in repr(one)
    assert not one.any_name


def test_elsewhere_it_needs_tokens_and_tls_or_a_proxy(tmp_path: Path) -> None:
    tokens = str(written(tmp_path, GOOD))
    pem = str(self_signed(tmp_path))
    for listen in ("0.0.0.0:8700", "[::]:8700", "192.0.2.1:0", "sandboxes.example:8700"):
        with pytest.raises(UsageError, match="no tokens"):
            settings(listen=listen)
        with pytest.raises(UsageError, match="in clear text"):
            settings(listen=listen, tokens=tokens)
        assert settings(listen=listen, tokens=tokens, behind_proxy=True).any_name
        assert settings(listen=listen, tokens=tokens, tls_cert=pem, tls_key=pem).tls == (pem, pem)
    assert settings(tokens=tokens).token is None


def test_tls_that_cannot_be(tmp_path: Path) -> None:
    pem, none = str(self_signed(tmp_path)), str(written(tmp_path, "no key"))
    for given in ({"tls_cert": pem}, {"tls_key": pem}):
        with pytest.raises(UsageError, match="must be used together"):
            settings(**given)
    for key in (none, str(tmp_path / "absent")):
        with pytest.raises(UsageError, match="cannot be used"):
            settings(tls_cert=pem, tls_key=key)
