"""State Hub's page in a real Chromium, over a real fleet: what happens on the hosts shows by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.hub import open_hub
from tests.support.browser import open_page
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab


def test_a_create_a_drift_and_a_destroy_show_as_they_happen(
    new_fleet: Callable[..., FleetRepo], tmp_path: Path
) -> None:
    slow = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60, "start_period": "1s"}
    with open_hub(tmp_path) as hub, open_page() as page:
        fleet = new_fleet("lab-1", stateHub={"url": "${STATE_HUB_URL}", "token": "env:STATE_HUB_TOKEN"})
        fleet.env.update(hub.env)
        page.goto(hub.page)
        page.get_by_role("heading", name="No sandboxes yet").wait_for()
        assert hub.token not in page.url, "the token stays in no address that a person may copy"

        fleet.sandbox("web", stack(a=service("sh", "-c", "sleep 3; touch /tmp/go; sleep 9999", healthcheck=slow)))
        fleet.commit()
        with fleet.start("apply", "-y") as applying:
            _row(page, "provisioning").wait_for()
            assert applying.poll() is None, "it shows while the apply still works"
            applying.communicate(timeout=60)
        _row(page, "ready").wait_for()
        assert page.locator("#figure-ready").inner_text() == "1"

        page.get_by_role("link", name="web").first.press("Enter")  # as from the keyboard
        page.locator("#detail li[data-phase=ready]").wait_for()
        shown = page.locator("#detail li[data-event]").evaluate_all("all => all.map((one) => one.dataset.phase)")
        assert sorted(shown) == ["provisioning", "ready", "requested"]

        fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", "web")["a"])
        fleet.run("drift", code=2, drifts=True)
        drift = page.locator(f"#drift-list li[data-drift='{fleet.id('web')}']")
        drift.wait_for()
        assert "services.a.state" in drift.inner_text()

        fleet.remove("web")
        fleet.commit()
        fleet.apply("--allow-empty")
        page.locator(f"tr[data-sandbox='{fleet.id('web')}']").wait_for(state="detached")
        page.locator("#detail li[data-phase=destroyed]").wait_for()
        drift.wait_for(state="detached")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone(new_fleet: Callable[..., FleetRepo], tmp_path: Path, dark: bool) -> None:
    with open_hub(tmp_path) as hub, open_page(width=360, height=740, dark=dark) as page:
        fleet = new_fleet("lab-1", stateHub={"url": hub.url, "token": "env:STATE_HUB_TOKEN"})
        fleet.env.update(hub.env)
        fleet.sandbox("a-name-of-thirty-one-characters", stack(a=service()))
        fleet.commit()
        fleet.apply()
        page.goto(hub.page)
        _row(page, "ready").wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, "nothing is to be scrolled sideways"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in background[background.index("(") + 1 : -1].split(",")[:3])
        assert (brightness < 200) is dark


def test_it_shows_that_the_hub_is_gone(tmp_path: Path) -> None:
    with open_page(refused=True) as page:
        with open_hub(tmp_path) as hub:
            page.goto(hub.page)
            page.locator("#connection[data-state=live]").wait_for()
        page.locator("#connection[data-state=offline]").wait_for()
        assert "Offline" in page.locator("#connection-text").inner_text()
        assert page.get_by_role("button", name="Try now").is_visible()


def _row(page: Page, phase: str) -> Locator:
    return page.locator(f"tr[data-sandbox][data-phase={phase}]")
