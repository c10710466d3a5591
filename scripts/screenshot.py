"""``python -m scripts.screenshot``: the picture of State Hub's page, with the demo's fleet on the lab's hosts."""

from __future__ import annotations

import re
import shutil
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
    """Write the picture: five sandboxes, one with drift, and one that failed with its cause."""
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
        _add_report(fleet)
        fleet.sandboxer("apply", "--yes", "--target", "report", code=1)
        page = stack.enter_context(open_page(width=1280, height=900))
        page.goto(hub.page)
        page.get_by_role("link", name="report").first.click()
        page.locator("#cause").wait_for()
        page.locator("#detail li[data-phase=failed]").wait_for()
        page.screenshot(path=TARGET)
        fleet.remove(*hub.phases())
        fleet.sandboxer("apply", "--yes", "--allow-empty")
    console.print(f"Written: {TARGET.relative_to(REPOSITORY)}")
    return 0


def _add_report(fleet: Fleet) -> None:
    """Commit one more sandbox, whose service ends at once."""
    stacks, manifests = fleet.folder / "examples/stacks", fleet.folder / "manifests"
    shutil.copytree(stacks / "hello", stacks / "report")
    compose = stacks / "report/compose.yaml"
    command = "[sh, -c, 'echo no template in /www/report >&2; exit 3']"
    compose.write_text(
        re.sub("command: .*", f"command: {command}", compose.read_text(encoding="utf-8")), encoding="utf-8"
    )
    manifest = (manifests / "hello.yaml").read_text(encoding="utf-8").replace("hello", "report")
    (manifests / "report.yaml").write_text(manifest, encoding="utf-8")
    fleet.commit("Add report")


if __name__ == "__main__":
    sys.exit(main())
