"""``python -m scripts.picture``: the README's picture, a real plan of the demo's fleet on the lab's hosts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from sandboxer.reconcile.options import Options
from sandboxer.render.picture import export_svg
from sandboxer.wiring.fleet_hosts import open_fleet
from sandboxer.wiring.planning import plan_fleet
from scripts.hosts import open_hosts
from scripts.stage import REPOSITORY, Fleet

TARGET = REPOSITORY / "docs/images/plan.svg"


def main() -> int:
    """Write the picture: one plan with a change of every kind."""
    console = Console(highlight=False)
    with TemporaryDirectory(prefix="sandboxer-picture-") as temporary:
        folder = Path(temporary)
        with open_hosts(folder, console.print) as hosts:
            fleet = Fleet.create(
                folder, console, name=hosts.fleet, hosts=hosts.manifests(), image=hosts.image, env=hosts.env
            )
            fleet.sandboxer("apply", "--yes")
            _change(fleet)
            shop = fleet.ask("get", "shop-e2e")
            engine = hosts.engine(shop["host"])
            doomed = f"sbx-shop-e2e-{shop['id']}-stock-1"
            subprocess.run(hosts.command(shop["host"], engine, "rm", "-f", doomed), check=True, timeout=60)
            with open_fleet(fleet.folder) as (source, fleet_hosts):
                picture = export_svg(plan_fleet(source, fleet_hosts, Options()).plan, width=92)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(picture, encoding="utf-8")
    console.print(f"Written: {TARGET.relative_to(REPOSITORY)}")
    return 0


def _change(fleet: Fleet) -> None:
    """Commit a new sandbox, a change of another, and the removal of a third."""
    manifests = fleet.folder / "manifests"
    orders = (manifests / "orders.yaml").read_text(encoding="utf-8")
    (manifests / "checkout-e2e.yaml").write_text(orders.replace("name: orders", "name: checkout-e2e"), encoding="utf-8")
    preview = (manifests / "preview.yaml").read_text(encoding="utf-8")
    longer = preview.replace("Good morning", "Good evening") + "  ttl: 2d\n"
    (manifests / "preview.yaml").write_text(longer, encoding="utf-8")
    (manifests / "orders.yaml").unlink()
    fleet.commit("A new sandbox, a longer life, and one that is over")


if __name__ == "__main__":
    sys.exit(main())
