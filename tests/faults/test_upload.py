"""An upload that is cut at any byte leaves the old files whole, or none, and never a mix of two."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.compose_ssh.directory import VERBS
from sandboxer.hosts.scripts import script
from tests.faults import picture
from tests.faults.matrix import size
from tests.faults.relay import Relay
from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.matrix import Row
    from tests.faults.picture import Picture
    from tests.faults.relay import CutMode
    from tests.lab import Lab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault("cut at byte N of an upload, several N", "old tree whole, or none; never a mix"),
]

# Parts of all that is sent, most of which is the upload.
CUTS: tuple[float, ...] = size((0.5,), (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95))
STALLS: tuple[float, ...] = size((), (0.3, 0.8))
INTERRUPTIONS: list[tuple[float, CutMode]] = [
    *((part, "close") for part in CUTS),
    *((part, "stall") for part in STALLS),
]


@pytest.fixture
def fleet(new_fleet: Callable[..., FleetRepo]) -> FleetRepo:
    return new_fleet("lab-1")


@pytest.fixture
def relay(fleet: FleetRepo, lab: Lab) -> Iterator[Relay]:
    with Relay(lab.host("lab-1")) as relay:
        fleet.host("lab-1", address="127.0.0.1", port=relay.port)
        yield relay


def _commit(fleet: FleetRepo, seed: int) -> None:
    source = random.Random(seed)
    files = {f"big/{number}.txt": source.randbytes(50_000).hex() for number in range(8)}
    fleet.sandbox("one", stack(a=service(volumes=["./big:/big:ro"])), files=files)
    fleet.commit()


def _delivered(things: Picture) -> dict[str, set[str]]:
    """Return what is below each folder of delivered files, by the content that the folder is named for."""
    found: dict[str, set[str]] = {}
    for thing in things:
        folder, _, path = thing.name.partition("/workspace/")
        kind, _, rest = path.partition("/")
        digest, _, inner = rest.partition("/")
        if thing.kind == "path" and inner and not digest.endswith(".new"):
            found.setdefault(f"{folder} {kind} {digest}", set()).add(f"{inner} {thing.detail}")
    return found


def _assert_whole(fleet: FleetRepo, *clean: Picture) -> dict[str, set[str]]:
    whole = {folder: files for each in clean for folder, files in _delivered(each).items()}
    there = _delivered(picture.take(fleet))
    assert whole
    assert all(files == whole.get(folder) for folder, files in there.items()), there
    return there


def test_a_create_that_is_cut_while_it_uploads(fleet: FleetRepo, relay: Relay, row: Row) -> None:
    _commit(fleet, 0)
    clean = row.clean(fleet)
    everything = relay.sent
    for part, mode in INTERRUPTIONS:
        relay.cut_after(int(part * everything), mode)
        fleet.run("apply", "-y", code=1, timeout=300)
        relay.cut_after(None)
        row.broke(f"create: {mode} after {part:.0%} of {everything} bytes")
        _assert_whole(fleet, clean)
        assert fleet.ids("lab-1") == {}
        row.recovered(fleet, clean)
        fleet.clean_up()


def test_an_update_that_is_cut_while_it_uploads(fleet: FleetRepo, relay: Relay, row: Row) -> None:
    clean = []
    for seed in (0, 1):
        _commit(fleet, seed)
        clean.append(row.clean(fleet))
    everything = relay.sent
    fleet.apply()
    for number, (part, mode) in enumerate(INTERRUPTIONS):
        running = fleet.ids("lab-1")
        old, new = clean[(number + 1) % 2], clean[number % 2]
        _commit(fleet, number % 2)
        relay.cut_after(int(part * everything), mode)
        fleet.run("apply", "-y", code=1, timeout=300)
        relay.cut_after(None)
        row.broke(f"update: {mode} after {part:.0%} of {everything} bytes")
        there = _assert_whole(fleet, old, new)
        assert _delivered(old).items() <= there.items()
        assert fleet.ids("lab-1") == running
        row.recovered(fleet, new)


def test_an_archive_that_ends_between_two_files_is_not_taken_for_all_of_it(fleet: FleetRepo, row: Row) -> None:
    """To tar it would be whole. One conversation for each block of the archive, up to the last one."""
    archive = _archive(6)
    cuts = list(range(0, len(archive.rstrip(b"\0")), size(1536, 512)))
    text = script("prelude.sh", "names.sh", "session.sh", *VERBS, "serve.sh")

    def header(number: int) -> bytes:
        lines = ("0" * 32, fleet.root, fleet.name, f"{number:08x}", "0", "who", f"deliver 1 {len(archive)} 60", "whole")
        return "".join(f"{line}\n" for line in lines).encode()

    def is_taken(number: int) -> bool:
        """Return whether the host took what it was sent for the whole archive."""
        return fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/{number:08x}/workspace/tree/whole")

    def deliver(number: int, length: int) -> bool:
        """Send so many bytes, and go; return whether they were taken."""
        sent = header(number) + archive[:length]
        fleet.lab.exec("lab-1", ["setsid", "sh", "-c", text], input=sent, check=False)
        return is_taken(number)

    with ThreadPoolExecutor(max_workers=8) as pool:
        taken = list(pool.map(deliver, range(len(cuts)), cuts))
    for length in cuts:
        row.broke(f"delivered: {length} bytes of {len(archive)}")
    assert not any(taken)
    host = fleet.lab.host("lab-1")
    command = host.command(["setsid", "sh", "-c", text])
    with subprocess.Popen(command, env=host.environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
        assert client.stdin is not None
        client.stdin.write(header(len(cuts)) + archive)
        client.stdin.flush()  # and stays: a client that is gone is no longer served
        until(lambda: is_taken(len(cuts)), "the whole of it is taken")
        client.stdin.close()
        client.wait(60)


def _archive(count: int) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for number in range(count):
            entry = tarfile.TarInfo(f"{number}.txt")
            entry.size = 100
            archive.addfile(entry, io.BytesIO(b"x" * 100))
    return target.getvalue()
