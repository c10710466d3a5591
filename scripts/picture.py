"""``python -m scripts.picture``: the README's pictures, a real plan of the demo's fleet on the lab and its apply."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from sandboxer.model.run_events import ChangeEnded, ServiceProgressed
from sandboxer.reconcile.options import Options
from sandboxer.render.live import LiveView
from sandboxer.render.picture import export_svg
from sandboxer.render.plan_text import plan_text
from sandboxer.wiring.apply_options import ApplyOptions
from sandboxer.wiring.applying import apply_plan
from sandboxer.wiring.fleet_hosts import open_fleet
from sandboxer.wiring.planning import plan_fleet
from sandboxer.wiring.reporting import Reporter
from sandboxer.wiring.review import for_review
from scripts.hosts import open_hosts
from scripts.stage import REPOSITORY, Fleet

if TYPE_CHECKING:
    from sandboxer.model.run_events import RunEvent
    from scripts.hosts import Hosts

IMAGES = REPOSITORY / "docs/images"
WIDTH, NARROW = 92, 76
# A service of the shop that is built, so that the plan and the apply show a build.
_PRICES = """\
  prices:
    build: prices
    stop_signal: SIGKILL
"""
_DOCKERFILE = 'FROM {image}\nCOPY . /prices/\nCMD ["httpd", "-f", "-p", "8080", "-h", "/prices"]\n'


def main() -> int:
    """Write the pictures: one plan with a change of every kind, and the moment of its apply at which most happens."""
    console = Console(highlight=False)
    with TemporaryDirectory(prefix="sandboxer-picture-") as temporary:
        folder = Path(temporary)
        with open_hosts(folder, console.print) as hosts:
            fleet = Fleet.create(
                folder, console, name=hosts.fleet, hosts=hosts.manifests(), image=hosts.image, env=hosts.env
            )
            _build_prices(fleet, hosts.image)
            fleet.sandboxer("apply", "--yes")
            _change(fleet, hosts)
            frames = Frames()
            with open_fleet(fleet.folder, emit=frames) as (source, fleet_hosts):
                planned = plan_fleet(source, fleet_hosts, Options())
                plan = plan_text(for_review(planned, source).plan)
                _write("plan.svg", export_svg(plan, title="sandboxer plan", width=WIDTH), console)
                apply_plan(planned, source, fleet_hosts, Reporter(), ApplyOptions(), again=None)
            _write("apply.svg", export_svg(frames.best, title="sandboxer apply", width=NARROW), console)
    return 0


class Frames:
    """A sink that keeps the live table as it was when most services were in progress, beside a change that ended."""

    def __init__(self) -> None:
        self._view = LiveView(Console(file=StringIO(), width=NARROW, height=40, force_terminal=True, _environ={}))
        self._ended = 0
        self._working: dict[tuple[str, str], ServiceProgressed] = {}
        self._most = -1
        self.best = self._view.table()

    def __call__(self, event: RunEvent) -> None:
        """Show an event in the table, and keep the table if it shows more than before."""
        self._view(event)
        if isinstance(event, ChangeEnded):
            self._ended += 1
            self._working = {key: one for key, one in self._working.items() if key[0] != event.outcome.change.id}
        if isinstance(event, ServiceProgressed):
            self._working[event.change.id, event.service] = event
        working = self._working.values()
        details = sum(bool(one.detail) for one in working)
        shown = 10 * (len({one.state for one in working}) + details) + len(working) + (5 if self._ended else 0)
        if shown > self._most:
            self._most, self.best = shown, self._view.table()


def _write(name: str, picture: str, console: Console) -> None:
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / name).write_text(picture, encoding="utf-8")
    console.print(f"Written: docs/images/{name}")


def _build_prices(fleet: Fleet, image: str) -> None:
    """Commit one more service of the shop, whose image is built."""
    shop = fleet.folder / "examples/stacks/shop"
    compose = shop / "compose.yaml"
    compose.write_text(compose.read_text(encoding="utf-8") + _PRICES, encoding="utf-8")
    (shop / "prices").mkdir()
    (shop / "prices/Dockerfile").write_text(_DOCKERFILE.format(image=image), encoding="utf-8")
    (shop / "prices/list.txt").write_text("tea 3\n", encoding="utf-8")
    fleet.commit("Serve prices")


def _change(fleet: Fleet, hosts: Hosts) -> None:
    """Commit a new sandbox, changes of two others, and the removal of a fourth; remove a container of a fifth."""
    manifests, shop = fleet.folder / "manifests", fleet.folder / "examples/stacks/shop"
    orders = (manifests / "orders.yaml").read_text(encoding="utf-8")
    (manifests / "checkout-e2e.yaml").write_text(orders.replace("name: orders", "name: checkout-e2e"), encoding="utf-8")
    (manifests / "orders.yaml").unlink()
    fleet.commit("Test the checkout in place of orders")
    preview = (manifests / "preview.yaml").read_text(encoding="utf-8")
    longer = preview.replace("Good morning", "Good evening") + "  ttl: 2d\n"
    (manifests / "preview.yaml").write_text(longer, encoding="utf-8")
    fleet.commit("Keep the preview for two days")
    (shop / "prices/list.txt").write_text("tea 3\ncoffee 4\n", encoding="utf-8")
    (shop / "www/index.html").write_text("<h1>Tea and coffee</h1>\n", encoding="utf-8")
    fleet.commit("Sell coffee")
    hello = fleet.ask("get", "hello")
    doomed = f"sbx-hello-{hello['id']}-web-1"
    engine = hosts.engine(hello["host"])
    subprocess.run(hosts.command(hello["host"], engine, "rm", "-f", doomed), check=True, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
