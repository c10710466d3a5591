"""No text shows a secret: not a line of it, not a piece, and not in any of the common encodings."""

from __future__ import annotations

import base64
import html
import json
import random
import shlex
import string
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.extensions.compose_ssh.policy import DeliveredSecret
from sandboxer.extensions.compose_ssh.render import Variables
from sandboxer.model.hidden import Hidden
from sandboxer.model.redaction import Redactor, is_sensitive_name

PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n".format(
    "\n".join(base64.b64encode(random.Random(line).randbytes(48)).decode() for line in range(12))
)
Encode = Callable[[str], str]


def _b64(before: bytes = b"", after: bytes = b"", *, url: bool = False) -> Encode:
    to = base64.urlsafe_b64encode if url else base64.b64encode
    return lambda value: to(before + value.encode() + after).decode()


def _go(value: str) -> str:
    """As Go's %q writes it."""
    escapes = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f"}
    return '"' + "".join(escapes.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in value) + '"'


ENCODINGS: dict[str, Encode] = {
    "plain": str,
    "base64": _b64(),
    "base64, one before": _b64(b"x", b"yz"),
    "base64, two before": _b64(b"xy", b"z"),
    "base64, a login": _b64(b"user:"),
    "base64, a line": _b64(after=b"\n"),
    "base64 without padding": lambda value: _b64()(value).rstrip("="),
    "base64 for URLs": _b64(url=True),
    "base64 for URLs, one before": _b64(b"\xff", b"\xff\xfe", url=True),
    "base64 for URLs, two before": _b64(b"\xff\xfe", b"\xff", url=True),
    "base64 in lines of 76": lambda value: base64.encodebytes(value.encode()).decode(),
    "base64 in JSON in a URL": lambda value: quote(json.dumps({"auth": _b64(b"me:")(value)})),
    "percent": lambda value: quote(value, safe=""),
    "percent, lower case": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "percent, slashes kept": quote,
    "a form": quote_plus,
    "JSON": json.dumps,
    "JSON with letters kept": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"key": value})),
    "JSON in JSON in JSON": lambda value: json.dumps(json.dumps(json.dumps(value))),
    "Python": repr,
    "Python's bytes": lambda value: repr(value.encode()),
    "Go": _go,
    "unicode escapes": lambda value: "".join(f"\\u{ord(c):04X}" if ord(c) < 65536 else c for c in value),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "HTML": html.escape,
    "HTML, numbers": lambda value: "".join(f"&#{ord(c)};" for c in value),
    "HTML, hex numbers": lambda value: "".join(f"&#x{ord(c):x};" for c in value),
    "a shell": shlex.quote,
    "a shell, backslashes": lambda value: "".join(c if c.isalnum() else f"\\{c}" for c in value if c != "\n"),
    "YAML": lambda value: yaml.safe_dump({"key": value}),
    "YAML, wide": lambda value: yaml.safe_dump({"key": value}, width=10**6, allow_unicode=True),
    "YAML, quoted": lambda value: yaml.safe_dump({"key": value}, default_style='"', width=10**6),
    "a literal block": lambda value: yaml.dump({"key": value}, default_style="|"),
    "log lines": lambda value: "\n".join(f"web-1  | {line}" for line in value.splitlines()),
    "percent in JSON": lambda value: json.dumps({"url": "https://x/?" + quote_plus(value)}),
    "JSON in a shell": lambda value: shlex.quote(json.dumps({"key": value})),
    "JSON in HTML": lambda value: html.escape(json.dumps(value)),
}
LINE = st.text(alphabet=string.printable[:95] + "äöß€日𝔸", min_size=12, max_size=80).filter(
    lambda line: len(line.strip()) >= 12 and len(set(line)) > 4
)


def windows(encoded: str, size: int = 8) -> set[str]:
    return {encoded[at : at + size] for at in range(len(encoded) - size + 1)}


@pytest.mark.parametrize("name", ENCODINGS)
@settings(max_examples=6, deadline=None)
@given(lines=st.lists(LINE, min_size=1, max_size=4), before=st.text(string.ascii_letters + " :=\n", max_size=9))
def test_no_window_of_a_secret_survives_in_any_encoding(name: str, lines: list[str], before: str) -> None:
    secret = "\n".join(lines)
    redactor = Redactor([secret])
    for value in {secret, *lines}:
        # What no line of a secret holds: else the end of a line and what follows could be a piece of one.
        text = f"{before}\n{ENCODINGS[name](value)}\n¦¦¦"
        shown = redactor.redact(text)
        assert "(hidden)" in shown
        assert shown.endswith("¦¦¦")
        left = windows(shown.replace("(hidden)", "\0" * 8).removesuffix("¦¦¦")[len(before) :])
        for line in value.split("\n"):
            assert not left & windows(line.strip()), (text, shown)
        if name.startswith("base64"):
            for decoded in _decoded(shown):
                assert not [window for window in windows(value, 6) if window.encode() in decoded], (text, shown)


def _decoded(shown: str) -> list[bytes]:
    """Return what the base64 that was left stands for, wherever it begins."""
    rest = "".join(
        c for c in shown.replace("(hidden)", "").translate(str.maketrans("-_", "+/")) if c.isalnum() or c in "+/"
    )
    return [base64.b64decode(rest[skip:][: (len(rest) - skip) // 4 * 4]) for skip in range(4)]


@pytest.mark.parametrize("cut", range(8, 64, 5))
@pytest.mark.parametrize("name", ["plain", "base64", "JSON", "percent, lower case", "hex"])
def test_a_piece_of_a_secret_shows_no_more_than_the_whole(name: str, cut: int) -> None:
    secret = base64.b64encode(random.Random(cut).randbytes(48)).decode()
    encoded = ENCODINGS[name](secret)
    for piece in (encoded[:cut], encoded[-cut:], encoded[7 : 7 + cut]):
        shown = Redactor([secret]).redact(f"output: {piece}")
        rest = shown.removeprefix("output: ").replace("(hidden)", "")
        few = 8 if "(hidden)" in shown else 16  # what reads as words or a number may be longer
        assert len(rest) < few * 3 if name == "percent, lower case" else len(rest) < few, (piece, shown)


def test_a_container_that_prints_one_line_of_a_key() -> None:
    redactor = Redactor([PEM])
    for line in PEM.splitlines():
        assert redactor.redact(f"web-1 | {line}  ") == "web-1 | (hidden)  "
    assert redactor.redact(f"key: {json.dumps(PEM)}") == 'key: "(hidden)"'
    assert redactor.redact(PEM) == "(hidden)"
    assert redactor.redact(PEM.replace("\n", "\r\n")).replace("\r\n", "") == "(hidden)" * 14


@pytest.mark.parametrize(
    ("secrets", "text"),
    [
        (['{\n  "type": "x",\n}\n'], "} and { and x stay"),
        (["postgres://app:s3cretW0rd@db:5432/app"], "service postgres is exited (1), port 5432"),
        (["a line\n\n\n-\nof text"], "- a - b\n\n\n"),
        (["2026-11-30T10:00:00Z token"], "at 2026-11-30"),
        ([""], "text"),
        (["unrelated"], "%zz &nosuch; \\q '' \\u12 \\"),
    ],
)
def test_a_piece_that_reveals_nothing_stays(secrets: list[str], text: str) -> None:
    assert Redactor(secrets).redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3cretW0rd", "(hidden)"),
        ("password s3cretW0 was cut", "password (hidden) was cut"),
        ("postgres://app:s3cretW0rd@db:5432/app", "(hidden)"),
        ("app%3As3cretW0rd%40db", "(hidden)"),
    ],
)
def test_pieces_of_an_address(text: str, shown: str) -> None:
    assert Redactor(["postgres://app:s3cretW0rd@db:5432/app"]).redact(text) == shown


@pytest.mark.parametrize("secret", ["abcd", "hunter2", "päss", "a bc"])
def test_a_short_secret_is_hidden_all_the_same(secret: str) -> None:
    redactor = Redactor([secret])
    assert redactor.redact(f"[{secret}]") == "[(hidden)]"
    assert secret not in redactor.redact(json.dumps([secret]))
    assert quote(secret) not in redactor.redact(f"?q={quote(secret)}").removeprefix("?q=") or quote(secret) in "?q="
    if len(secret) >= 7:
        assert "(hidden)" in redactor.redact(base64.b64encode(secret.encode()).decode())


def test_a_value_of_fewer_than_four_characters_is_never_searched_for() -> None:
    redactor = Redactor(["x", "ab", "abc", ""], ["1", "yes"])
    for text in ("x ab abc 1 yes", json.dumps(["abc"]), base64.b64encode(b"abc").decode()):
        assert redactor.redact(text) == text


def test_the_name_of_a_service_stays_whole() -> None:
    secrets = ["postgres", "work", "api-1"]
    text = 'service "postgres" exited: postgres; service "worker" and service "api-1" wait for work'
    shown = 'service "postgres" exited: (hidden); service "worker" and service "api-1" wait for (hidden)'
    assert Redactor(secrets, services={"postgres", "worker", "api-1"}).redact(text) == shown
    assert Redactor(secrets).redact(text) == shown
    assert Redactor([], secrets).redact(text) == shown
    # A log may name what is no service.
    unknown = Redactor(secrets, services={"worker"}).redact('service "postgres" and service "worker"')
    assert unknown == 'service "(hidden)" and service "worker"'
    assert Redactor(["a work of art"]).redact('service "a work of art"') == 'service "(hidden)"'
    assert Redactor(['service "postgres"!']).redact('service "postgres"!') == "(hidden)"


def test_environment_values_are_found_whole_and_by_line_and_not_in_pieces() -> None:
    redactor = Redactor([], ["1", "yes", "true", "postgres://app@db/app9", "first line\nsecond line"])
    assert redactor.redact("1 yes true") == "1 yes (hidden)"
    assert redactor.redact("postgres://app@db/app9 postgres://app@db") == "(hidden) postgres://app@db"
    assert redactor.redact("second line, first") == "(hidden), first"
    assert redactor.redact(quote("postgres://app@db/app9", safe="")) == "(hidden)"


def test_bytes_that_are_no_text() -> None:
    value = b"key\xff\xfe\x80secret\xc3".decode("utf-8", "surrogateescape")
    redactor = Redactor([value])
    data = value.encode("utf-8", "surrogateescape")
    for text in (data.decode("utf-8", "replace"), repr(data), base64.b64encode(data).decode(), data.hex(), value):
        assert "secret" not in redactor.redact(text)
        assert "(hidden)" in redactor.redact(text)


def test_the_variables_of_a_compose_file_know_which_are_secrets() -> None:
    values = {"KEY": Hidden("s3cretW0rd-and-more"), "LEVEL": Hidden("debug-all"), "DB_PASSWORD": Hidden("tulip-bulb")}
    variables = Variables(values, {"KEY": DeliveredSecret("/x", "1")})
    assert variables.redact("s3cretW0rd debug debug-all tulip-bulb") == "(hidden) debug debug-all (hidden)"


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(alphabet="ab%&;#\\'\"ux0123456789\n-+", max_size=80), secrets=st.lists(st.text("ab%\\'", min_size=1))
)
def test_nothing_that_a_text_holds_ends_in_an_error(text: str, secrets: list[str]) -> None:
    shown = Redactor(secrets).redact(text)
    for secret in secrets:
        assert len(secret) < 4 or secret not in shown.replace("(hidden)", "\0")


def test_many_values_and_a_long_text_take_little_time() -> None:
    chance = random.Random(1)
    secrets = ["".join(chance.choices(string.ascii_letters, k=40)) for _ in range(200)]
    lines = ["".join(chance.choices(string.printable, k=100)) for _ in range(3_000)]
    lines[1_500] = secrets[7]
    began = time.process_time()
    shown = Redactor(secrets, [f"value-{number}" for number in range(500)]).redact("\n".join(lines))
    assert secrets[7] not in shown
    assert time.process_time() - began < 10  # on any machine; some 1 s for noise that is full of escapes


def test_a_huge_secret_costs_little_memory_and_is_found_by_line() -> None:
    chance = random.Random(2)
    lines = ["".join(chance.choices(string.ascii_letters, k=60)) for _ in range(6_000)]
    redactor = Redactor(["\n".join(lines)])
    assert redactor.redact(f"a {lines[77]} b") == "a (hidden) b"
    assert len(redactor.redact(f"a {lines[99][5:50]} b")) < len("a (hidden) b") + 16


# --- which variables are hidden


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "DB_PASSWORD", "POSTGRES_PASSWORD_FILE", "MYSQL_PASSWD", "KEY_PASSPHRASE", "DB_PASS", "DB_PWD"),
        *("TOKEN", "GITHUB_TOKEN", "TOKENS", "SECRET", "SECRET_KEY_BASE", "client_secret", "API_KEY", "APIKEY"),
        *("SIGNING_KEY", "SIGNING_KEYS", "AWS_CREDENTIALS", "PRIVATE_PEM", "dbPassword"),
    ],
)
def test_a_name_that_says_secret_is_sensitive(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name", ["LEVEL", "KEY", "KEYBOARD", "MONKEY", "PWD", "PASS_THROUGH", "COMPASS", "DB_HOST", "KEY_ID", "URL"]
)
def test_a_plain_name_is_sensitive_only_where_it_is_listed(name: str) -> None:
    assert not is_sensitive_name(name)
    assert is_sensitive_name(name, [name])
    assert not is_sensitive_name(name, [name.lower()])
