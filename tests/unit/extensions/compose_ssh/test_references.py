"""What may be the reference to an image, and what an engine would read otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.extensions.compose_ssh.references import TRANSPORTS, problem_with_reference, tagged

OURS = "sbx-web-0123abcd"
DIGEST = "sha256:" + "0a" * 32

GOOD = (
    "busybox", "busybox:1", "docker:27", "docker", "docker:27-dind", "sandboxer-lab/busybox:1", "nginx:1.25-alpine",
    "registry.example/team/app:1.2", "registry.example:5000/app", "localhost:5000/app:dev", "localhost/app:dev",
    f"busybox@{DIGEST}", f"registry.example/app:1.2@{DIGEST}", "docker.io/library/postgres:16", "a__b/c-d.e:V1.0_x",
    "cafe:1", "deadbeef/app", "oci/tools:1", "sbx-tools:1", "registry.example/sbx/web:1", f"{OURS}-db",
    f"localhost/{OURS}-db:latest", "docker:5000/app", "sha256sum:1", "x--y:1", "127.0.0.1:5000/app:1",
    "db", "cafe", "7", "Registry.Example.COM/team/app:1", "Registry:5000/app", "REGISTRY.example:5000/app:1",
)  # fmt: skip

BAD = (
    "", " ", "-p18080:80/tcp", "--privileged", "-", "/bin", "/", "./x", "../x", "~/x", ":latest", "busybox:",
    "busybox:1 ",
    " busybox:1", "busybox:1\n", "\nbusybox", "busybox\t:1", "busybox\x00", "busybox:1,ro", "busybox=1", "busybox:a=b",
    "BusyBox", "busybox:-1", "busybox:.1", "a//b", "a/", "a/-b", "a/--privileged", "-a/b", "a..b", "a___b", "a/_b",
    "a_/b",
    "docker-archive:/etc/shadow", "docker-archive:app:1", "oci:foo", "oci:/etc", "oci", "oci-archive:/x", "dir:/etc",
    "dir:x",
    "containers-storage:busybox", "containers-storage:[overlay@/x]busybox", "docker-daemon:busybox:1",
    "docker://busybox",
    "docker:///busybox", "sif:/x", "sif:1", "ostree:x@/y", "tarball:/etc/passwd", "atomic:x/y:z", "oci:5000/app:1",
    "https://registry.example/app", "http:80/x/", "git@github.com:a/b", "busybox@sha256:abc", f"busybox@{DIGEST}0",
    f"busybox@{DIGEST.upper()}", "busybox@md5:" + "0" * 32, DIGEST, "sha256:0a0a", "sha256", "sha512:" + "0" * 128,
    "0a" * 32, "0a0a0a0a0a0a", "busybоx", "ｂusybox", "busybox：1", "busybox\u200b",
    "busybox\u2028", "é/app", "a" * 256, "a/" * 200 + "a", "busybox:" + "a" * 129, "a" * 100_000, "$busybox", "${HOME}",
    "$$busybox", "busybox;id",
    "`id`", "$(id)", "busybox|sh", "'busybox'", '"busybox"', "busybox\\", "busy image", "[::1]:5000/app", "a:1:2",
    "a@b", "@",
    "*", "busybox:*", "registry.example:port/app", "registry.example:123456/app", "registry_example/App",
    "Registry/app", "Registry.example", "Registry.Example.COM", "Registry.example/App", "registry.example/team/App",
    "-Registry.example/app", "Registry-.example/app", "Registry..example/app", "Library/sbx-db-89abcdef-web",
)  # fmt: skip

OTHERS = (
    "sbx-db-89abcdef-web", "localhost/sbx-db-89abcdef-web", "docker.io/library/sbx-db-89abcdef-web:latest",
    "library/sbx-db-89abcdef-web", f"sbx-db-89abcdef-web@{DIGEST}", "index.docker.io/library/sbx-db-89abcdef-web",
    "sbx-a-b-c-89abcdef-web_1.x", "sbx-db-89abcdef", "sbx-web-0123abce-db", f"{OURS}-x-89abcdef-web",
    "sbx-db-89abcdef.web",
    f"localhost/{OURS}-89abcdef-web", "registry.example/team/sbx-db-89abcdef-web:1", "Docker.IO/sbx-db-89abcdef-web",
    "sbx-0123abcd-89abcdef-web",
)  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_names_of_images_may_be_used(text: str) -> None:
    assert problem_with_reference(text, OURS) is None


@pytest.mark.parametrize("text", BAD, ids=lambda text: ascii(text[:40]))
def test_what_is_not_plainly_the_name_of_an_image_is_refused(text: str) -> None:
    problem = problem_with_reference(text, OURS)
    assert problem is not None
    assert len(problem) < 700


@pytest.mark.parametrize(
    ("text", "written"),
    [("db", "db:latest"), ("cafe", "cafe:latest"), ("7", "7:latest"), ("ab" * 9, "ab" * 9 + ":latest"),
     ("db:1", "db:1"), ("x/db", "x/db"), (f"db@{DIGEST}", f"db@{DIGEST}"), ("redis", "redis"), ("db-1", "db-1")],
)  # fmt: skip
def test_a_name_that_could_begin_an_id_is_written_with_its_tag(text: str, written: str) -> None:
    assert problem_with_reference(text, OURS) is None
    assert tagged(text) == written


@pytest.mark.parametrize("text", [None, 7, True, ["busybox"], {"busybox": 1}, b"busybox", 1.5])
def test_only_text_is_a_reference(text: object) -> None:
    assert "is not text" in str(problem_with_reference(text, OURS))


@pytest.mark.parametrize("text", OTHERS)
def test_images_that_were_built_for_another_sandbox_are_refused(text: str) -> None:
    assert "another sandbox" in str(problem_with_reference(text, OURS))


def test_every_transport_is_refused_in_every_form() -> None:
    for name in TRANSPORTS:
        for rest in ("", ":x", ":/x", ":x:1", ":5000/x", f"@{DIGEST}", "://x", f":x@{DIGEST}"):
            assert problem_with_reference(name + rest, OURS) is not None, rest


@given(st.text(max_size=80))
def test_what_is_accepted_is_one_word_that_no_engine_takes_for_anything_else(text: str) -> None:
    if problem_with_reference(text, OURS) is None:
        assert text.isascii()
        assert text[0].isalnum()
        assert not any(char.isspace() or char in "=,;\"'\\$*[]()" for char in text)
        assert text.split(":")[0] not in TRANSPORTS
