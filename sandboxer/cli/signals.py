"""Signals: for commands that run until they are stopped, and for those that finish what they have begun."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def until_interrupted() -> Iterator[None]:
    """End the block without an error on Ctrl-C and SIGTERM."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def finishing(busy: Callable[[], bool], first: Callable[[], None], second: Callable[[], None]) -> Iterator[None]:
    """Within the block, let Ctrl-C and SIGTERM call ``first``, which lets work in progress end, and again ``second``.

    Where nothing is ``busy``, they raise KeyboardInterrupt. A signal that the program was started to ignore stays
    ignored. Only the main thread may enter the block.
    """
    signals: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    heard = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if heard:
            second()
        elif busy():
            heard = True
            first()
        else:
            raise KeyboardInterrupt

    handled = [number for number, usual in signals.items() if signal.getsignal(number) is usual]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signals[number])
