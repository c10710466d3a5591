"""Work on several hosts in parallel: every query of many hosts goes through here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sandboxer.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AT_ONCE = 32

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_hosts(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    name: str,
    at_once: int = AT_ONCE,
    failed: Callable[[Item, HostError], Result] | None = None,
) -> list[Result]:
    """Do ``work`` for each item, at most ``at_once`` of them at the same time; return the results in the same order.

    An item is a host, or what is to be done on one. The threads are named after ``name``. Errors of a host are raised;
    with ``failed`` they are values: it returns the result of an item whose host did not answer.
    """
    todo = list(items)

    def one(item: Item) -> Result:
        try:
            return work(item)
        except HostError as error:
            if failed is None:
                raise
            return failed(item, error)

    if not todo:
        return []
    with ThreadPoolExecutor(max_workers=min(at_once, len(todo)), thread_name_prefix=name) as pool:
        return list(pool.map(one, todo))
