"""The text of changed files is shown without the values of sensitive keys, however a file writes them."""

from __future__ import annotations

import pytest

from sandboxer.model.diff_mask import masked

KEY = "-----BEGIN RSA PRIVATE KEY-----"


def shown(*lines: str, sensitive: tuple[str, ...] = ()) -> list[str]:
    return list(masked(lines, sensitive))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("+DB_PASSWORD=hunter2", "+DB_PASSWORD=(sensitive)"),
        ("-DB_PASSWORD = hunter2 # note", "-DB_PASSWORD = (sensitive)"),
        ("+  db-password: hunter2", "+  db-password: (sensitive)"),
        ('+  "apiKey": "hunter2",', '+  "apiKey": (sensitive)'),
        ("+accessKey: hunter2", "+accessKey: (sensitive)"),
        ("+spring.datasource.password=hunter2", "+spring.datasource.password=(sensitive)"),
        ("+url: http://x, user: a, token: hunter2}", "+url: http://x, user: a, token: (sensitive)"),
        ("+<db-password>hunter2</db-password>", "+<db-password>(sensitive)"),
        ("+ENV DB_PASSWORD hunter2", "+ENV DB_PASSWORD (sensitive)"),
        ("+ENV A=1 DB_PASSWORD=hunter2", "+ENV A=1 DB_PASSWORD=(sensitive)"),
        ("+  run --password hunter2", "+  run --password (sensitive)"),
        ("+  run --db-token=hunter2", "+  run --db-token=(sensitive)"),
        ("+:secret => 'hunter2'", "+:secret => (sensitive)"),
        ("+config['secret'] = 'hunter2'", "+config['secret'] = (sensitive)"),
        ("+PASSWORD=${PASSWORD:-hunter2}", "+PASSWORD=(sensitive)"),
        ("+LICENSE=abc", "+LICENSE=(sensitive)"),
        ("+fetch https://alice:hunter2@git.example/x", "+fetch https://git.example/x"),
        ("+  - Authorization: Bearer abcdef.12345-xyz", "+  - Authorization: Bearer (sensitive)"),
        ("+use ghp_abcdefghij0123456789ABCD here", "+use (sensitive) here"),
        ("+" + "QUJD" * 16, "+(sensitive)"),
    ],
)
def test_a_value_of_a_sensitive_key_is_masked(line: str, expected: str) -> None:
    assert shown(line, sensitive=("LICENSE",)) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        " limit = 10",
        "-  image: shop:1",
        "+secrets:",
        "+    secrets: [DB_PASSWORD]",
        "+  password: ${DB_PASSWORD}",
        "+  PASSWORD: $DB_PASSWORD",
        "+  token: ${{ secrets.TOKEN }}",
        "+  - {name: DB, from: env:DB_PASSWORD}",
        "+  PASSWORD_FILE: /run/secrets/db",
        "+  password:",
        '+  password: ""',
        "+def get_token(self):",
        "+  # the password is in the vault",
        "+  monkey: banana",
        "+sha256:" + "0a" * 32,
        "@@ -1,2 +1,2 @@",
        "\\ No newline at end of file",
    ],
)
def test_what_says_nothing_secret_is_shown_as_it_is(line: str) -> None:
    assert shown(line) == [line]


def test_the_lines_below_a_sensitive_key_are_masked_as_far_as_they_belong_to_it() -> None:
    lines = ["+token: |", "+  first", "+", "+  second", "+next: 1", " other: 2"]
    assert shown(*lines) == ["+token: |", "+  (sensitive)", "+", "+  (sensitive)", "+next: 1", " other: 2"]


def test_a_private_key_is_masked_between_its_markers_and_a_new_hunk_ends_it() -> None:
    lines = [
        f"+{KEY}",
        "+MIIEow",
        "+-----END RSA PRIVATE KEY-----",
        "+after",
        f"-{KEY}",
        "-MIIEow",
        "@@ -9 +9 @@",
        " x",
    ]
    assert shown(*lines) == [
        *(f"+{KEY}(sensitive)", "+(sensitive)", "+(sensitive)-----END RSA PRIVATE KEY-----", "+after"),
        *(f"-{KEY}(sensitive)", "-(sensitive)", "@@ -9 +9 @@", " x"),
    ]


def test_a_private_key_on_one_line_is_masked() -> None:
    line = f'+key: "{KEY}\\nMIIEow\\n-----END RSA PRIVATE KEY-----"'
    assert "MIIE" not in shown(line)[0]


def test_the_context_of_a_hunk_is_masked_too() -> None:
    assert shown("@@ -1 +1 @@ DB_PASSWORD=hunter2") == ["@@ -1 +1 @@ DB_PASSWORD=(sensitive)"]


@pytest.mark.parametrize("part", ["ab1_", "a=1&", "<a ", "a: '' ", "--a "])
def test_a_long_line_is_no_work_for_minutes(part: str) -> None:
    """Each letter would be compared with the rest of the line, if a pattern went back for each."""
    line = '+x = "' + part * (200_000 // len(part)) + '!"'
    assert len(shown(line)) == 1


def test_a_hunk_that_begins_within_the_value_of_a_sensitive_key_is_masked_to_the_end_of_that() -> None:
    lines = ["@@ -13,4 +13,4 @@ secret: |", "   before", "-  hunter2", "+  hunter3", " next: 1", "   shown"]
    assert shown(*lines) == [
        *("@@ -13,4 +13,4 @@ secret: |", "   (sensitive)", "-  (sensitive)", "+  (sensitive)", " next: 1", "   shown")
    ]
    assert shown("@@ -13,4 +13,4 @@ services:", "   web:") == ["@@ -13,4 +13,4 @@ services:", "   web:"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('+api_keys:;+  - one;-  - "two"; next: 1', "+api_keys:;+  - (sensitive);-  - (sensitive); next: 1"),
        ("+tokens:;+- one;+;+- two;+- a: 1", "+tokens:;+- (sensitive);+;+- (sensitive);+- a: 1"),
        ('+ "apiKeys": [;+  "one",;+  "two";+ ];+ "b"', '+ "apiKeys": [;+  (sensitive);+  (sensitive);+ ];+ "b"'),
        ("+passwords:;+  - ${ONE};+  - env:TWO", "+passwords:;+  - ${ONE};+  - env:TWO"),
        ("+secrets:;+  - DB_PASSWORD", "+secrets:;+  - DB_PASSWORD"),
        ("+token-server:;+  image: x;+  ports:;+    - 80", "+token-server:;+  image: x;+  ports:;+    - 80"),
    ],
)
def test_the_items_of_a_sensitive_list_are_masked(lines: str, expected: str) -> None:
    assert shown(*lines.split(";")) == expected.split(";")
