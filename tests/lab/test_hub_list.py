"""State Hub's page in a real Chromium, over a hub with stored sandboxes: causes, filters, order, and long lists."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scripts.hub import RunningHub, open_hub
from tests.support.browser import SECONDS, open_page
from tests.support.hub_sandboxes import CAUSES, sent, stored
from tests.unit.hub.hubs import event, registration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.lab

MANY = 2000
FAILED, READY = 6, 0  # indices of sandboxes in these states


@contextmanager
def opened(folder: Path, count: int, address: str = "", **options: Any) -> Iterator[tuple[RunningHub, Page]]:
    """Yield a hub that has ``count`` sandboxes, and its page at an address."""
    stored(folder / "hub.sqlite", (sent(index) for index in range(count)))
    with open_hub(folder) as hub, open_page(**options) as page:
        page.goto(hub.page + address)
        page.locator("#connection[data-state=live]").wait_for()
        page.locator("tr[data-sandbox], #no-match:visible").first.wait_for()
        yield hub, page


def post(hub: RunningHub, *events: dict[str, Any]) -> None:
    for one in events:
        headers = {"Authorization": f"Bearer {hub.token}", "Content-Type": "application/cloudevents+json"}
        assert httpx.post(f"{hub.url}/events", json=one, headers=headers, trust_env=False).status_code == 201


def put(hub: RunningHub, given: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {hub.token}"}
    address = f"{hub.url}/sandboxes/{given['id']}"
    assert httpx.put(address, json=given, headers=headers, trust_env=False).is_success


def names(page: Page) -> list[str]:
    return page.locator("tr[data-sandbox] .cell-name a").all_inner_texts()


def becomes(page: Page, script: str, expected: object) -> None:
    """Wait until an expression of the page has a value, from outside: the page's policy forbids to evaluate texts."""
    deadline = time.monotonic() + SECONDS
    while (found := page.evaluate(script)) != expected:
        assert time.monotonic() < deadline, (script, found, expected)
        page.wait_for_timeout(50)


def test_a_cause_shows_in_the_row_and_in_full_beside_it_until_a_success(tmp_path: Path) -> None:
    code, message, service, step = CAUSES[FAILED % 3]
    with opened(tmp_path, 8) as (hub, page):
        row = page.locator(f"tr[data-sandbox='{FAILED:08x}']")
        shown = row.locator(".cell-cause").inner_text()
        assert code in shown
        assert message.splitlines()[0] in shown
        assert message.splitlines()[1] not in shown
        row.locator("a").press("Enter")
        page.locator("#cause").wait_for()
        assert page.locator("#cause-message").inner_text() == message
        about = page.locator("#cause-about").inner_text()
        assert f"{code} · step {step} · service {service}" in about
        assert "sandboxer logs" in page.locator("#cause-hint").inner_text()
        assert page.locator("#cause-text code").inner_text() == "sandboxer get web-0006"
        assert "exited (3)" in page.locator("#services li[data-service=web]").inner_text()
        assert f"{FAILED * 7919:08x}" * 5 in page.locator("#input").inner_text()
        assert page.locator("#figure-failed").inner_text() == "1"

        identity = {"uid": f"{FAILED:032x}", "sandbox_id": f"{FAILED:08x}", "host": "lab-7", "name": "web-0006"}
        post(hub, event(5, "sandbox.provisioning", **identity))
        row.locator(".phase[data-phase=provisioning]").wait_for()
        assert code in row.locator(".cell-cause").inner_text(), "a new attempt is no success"
        post(hub, event(6, "sandbox.ready", **identity))
        page.locator(f"tr[data-sandbox='{FAILED:08x}']:not([data-failed])").wait_for()
        page.locator("#cause").wait_for(state="hidden")
        assert code in page.locator("#detail li[data-phase=failed]").inner_text(), "the timeline keeps it"


def test_a_health_that_is_older_than_the_failure_does_not_pass_for_the_present_one(tmp_path: Path) -> None:
    with opened(tmp_path, 1) as (hub, page):
        health = page.locator("tr[data-sandbox] .cell-health")
        assert health.get_attribute("data-stale") is None
        colour = "getComputedStyle(document.querySelector('.cell-health .word')).color"
        good = page.evaluate(colour)
        identity = {"uid": f"{READY:032x}", "sandbox_id": f"{READY:08x}", "host": "lab-1", "name": "web-0000"}
        post(hub, event(4, "sandbox.failed", **identity))
        page.locator("tr[data-phase=failed]").wait_for()
        assert health.get_attribute("title") == "when it was ready"
        assert page.evaluate(colour) != good


def test_filters_stand_in_the_address_and_a_link_shows_the_same(tmp_path: Path) -> None:
    with opened(tmp_path, 60) as (hub, page):
        page.locator("#figures button", has_text="Failed").press("Enter")
        becomes(page, "document.querySelectorAll('tr[data-sandbox]:not([data-phase=failed])').length", 0)
        facet = page.locator("details[data-facet=consumer]")
        facet.locator("summary").press("Enter")
        choice = facet.locator("li", has_text="search")
        count = int(choice.locator(".value-count").inner_text())
        choice.locator("input").press(" ")
        becomes(page, "document.querySelectorAll('tr[data-sandbox]').length", count)
        page.keyboard.press("Escape")
        assert facet.get_attribute("open") is None
        assert page.url.endswith("#filter=status%3Afailed&filter=consumer%3Asearch")
        filtered, address = names(page), page.url.partition("#")[2]
        assert page.locator("#shown").inner_text() == f"{count} of 60 sandboxes"

        page.go_back()
        becomes(page, "document.querySelectorAll('#active li').length", 1)
        page.go_forward()
        becomes(page, "document.querySelectorAll('#active li').length", 2)
        page.locator("#filter").fill("WEB-0013")
        becomes(page, "document.querySelectorAll('tr[data-sandbox]').length", 1)
        page.reload()
        page.locator("tr[data-sandbox]").wait_for()
        assert names(page) == ["web-0013"], "the address has the text too"
        assert page.locator("#filter").input_value() == "web-0013"

        page.goto("about:blank")
        page.goto(f"{hub.page}&{address}")
        page.locator("tr[data-sandbox]").first.wait_for()
        assert names(page) == filtered
        assert hub.token not in page.url
        assert page.get_by_role("button", name="Failed").first.get_attribute("aria-pressed") == "true"
        page.get_by_role("button", name="Remove the filter Status: Failed").press("Enter")
        page.get_by_role("button", name="Clear all").press("Enter")
        becomes(page, "document.querySelectorAll('#active li').length", 0)
        assert "#" not in page.url


def test_labels_of_one_key_add_up_and_of_two_keys_narrow(tmp_path: Path) -> None:
    several = "&filter=label:team=search&filter=label:team=payments&filter=label:branch=feature-4"
    with opened(tmp_path, 20, several) as (_hub, page):
        assert names(page) == ["web-0004"]
        page.get_by_role("button", name="Remove the filter Label: branch=feature-4").click()
        becomes(page, "document.querySelectorAll('tr[data-sandbox]').length", 10)


def test_the_columns_sort_and_report_their_order(tmp_path: Path) -> None:
    with opened(tmp_path, 30, height=2400) as (_hub, page):
        usual = names(page)
        heading = page.locator("th[data-column=name]")
        for order, expected in (
            ("ascending", sorted(usual)),
            ("descending", sorted(usual, reverse=True)),
            (None, usual),
        ):
            heading.locator("button").press("Enter")
            becomes(page, "document.querySelector('th[data-column=name]').getAttribute('aria-sort')", order)
            assert names(page) == expected
        page.locator("th[data-column=phase] button").click()
        becomes(page, "document.querySelector('tr[data-sandbox]').dataset.phase", "failed")
        assert page.url.endswith("#sort=phase")
        assert page.locator("[aria-sort]").count() == 1


def test_two_thousand_rows_are_few_elements_and_all_can_be_reached(tmp_path: Path) -> None:
    with opened(tmp_path, MANY) as (_hub, page):
        assert page.locator("#figure-all").inner_text() == str(MANY)
        assert page.locator("#sandboxes").get_attribute("aria-rowcount") == str(MANY + 1)
        elements = "document.querySelectorAll('*').length"
        most = page.evaluate(elements)
        seen = set(names(page))
        height = page.evaluate("document.documentElement.scrollHeight")
        for place in range(0, height, 1500):
            page.evaluate("place => scrollTo(0, place)", place)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seen |= set(names(page))
            most = max(most, page.evaluate(elements))
        assert len(seen) == MANY
        assert most < 1500

        page.evaluate("scrollTo(0, 0)")
        page.locator("tr[aria-rowindex='2'] a").focus()
        page.keyboard.press("End")
        becomes(page, "document.activeElement.closest('tr')?.ariaRowIndex", str(MANY + 1))
        top, height = page.evaluate("[document.activeElement.closest('tr').getBoundingClientRect().top, innerHeight]")
        assert 0 < top < height
        page.keyboard.press("ArrowUp")
        becomes(page, "document.activeElement.closest('tr')?.ariaRowIndex", str(MANY))
        page.evaluate("scrollTo(0, 0)")
        page.locator("tr[aria-rowindex='2']").wait_for()
        page.keyboard.press("Home")
        becomes(page, "document.activeElement.closest('tr')?.ariaRowIndex", "2")


def test_live_changes_keep_the_place_the_selection_and_the_focus(tmp_path: Path) -> None:
    with opened(tmp_path, 400) as (hub, page):
        page.evaluate("scrollTo(0, 9000)")
        row = page.locator("tr[data-sandbox]").nth(15)
        row.wait_for()
        identifier = row.get_attribute("data-sandbox")
        row.locator("a").press("Enter")
        page.locator(f"tr[data-sandbox='{identifier}'][data-selected]").wait_for()
        page.locator(f"tr[data-sandbox='{identifier}'] a").focus()
        place = f"document.querySelector('tr[data-sandbox=\"{identifier}\"]').getBoundingClientRect().top"
        before, scrolled = page.evaluate(f"[{place}, scrollY]")

        ready = {"host": "lab-1", "uid": "f" * 31}
        post(
            hub,
            *(
                event(1, "sandbox.requested", **ready, sandbox_id=f"f{n:07x}", name=f"new-{n}") | {"id": f"{n:064x}"}
                for n in range(30)
            ),
        )
        becomes(page, "document.querySelector('#figure-all').textContent", "430")
        after, now = page.evaluate(f"[{place}, scrollY]")
        assert after == pytest.approx(before, abs=1)
        assert now > scrolled + 1000, "thirty rows came above it"
        assert page.evaluate("document.activeElement.closest('tr')?.dataset.sandbox") == identifier
        assert page.locator(f"tr[data-sandbox='{identifier}'][data-selected]").count() == 1
        assert page.locator("#detail").get_attribute("data-sandbox") == identifier


def test_what_strangers_wrote_is_text(tmp_path: Path) -> None:
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    with opened(tmp_path, 1) as (hub, page):
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        identity = {"uid": "e" * 32, "host": markup, "name": f"{markup}\u202etxt.exe"}
        source = {"source": "/fleets/acme/hosts/lab-x", "subject": "eeeeeeee"}
        error = {
            "code": markup,
            "message": f"{markup}\nsecond {markup}",
            "hint": markup,
            "step": markup,
            "service": markup,
        }
        ways = [
            {"name": markup, "url": "javascript:alert(3)", "via": "published", "address": "192.0.2.1", "port": 80},
            {"name": "http", "url": f"http://192.0.2.1/{markup}", "via": "tunnel", "address": "$(reboot)", "port": 80},
            {"name": "; reboot", "url": "data:text/html,x", "via": ["tunnel"], "address": {"a": 1}, "port": "80"},
        ]
        services = [
            {"name": markup, "state": markup, "health": {"a": 1}, "image": [markup], "restarts": "3"},
            {"name": 1},
        ]
        given = registration(
            **identity, id="eeeeeeee", reachability=ways, services=services, error=error, phase="failed"
        )
        given |= {
            "labels": {markup: markup, "n": 1},
            "inputs": {"repo": "javascript:alert(4)", "ref": markup, "commit": markup},
        }
        put(hub, given)
        other = {"sandbox_id": "eeeeeeee", "uid": "d" * 32, "host": "lab-x", "name": "-rf"}
        post(
            hub,
            event(1, "sandbox.failed", **other, error=error),
            {
                **event(2, **other),
                **source,
                "type": "dev.sandboxer.x.y",
                "data": {"drift": "no", "error": 3, "reason": True},
            },
        )
        row = page.locator("tr[data-sandbox=eeeeeeee]", has_text="txt.exe")
        row.wait_for()
        assert f"{markup}\\u{{202e}}txt.exe" in row.locator("a").inner_text()
        row.locator("a").press("Enter")
        page.locator("#detail li[data-event]").first.wait_for()
        label = page.locator("details[data-facet=label]")
        label.locator("summary").click()
        label.get_by_label(f"{markup}={markup}").check()
        assert page.locator("#active li").inner_text().startswith(f"Label: {markup}={markup}")
        page.reload()
        page.locator("#active li", has_text=f"{markup}={markup}").wait_for()
        page.locator("#detail li[data-event]").first.wait_for()
        assert len(names(page)) == 1
        assert page.locator("img:not(.bar img), #content script").count() == 0
        targets = page.locator("#content a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
        assert all(target.startswith("#") for target in targets), targets
        assert page.locator("#detail .command").count() == 0, "no command has what a shell could take for another"
        assert page.locator("#cause-message").inner_text() == error["message"]


@pytest.mark.parametrize(
    ("way", "link", "commands"),
    [
        (
            {"name": "http", "port": 80, "via": "tunnel", "address": "172.20.0.2", "host_port": None, "url": "http://172.20.0.2:80"},
            False,
            ["sandboxer forward web-0000 http", "ssh -N -L 8080:172.20.0.2:80 lab-1"],
        ),
        (
            {"name": "db", "port": 5432, "via": "published", "address": "127.0.0.1", "host_port": 32768, "url": "tcp://127.0.0.1:32768"},
            False,
            ["sandboxer forward web-0000 db", "ssh -N -L 5432:127.0.0.1:32768 lab-1"],
        ),
        (
            {"name": "http", "port": 80, "via": "published", "address": "192.0.2.7", "host_port": 8080, "url": "http://192.0.2.7:8080"},
            True,
            [],
        ),
    ],
    ids=["tunnel", "loopback", "address"],
)  # fmt: skip
def test_a_port_is_a_link_only_where_it_can_be_reached(
    tmp_path: Path, way: dict[str, Any], link: bool, commands: list[str]
) -> None:
    with opened(tmp_path, 1) as (hub, page):
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        put(hub, sent(READY)[1] | {"reachability": [way]})  # type: ignore[operator]
        page.goto(f"{page.url}#sandbox={READY:08x}")
        page.locator("#ways li").wait_for()
        page.locator("#ways", has_text=way["url"]).wait_for()
        assert page.locator("#ways a").count() == int(link)
        assert page.locator("#ways .command code").all_inner_texts() == commands
        for place, command in enumerate(commands):
            page.locator("#ways .copy").nth(place).press("Enter")
            becomes(page, "navigator.clipboard.readText()", command)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_list_and_its_filters_fit_a_phone(tmp_path: Path, dark: bool) -> None:
    with opened(tmp_path, 40, "&filter=phase:failed", width=360, height=740, dark=dark) as (_hub, page):
        page.locator("details[data-facet=label] summary").click()
        page.locator("details[data-facet=label] li").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.keyboard.press("Escape")
        page.locator("#sort").select_option("name")
        becomes(page, "location.hash.includes('sort=name')", True)
        place = page.evaluate("scrollTo(0, 400), scrollY")
        row = page.locator("tr[data-sandbox]").nth(2)
        identifier = row.get_attribute("data-sandbox")
        row.locator("a").click()
        page.locator("#cause").wait_for()
        assert page.locator("#detail").bounding_box()["y"] < 740  # type: ignore[index]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator("#detail-close").click()
        becomes(page, "document.activeElement.closest('tr')?.dataset.sandbox", identifier)
        assert page.evaluate("scrollY") == pytest.approx(place, abs=200)
