"""No path that an engine is given lies below what a container can write to, however mounts are nested."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.delivery import MAX_COPIES
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.policy import Access, Bind, DeliveredSecret, Hardened, Policy
from sandboxer.model.protocols import TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = ("Dockerfile", "data/Dockerfile", "data/x.env", "data/sub/Dockerfile", "data/sub/x.env", "data/sub/deep/x.env",
         "data/sub/deep/Dockerfile", "data/$weird name/Dockerfile", "other/Dockerfile", "other/x.env")  # fmt: skip
LINKS = {"in": "data/sub", "other/back": "../data/sub/x.env", "data/up": "../other", "data/sub/self": "deep"}
POLICY = Policy(
    sandbox="shop",
    project="sbx-shop-1f2e3d4c",
    workspace="/s/b/workspace",
    tree_dir="/s/b/workspace/tree/d",
    host_cpus=4.0,
    host_memory=8 << 30,
    entries={path: TreeEntry(path, f"blob of {posixpath.basename(path)}") for path in FILES}
    | {path: TreeEntry(path, "link", target=target) for path, target in LINKS.items()},
    secrets={"TOKEN": DeliveredSecret("/s/b/secrets/TOKEN.1", 1)},
    read=lambda _path: b"FROM x\n",
)
FOLDERS = (".", "./data", "./data/sub", "./data/sub/deep", "./data/$$weird name", "./other", "./in", "./data/up",
           "./data/sub/self", "./in/deep", "./data/../data/sub/.")  # fmt: skip
PATHS = ("./data/x.env", "./data/sub/x.env", "./data/sub/deep/x.env", "./other/x.env", "./other/back", "./in/x.env",
         "./data/up/x.env")  # fmt: skip


def run(model: dict[str, Any], *, podman: bool = False) -> Hardened:
    policy = replace(POLICY, podman=podman)
    return harden(normalise(model, policy.tree_dir), policy)


def given_to_engine(hardened: Hardened) -> Iterator[tuple[str, bool]]:
    """Yield every path of the host in a compose file, and whether it is a volume's."""
    for kind in ("configs", "secrets"):
        for entry in hardened.model.get(kind, {}).values():
            yield entry["file"].replace("$$", "$"), False
    for service in hardened.model["services"].values():
        yield from ((entry["path"].replace("$$", "$"), False) for entry in service.get("env_file", ()))
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                yield volume["source"].replace("$$", "$"), True
        if build := service.get("build"):
            context = build["context"].replace("$$", "$")
            yield context, False
            yield from ((path.replace("$$", "$"), False) for path in build.get("additional_contexts", {}).values())
            yield build["dockerfile"].replace("$$", "$"), False


def assert_safe(hardened: Hardened) -> None:
    copies = [bind for bind in hardened.binds if bind.writable]
    binds = {bind.destination: bind for bind in hardened.binds}
    for path, is_volume in given_to_engine(hardened):
        assert path in hardened.sources
        parts = posixpath.relpath(path, "/s/b").split("/")
        assert (parts[0], len(parts)) in (("workspace", 4), ("secrets", 2))
        assert not any(path.startswith(bind.destination + "/") for bind in copies)
        assert is_volume or parts[1] != "bind-rw"
    written = {
        volume["source"].replace("$$", "$")
        for service in hardened.model["services"].values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind" and not volume.get("read_only")
    }
    assert written == {bind.destination for bind in copies}
    assert len({posixpath.dirname(bind.destination) for bind in copies}) == len({bind.source for bind in copies})
    assert all(binds[path].writable for path in written)


def volumes(writer: str, reader: str, *, ro: bool) -> dict[str, Any]:
    return {
        "services": {
            "a": {"image": "x", "volumes": [f"{writer}:/w"]},
            "b": {"image": "x", "volumes": [f"{reader}:/r" + (":ro" if ro else "")]},
        }
    }


def sources(hardened: Hardened) -> dict[str, str]:
    return {name: service["volumes"][0]["source"] for name, service in hardened.model["services"].items()}


@pytest.mark.parametrize("podman", [False, True])
@pytest.mark.parametrize("ro", [False, True])
@pytest.mark.parametrize("reader", [*FOLDERS[2:], *PATHS])
@pytest.mark.parametrize("writer", ["./data", ".", "./other"])
def test_what_lies_in_or_around_a_written_folder_is_not_taken_from_it(
    writer: str, reader: str, ro: bool, podman: bool
) -> None:
    hardened = run(volumes(writer, reader, ro=ro), podman=podman)
    assert_safe(hardened)
    found = sources(hardened)
    same = {bind.source for bind in hardened.binds if "b" in bind.services} == {
        bind.source for bind in hardened.binds if "a" in bind.services
    }
    assert (found["a"] == found["b"]) == same


def test_reading_the_very_place_that_another_writes_shows_what_it_writes() -> None:
    for reader in ("./data/sub", "./in", "./data/../data/sub/."):
        found = sources(run(volumes("./data/sub", reader, ro=True)))
        assert found["a"] == found["b"]
    file = sources(run(volumes("./other/x.env", "./other/x.env", ro=True)))
    assert file["a"] == file["b"]


NESTED: dict[str, dict[str, Any]] = {
    "env_file": {"env_file": ["data/sub/x.env"]},
    "env_file of the very file": {"env_file": ["data/x.env"], "volumes": ["./data/x.env:/e"]},
    "config": {"configs": ["c"]},
    "config with a mode": {"configs": [{"source": "c", "mode": 0o440}]},
    "secret": {"secrets": ["s"]},
    "secret with an owner": {"secrets": [{"source": "s", "uid": "7", "gid": "8", "mode": "0400"}]},
    "context": {"build": "./data/sub"},
    "context that is mounted itself": {"build": "./data"},
    "context around it": {"build": "."},
    "Dockerfile in it": {"build": {"context": "./other", "dockerfile": "../data/sub/Dockerfile"}},
    "Dockerfile by a link": {"build": {"context": ".", "dockerfile": "in/Dockerfile"}},
    "additional context": {"build": {"context": "./other", "additional_contexts": {"more": "./data/sub"}}},
    "additional context, itself mounted": {"build": {"context": "./other", "additional_contexts": ["m=./data"]}},
    "build secret": {"build": {"context": "./other", "secrets": ["s"]}},
}


@pytest.mark.parametrize("podman", [False, True])
@pytest.mark.parametrize("about", NESTED)
def test_whatever_else_reads_in_a_written_folder_reads_the_input(about: str, podman: bool) -> None:
    service = NESTED[about]
    hardened = run(
        {
            "services": {"a": {"image": "x", "volumes": ["./data:/d"]}, "b": {"image": "x"} | service},
            "configs": {"c": {"file": "./data/sub/x.env"}},
            "secrets": {"s": {"file": "./data/sub/x.env"}},
        },
        podman=podman,
    )
    assert_safe(hardened)
    assert [bind.services for bind in hardened.binds if bind.writable and bind.source == "data"] == [("a",)]


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    services: dict[str, Any] = {}
    folders, files, any_ = st.sampled_from(FOLDERS), st.sampled_from(PATHS), st.sampled_from(FOLDERS + PATHS)
    access = st.fixed_dictionaries(
        {}, optional={"uid": st.sampled_from(["1", "2"]), "gid": st.just("3"), "mode": st.sampled_from([0o400, "0444"])}
    )
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        mounts = draw(st.lists(st.tuples(any_, st.sampled_from(["", ":ro", ":rw", ":z"])), max_size=4))
        service: dict[str, Any] = {"image": "x", "volumes": [f"{s}:/m{n}{o}" for n, (s, o) in enumerate(mounts)]}
        service["env_file"] = [path[2:] for path in draw(st.lists(files, max_size=2))]
        service["configs"] = [{"source": "c"} | one for one in draw(st.lists(access, max_size=2))]
        service["secrets"] = [
            {"source": draw(st.sampled_from("st"))} | one for one in draw(st.lists(access, max_size=2))
        ]
        if draw(st.booleans()):
            build: dict[str, Any] = {"context": draw(folders)}
            build["dockerfile"] = draw(st.sampled_from(["Dockerfile", "/s/b/workspace/tree/d/data/sub/Dockerfile"]))
            build["additional_contexts"] = {"more": draw(folders)}
            build["secrets"] = [{"source": "s"}]
            service["build"] = build
        if name != "a" and draw(st.booleans()):
            service["volumes_from"] = ["a" + draw(st.sampled_from(["", ":ro", ":rw"]))]
        services[name] = service
    return {
        "services": services,
        "configs": {"c": {"file": draw(files)}},
        "secrets": {"s": {"file": draw(files)}, "t": {"environment": "TOKEN"}},
    }


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=stacks(), podman=st.booleans())
def test_no_path_lies_below_what_a_container_can_write(model: dict[str, Any], podman: bool) -> None:
    assert_safe(run(model, podman=podman))


# --- volumes of others, parts of volumes


@pytest.mark.parametrize(
    ("given_", "becomes"), [("a", "a"), ("a:rw", "a"), ("a:ro", "a:ro"), ("a:ro,rw", None), ("a:", None), ("a:U", None)]
)
def test_volumes_of_another_service_are_never_more_writable_than_there(given_: str, becomes: str | None) -> None:
    peer = {"image": "x", "volumes_from": [given_]}
    model = {"services": {"a": {"image": "x", "volumes": ["./data:/d:ro"]}, "b": peer}}
    if becomes is None:
        with pytest.raises(ComposeRefused, match=r"volumes_from\[0\]: .* is not a way to mount"):
            run(model)
    else:
        assert run(model).model["services"]["b"]["volumes_from"] == [becomes]


@pytest.mark.parametrize("subpath", ["/etc", "..", "a/../../b", "a:b", "a,b", 'a"', "a\nb"])
def test_a_part_of_a_volume_is_a_plain_relative_path(subpath: Any) -> None:
    with pytest.raises(ComposeRefused, match=r"is not a relative path below the volume|points outside the volume"):
        run(part_of_volume(subpath))


def test_a_part_of_a_volume_is_docker_s_alone() -> None:
    assert run(part_of_volume("a/b")).model["services"]["a"]["volumes"][0]["volume"] == {"subpath": "a/b"}
    with pytest.raises(ComposeRefused, match="is not kept inside the volume by Podman"):
        run(part_of_volume("a/b"), podman=True)


def part_of_volume(subpath: Any) -> dict[str, Any]:
    volume = {"type": "volume", "source": "v", "target": "/v", "volume": {"subpath": subpath}}
    return {"services": {"a": {"image": "x", "volumes": [volume]}}, "volumes": {"v": {}}}


# --- Dockerfiles


def build(entries: dict[str, str], context: str, podman: bool = True, **keys: Any) -> Hardened:
    """A build whose context is in a tree of these files and, with `->` in front, links."""
    tree = {
        path: TreeEntry(path, text, target=text[2:] if text.startswith("->") else None)
        for path, text in entries.items()
    }
    policy = replace(POLICY, entries=tree, podman=podman, read=lambda path: tree[path].blob.encode())
    model = {"services": {"a": {"build": {"context": context, **keys}}}}
    return harden(normalise(model, policy.tree_dir), policy)


def test_a_dockerfile_is_read_through_links_and_delivered_beside_the_context() -> None:
    entries = {"a/b/real": "FROM x", "a/b/link": "->../b/real", "a/b/Dockerfile": "->real", "a/out": "FROM y"}
    for request, text in (
        ("link", b"FROM x"),
        ("Dockerfile", b"FROM x"),
        ("../b/link", b"FROM x"),
        ("../out", b"FROM y"),
    ):
        hardened = build(entries, "./a/b", dockerfile=request)
        ((path, content),) = hardened.dockerfiles.items()
        assert hardened.model["services"]["a"]["build"]["dockerfile"] == f"/s/b/workspace/{path}"
        assert text in content
        assert_safe(hardened)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"a/Containerfile": "->/etc/shadow"}, "missing in the build context"),
        # Four folders up from the context's copy lie the folders of all sandboxes.
        ({"a/Containerfile": "->../../../../../other/secrets/KEY.1"}, "missing in the build context"),
        ({"a/b/c/d/e/f": "", "a/Containerfile": "->b/nothing"}, "missing in the build context"),
        ({"a/Dockerfile": "FROM x", "a/.dockerignore": "->/etc/shadow"}, "dockerignore is a link"),
        ({"a/Dockerfile": "FROM x", "a/.containerignore": "->x", "a/x": ""}, "containerignore is a link"),
    ],
)
def test_what_an_engine_would_open_by_itself_is_no_link_to_elsewhere(entries: dict[str, str], why: str) -> None:
    with pytest.raises(ComposeRefused, match=why):
        build(entries, "./a")


# --- uid, gid and mode

TOKEN = {"secrets": {"TOKEN": {"environment": "TOKEN"}, "TOKEN.400.1.-": {"environment": "TOKEN"}}}


def with_secrets(*references: Any, **more: Any) -> Hardened:
    return run({"services": {"a": {"image": "x", "secrets": list(references), **more}}} | TOKEN)


def test_a_secret_without_more_is_for_everybody_in_its_container() -> None:
    for reference in ("TOKEN", {"source": "TOKEN", "mode": "0444"}, {"source": "TOKEN", "mode": 0o444, "uid": ""}):
        hardened = with_secrets(reference)
        assert hardened.model["secrets"] == {"TOKEN": {"file": "/s/b/secrets/TOKEN.1"}}
        assert hardened.model["services"]["a"]["secrets"] == [{"source": "TOKEN"}]
        assert [(file.path, file.access) for file in hardened.secret_files] == [("/s/b/secrets/TOKEN.1", Access(0o444))]


def test_uid_gid_and_mode_make_a_copy_of_a_secret_under_its_own_name() -> None:
    hardened = with_secrets("TOKEN", {"source": "TOKEN", "target": "mine", "uid": 1, "mode": "0o400"})
    key = "TOKEN.400.1.-_"  # the name that it would have is another's
    assert hardened.model["services"]["a"]["secrets"] == [{"source": "TOKEN"}, {"source": key, "target": "mine"}]
    assert hardened.model["secrets"][key] == {"file": "/s/b/secrets/TOKEN.1.400.1.-"}
    assert [file.access for file in hardened.secret_files] == [Access(0o444), Access(0o400, 1)]
    assert {file.origin for file in hardened.secret_files} == {"/s/b/secrets/TOKEN.1"}


def test_another_mode_is_another_input() -> None:
    digests = {with_secrets({"source": "TOKEN", "mode": mode}).inputs["a"] for mode in (0o400, 0o440, "0440", 0o444)}
    assert len(digests) == 3


@pytest.mark.parametrize("podman", [False, True])
def test_files_of_the_input_are_copied_for_an_owner_and_shared_without(podman: bool) -> None:
    def binds(**keys: Any) -> list[Bind]:
        service = {"image": "x", "configs": [{"source": "c", **keys}], "secrets": [{"source": "s", **keys}]}
        entries = {"configs": {"c": {"file": "other/x.env"}}, "secrets": {"s": {"file": "other/x.env"}}}
        hardened = run({"services": {"a": service}} | entries, podman=podman)
        assert_safe(hardened)
        return list(hardened.binds)

    (plain,) = binds()
    assert (plain.access, plain.destination.split("/")[4]) == (None, "bind")
    (owned,) = binds(gid="5")
    assert (owned.access, owned.destination.split("/")[4]) == (Access(0o444, None, 5), "bind-as")


@pytest.mark.parametrize(
    "keys",
    [{"mode": value} for value in ("u+r", "0888", -1, 0o1444, "04755", True, [4])]
    + [{"uid": value} for value in ("root", -1, "1:2", 1 << 31, True, "-1", "１")]
    + [{"gid": value} for value in ("wheel", 1.5, "0x1")],
)
def test_what_is_no_mode_and_no_number_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ComposeRefused, match=r"secrets\[0\]\.(mode|uid|gid): "):
        with_secrets({"source": "TOKEN", **keys})


def test_copies_are_not_without_number() -> None:
    with pytest.raises(ComposeRefused, match=f"more than {MAX_COPIES} sets of uid, gid and mode"):
        with_secrets(*({"source": "TOKEN", "uid": number, "target": f"t{number}"} for number in range(MAX_COPIES + 1)))
    deep = "/".join(["d"] * (MAX_COPIES + 2))
    mounts = [f"./{deep[: 2 * number + 1]}:/m{number}" for number in range(MAX_COPIES + 1)]
    policy = replace(POLICY, entries={f"{deep}/f": TreeEntry(f"{deep}/f", "x")})
    model = {"services": {"a": {"image": "x", "volumes": mounts}}}
    with pytest.raises(ComposeRefused, match=f"is in more than {MAX_COPIES} folders"):
        harden(normalise(model, policy.tree_dir), policy)
