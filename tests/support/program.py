"""The program, in this process or as one of its own: the same words, output and exit code.

In this process it saves the second that a start costs. A test of the process itself (signals, terminals, pipes,
start-up) starts one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sandboxer.cli.main import run as run_command_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


PROGRAM = Path(sys.executable).with_name("sandboxer")


def run(*words: str | Path, **environment: str) -> CompletedProcess[str]:
    """Run the program in this process, without a terminal; ``environment`` is added to this process's."""
    return run_in_process([str(word) for word in words], _environment(environment), timeout=60)


def start(*words: str | Path, **environment: str) -> CompletedProcess[str]:
    """Run the program as a process, without a terminal; ``environment`` is added to this process's."""
    return subprocess.run(
        [PROGRAM, *words],
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **more}


def run_in_process(words: Sequence[str], environment: Mapping[str, str], timeout: float) -> CompletedProcess[str]:
    """Run the program to its end, with an empty standard input, and return what a process would have come to.

    Raise TimeoutError if it is not done within ``timeout`` seconds. Call it in the main thread.
    """
    with ExitStack() as stack:
        stack.callback(os.chdir, Path.cwd())  # `-C` changes it
        stack.enter_context(patch.dict(os.environ, environment, clear=True))
        stack.enter_context(patch.object(sys, "argv", ["sandboxer"]))
        keyboard = stack.enter_context(Path(os.devnull).open("rb"))
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
        with _descriptors(keyboard, *outputs), _limit(timeout):
            code = run_command_line(words)
        for output in outputs:
            output.seek(0)
        stdout, stderr = (output.read().decode(errors="replace") for output in outputs)
    return CompletedProcess(["sandboxer", *words], code, stdout, stderr)


@contextmanager
def _descriptors(*files: Any) -> Iterator[None]:
    """Let the standard streams be these files, as descriptors too: what a sandbox prints is written to those."""
    names = ("stdin", "stdout", "stderr")
    with ExitStack() as stack:
        for number, (name, file) in enumerate(zip(names, files, strict=True)):
            former = os.dup(number)
            stack.callback(os.close, former)
            stack.callback(os.dup2, former, number)
            os.dup2(file.fileno(), number)
            text = stack.enter_context(os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
            stack.enter_context(patch.object(sys, name, text))
        yield


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds:g} s")

    former: Callable[..., Any] | int | None = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
