"""Copies of files and directories to and from a container, as tar streams that the engine writes and reads."""

from __future__ import annotations

import posixpath
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.client.connect.target import target_of
from sandboxer.errors import HostError, SandboxError, UsageError
from sandboxer.model.text import named, printable
from sandboxer.wiring.edges import Transports, Unpacking, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.client.connect.target import ConnectTarget
    from sandboxer.client.context import ClientContext
    from sandboxer.extensions.capabilities import CopyMode
    from sandboxer.model.protocols import Command, HostTransport, Stream

    Copier = Callable[[CopyMode, str], Command]

_STALL = 120.0  # seconds without progress of an engine
_BLOCK = 512
_FOLDER = b"5"


def copy_from(
    context: ClientContext,
    name: str,
    path: str,
    destination: Path | str,
    service: str | None,
    progress: Callable[[int], None],
) -> Path:
    """Copy a file or directory out of a container; return its new path.

    A target that is a directory receives it under its own name, else it becomes the target. ``progress`` receives the
    number of bytes so far. Raise UsageError, SandboxError, HostError; then the target is unchanged.
    """
    target, copy = _copier(context, name, service)
    plain, contents = _plain(path)
    if plain == "/":
        raise UsageError("a whole container cannot be copied", hint="choose a file or folder below /")
    into = Path(destination)
    if str(destination).endswith("/") and not into.is_dir():
        raise UsageError(f"there is no folder {destination}", hint="create the folder first, or omit the slash")
    final = into if contents or not into.is_dir() else into / posixpath.basename(plain)
    transports = Transports(target.folder)
    try:
        with Unpacking(final, context.warn) as unpacking:
            with transports.to(target.host).stream(copy("out", plain)) as stream:
                stream.end_input()
                reader = _Reader(stream, target, progress)
                try:
                    unpacking.take(reader)
                except EOFError as error:
                    _must_be_well(stream, target, plain)
                    raise _cut_off(target, plain, str(error)) from None
                _must_be_well(stream, target, plain)
            unpacking.put()
    finally:
        transports.close()
    return final


def copy_to(
    context: ClientContext, name: str, source: str, path: str, service: str | None, progress: Callable[[int], None]
) -> str:
    """Copy a file or directory into a container; return its path there.

    A path that is a directory receives it under its own name, else it becomes the path, whose parent must exist. A
    source that ends in ``/.`` means the content of the directory. ``progress`` receives the number of bytes so far.
    Raise UsageError, SandboxError, HostError.
    """
    if not Path(source).exists():
        raise UsageError(f"there is no {source}", hint="choose a file or folder on this machine")
    target, copy = _copier(context, name, service)
    transports = Transports(target.folder)
    try:
        transport = transports.to(target.host)
        folder, called = _destination(transport, copy, path, source)
        with transport.stream(copy("in", folder)) as stream:
            try:
                pack(Path(source), called, _Writer(stream, progress), context.warn)
            except BrokenPipeError:
                _must_be_well(stream, target, path)
                raise _cut_off(target, path, "the container accepted no more data") from None
            stream.end_input()
            _must_be_well(stream, target, path)
    finally:
        transports.close()
    return posixpath.join(folder, called)


def _copier(context: ClientContext, name: str, service: str | None) -> tuple[ConnectTarget, Copier]:
    """Return a sandbox, and what returns the commands that copy to and from a path in it."""
    target = target_of(context, name)
    extension = target.capable("copy")
    container = target.container(service, running=False) if service or target.services else None
    return target, partial(extension.copy, target, container)


def _plain(path: str) -> tuple[str, bool]:
    """Return a normalized path in a container, and whether it means the content of the directory."""
    if "\0" in path or not path:
        raise UsageError(f"{printable(path)!r} is not a path", hint="use the form NAME/SERVICE:PATH")
    whole = posixpath.normpath("/" + path.lstrip("/"))
    return whole, path.endswith("/.")


def _destination(transport: HostTransport, copy: Copier, path: str, source: str) -> tuple[str, str]:
    """Return the directory in the container to unpack in, and the name to unpack as; empty for the source's content."""
    plain, _ = _plain(path)
    contents = source == "." or source.endswith("/.")
    kind = _FOLDER if plain == "/" else _kind(transport, copy, plain)
    if kind == _FOLDER:
        return plain, "" if contents else Path(source).absolute().name
    if kind and Path(source).is_dir():
        raise UsageError(f"{plain} in the container is a file, and {source} is a folder")
    if not kind and path.endswith("/") and not Path(source).is_dir():
        raise UsageError(
            f"there is no folder {plain} in the container", hint="create the folder first, or omit the slash"
        )
    return posixpath.split(plain)


def _kind(transport: HostTransport, copy: Copier, path: str) -> bytes:
    """Return the tar type of a path in a container: ``5`` for a directory; empty if nothing is there."""
    result = transport.run(copy("kind", path))
    return result.stdout[156:157] if len(result.stdout) == _BLOCK else b""


def _must_be_well(stream: Stream, target: ConnectTarget, path: str) -> None:
    """Raise SandboxError with the engine's message if it failed, HostError if it does not end."""
    host = target.observed.host
    try:
        while stream.read(_STALL):
            pass
        code = stream.wait(_STALL)
    except TimeoutError:
        raise HostError(host, f"{target.engine} on {named('host', host)} made no progress for {_STALL:g} s") from None
    if code:
        lines = stream.error_output.splitlines()
        words = lines[-1].removeprefix("Error: ") if lines else ""
        for container in target.observed.containers:
            words = words.replace(container.id, container.service)
        why = printable(words, 300) or f"exit code {code}"
        raise SandboxError(target.name, f"{path} of {named('sandbox', target.name)} was not copied: {why}")


def _cut_off(target: ConnectTarget, path: str, why: str) -> SandboxError:
    return SandboxError(
        target.name, f"{path} of {named('sandbox', target.name)} was not copied: the data was incomplete ({why})"
    )


class _Reader:
    """A stream as a file to read from (``adapters.archive.Reader``)."""

    def __init__(self, stream: Stream, target: ConnectTarget, progress: Callable[[int], None]) -> None:
        self._stream, self._target, self._progress = stream, target, progress
        self._rest = b""
        self._count = 0

    def read(self, size: int) -> bytes:
        if not self._rest:
            try:
                self._rest = self._stream.read(_STALL)
            except TimeoutError:
                host = self._target.observed.host
                raise HostError(host, f"no data from {named('host', host)} for {_STALL:g} s") from None
            self._count += len(self._rest)
            self._progress(self._count)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Writer:
    """A stream as a file to write to (``adapters.archive.Writer``)."""

    def __init__(self, stream: Stream, progress: Callable[[int], None]) -> None:
        self._stream, self._progress = stream, progress
        self._count = 0

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._count += len(data)
        self._progress(self._count)
        return len(data)
