"""The time limit of a rule: it is checked in a process of its own, which ends with it, whatever hangs there."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    Outcome = tuple[str, str]

SECONDS = 300.0
GRACE_SECONDS = 20.0  # for what is interrupted by the limit to end its commands on the host
END_SECONDS = 2.0  # for a process to end once its outcome is there


class TimeIsOver(BaseException):
    """The time limit is over; raised wherever the process is, once it is back in Python.

    It is no Exception, so that no backend takes it for an error of its own.
    """


class ProcessEnded(Exception):
    """The process ended without an outcome, or was killed; the message says which."""


class TimeLimit:
    """The limit of what runs within its context. Raise TimeIsOver there once ``seconds`` have passed.

    ``connection`` leads to the process that waits for the outcome.
    """

    def __init__(self, seconds: float, connection: Connection) -> None:
        self.seconds = seconds
        self._connection = connection

    def renew(self) -> None:
        """Begin the time again, for the next part of a rule that has several."""
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        self._connection.send(None)

    def __enter__(self) -> Self:
        def over(_signal: int, _frame: object) -> None:
            raise TimeIsOver

        signal.signal(signal.SIGALRM, over)
        self.renew()
        return self

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def in_process(work: Callable[[TimeLimit], Outcome], seconds: float) -> Outcome:
    """Return the outcome of some work in a process of its own, which is gone afterwards with all its threads.

    Raise ProcessEnded if there is none: the work ended its process, or went on after its time limit.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def run() -> None:
        ours.close()
        with suppress(KeyboardInterrupt):
            theirs.send(work(TimeLimit(seconds, theirs)))

    process = context.Process(target=run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no other thread is in the middle of anything
        process.start()
    theirs.close()
    try:
        while ours.poll(seconds + GRACE_SECONDS):
            outcome: Outcome | None = ours.recv()
            if outcome is not None:
                return outcome
        process.kill()
        raise ProcessEnded(f"it went on after its time limit of {seconds:g} s, and its process was killed")
    except EOFError:
        process.join(END_SECONDS)
        raise ProcessEnded(f"its process ended with exit code {process.exitcode}") from None
    except KeyboardInterrupt:
        process.join(seconds)  # it is interrupted too, and removes what it has on the host
        raise
    finally:
        process.join(END_SECONDS)
        process.kill()
        process.join()
        ours.close()
