"""A real headless Chromium, for web pages."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.lab import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
SECONDS = 20
# Chromium requests nothing but the page itself; as root it cannot have its own sandbox.
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_page(*, width: int = 1280, height: int = 800, dark: bool = False, refused: bool = False) -> Iterator[Page]:
    """Yield an empty page of a separate browser; an error in its log fails the test at the end.

    With ``refused``, connections may be refused, which Chromium logs as an error. Install Debian's Chromium if there is
    none. Raise LabError if that fails.
    """
    machine.prepare(("chromium", CHROMIUM))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        try:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            page = context.new_page()
            page.set_default_timeout(SECONDS * 1000)
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            yield page
            errors = [error for error in errors if not (refused and "net::ERR_" in error)]
            assert errors == [], errors
        finally:
            browser.close()
