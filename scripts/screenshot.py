"""``python -m scripts.screenshot``: the picture of State Hub's page, with the demo's fleet on the lab's hosts."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from scripts.hosts import open_hosts
from scripts.hub import open_hub
from scripts.stage import REPOSITORY, Fleet
from tests.support.browser import open_page

TARGET = REPOSITORY / "docs/images/state-hub.png"


def main() -> int:
    """Write the picture: four sandboxes, one of them with drift, and that one's timeline."""
    console = Console(highlight=False)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sandboxer-screenshot-")))
        hub = stack.enter_context(open_hub(folder))
        hosts = stack.enter_context(open_hosts(folder, console.print))
        env = {**hosts.env, **hub.env}
        fleet = Fleet.create(folder, console, name=hosts.fleet, hosts=hosts.manifests(), image=hosts.image, env=env)
        fleet.sandboxer("apply", "--yes")
        shop = fleet.ask("get", "shop-e2e")
        doomed = f"sbx-shop-e2e-{shop['id']}-stock-1"
        removed = hosts.command(shop["host"], hosts.engine(shop["host"]), "rm", "-f", doomed)
        subprocess.run(removed, check=True, timeout=60, stdout=subprocess.DEVNULL)
        fleet.sandboxer("drift", code=2)
        page = stack.enter_context(open_page(width=1180, height=860))
        page.goto(hub.page)
        page.get_by_role("link", name="shop-e2e").first.click()
        page.locator("#detail li[data-phase=ready]").wait_for()
        page.screenshot(path=TARGET)
        fleet.remove(*hub.phases())
        fleet.sandboxer("apply", "--yes", "--allow-empty")
    console.print(f"Written: {TARGET.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
