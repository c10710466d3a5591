"""Many hosts at the same time: in order, never more than a number, and errors as values where the caller says so."""

from __future__ import annotations

import threading
import time

import pytest

from sandboxer.errors import HostError, HostUnreachable
from sandboxer.hosts.parallel import on_hosts


def test_results_come_in_the_order_of_the_hosts_from_threads_of_that_name() -> None:
    def work(number: int) -> tuple[int, bool]:
        time.sleep(0.01 * (5 - number))
        return number, threading.current_thread().name.startswith("ask")

    assert on_hosts(work, range(5), name="ask") == [(number, True) for number in range(5)]
    assert on_hosts(work, (), name="ask") == []


def test_no_more_hosts_at_once_than_that() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(_number: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    on_hosts(work, range(20), name="ask", at_once=3)
    assert most == 3


def test_an_error_of_a_host_is_raised_or_is_a_value() -> None:
    def work(host: str) -> str:
        if host == "gone":
            raise HostUnreachable(host, f"{host} does not answer")
        return host

    def failed(host: str, error: HostError) -> str:
        return f"{host}: {error.message}"

    hosts = ("here", "gone", "there")
    assert on_hosts(work, hosts, name="ask", failed=failed) == ["here", "gone: gone does not answer", "there"]
    with pytest.raises(HostUnreachable):
        on_hosts(work, hosts, name="ask")
    with pytest.raises(ZeroDivisionError):
        on_hosts(lambda _host: 1 // 0, hosts, name="ask", failed=lambda _host, _error: 0)
