"""``python -m benchmarks.hub_page``: State Hub's page with 2,000 sandboxes, as ratios to the page with 50.

A real Chromium shows the page of a real hub; no host is needed. Each figure is the median of several rounds, from the
user's action, or from the hub's acknowledgement of an event, to the changed page.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from scripts.hub import RunningHub, open_hub
from tests.support.browser import SECONDS, open_page
from tests.support.hub_sandboxes import sent, stored
from tests.unit.hub.hubs import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

FEW, MANY, ROUNDS = 50, 2000, 7
# From an action to the frame that shows it: a figure, a heading, a scroll.
_ACT = """([selector, place]) => new Promise((done) => {
  const began = performance.now();
  if (selector) document.querySelector(selector).click();
  else scrollTo(0, place * document.documentElement.scrollHeight);
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})"""


def _request(hub: RunningHub) -> float:
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {hub.token}"}
    httpx.get(f"{hub.url}/sandboxes", headers=headers, timeout=30, trust_env=False).raise_for_status()
    return (time.monotonic() - began) * 1000


def _load(page: Page, hub: RunningHub) -> float:
    page.goto("about:blank")
    began = time.monotonic()
    page.goto(hub.page)
    page.locator("tr[data-sandbox]").first.wait_for()
    return (time.monotonic() - began) * 1000


def _live(page: Page, hub: RunningHub, count: int, number: int) -> float:
    """Return the time until an event that changes the first sandbox's phase is shown."""
    phase = ("active", "ready")[number % 2]
    identity = {"uid": f"{0:032x}", "sandbox_id": f"{0:08x}", "host": "lab-1", "name": "web-0000"}
    one = event(100 + number, f"sandbox.{phase}", minute=number % 60, **identity)
    headers = {"Authorization": f"Bearer {hub.token}", "Content-Type": "application/cloudevents+json"}
    httpx.post(f"{hub.url}/events", json=one, headers=headers, trust_env=False).raise_for_status()
    began = time.monotonic()
    page.locator(f"tr[data-sandbox='00000000'][data-phase={phase}]").wait_for()
    assert page.locator("#figure-all").inner_text() == str(count)
    return (time.monotonic() - began) * 1000


def measure(count: int) -> dict[str, float]:
    """Return the milliseconds of each action, and the number of elements, with so many sandboxes."""
    with tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as name:
        folder = Path(name)
        stored(folder / "hub.sqlite", (sent(index) for index in range(count)))
        with open_hub(folder) as hub, open_page() as page:
            page.set_default_timeout(SECONDS * 1000)
            places = iter(range(1, 1000))
            actions: dict[str, Callable[[], Any]] = {
                "request": lambda: _request(hub),
                "load": lambda: _load(page, hub),
                "filter": lambda: page.evaluate(_ACT, ["#figures button:nth-child(4)", 0]),
                "sort": lambda: page.evaluate(_ACT, ["th[data-column=health] button", 0]),
                "scroll": lambda: page.evaluate(_ACT, [None, (next(places) * 0.37) % 1]),
            }
            taken = {name: statistics.median(act() for _ in range(ROUNDS)) for name, act in actions.items()}
            _load(page, hub)
            taken["live"] = statistics.median(_live(page, hub, count, number) for number in range(ROUNDS))
            taken["elements"] = page.evaluate("document.querySelectorAll('*').length")
            return taken


def main() -> None:
    """Measure, and print one line for each figure."""
    few, many = measure(FEW), measure(MANY)
    for name, value in many.items():
        unit = "" if name == "elements" else " ms"
        print(f"page of {MANY} sandboxes, {name}: {value:.0f}{unit}, {value / few[name]:.2f} x that of {FEW}")


if __name__ == "__main__":
    main()
