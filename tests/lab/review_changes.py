"""The changes of ``test_review``: each is made to a small shop, one after the other, as people make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.lab import IMAGE
from tests.support.e2e import service, web
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.e2e import FleetRepo

OTHER_IMAGE = "sandboxer-lab/busybox:2"
DOCKERFILE = f"FROM {IMAGE}\nCOPY . /src\n"
FILES = {
    "README.md": "# Shop\n",
    "config/shop.conf": "currency = EUR\n",
    "config/old.conf": "a\nb\nc\nd\n",
    "config/run.sh": "#!/bin/sh\n",
    "config/legacy.conf": "gone soon\n",
    "docs/guide.md": "How to shop.\n",
    "worker/Dockerfile": DOCKERFILE,
    "worker/main.sh": "echo work\n",
    "worker/.dockerignore": "notes.txt\n",
    "worker/notes.txt": "not in the image\n",
}


@dataclass
class Shop:
    """An application in a repository of its own, and the fleet that has one sandbox of it."""

    fleet: FleetRepo
    repo: GitRepo
    services: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    sandbox: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    secret: str = "first-secret-value"

    @classmethod
    def begin(cls, fleet: FleetRepo, repo: GitRepo) -> Shop:
        """Return the shop at its first commit, not applied."""
        shop = cls(fleet, repo)
        shop.services = {
            "web": web(
                volumes=["./config:/etc/shop:ro"],
                environment={"LOG_LEVEL": "${LOG_LEVEL}", "API_TOKEN": "${API_TOKEN}"},
                networks=["front"],
            ),
            "sidecar": service(network_mode="service:web"),
            "worker": {k: v for k, v in service().items() if k != "image"} | {"build": "worker"},
            "db": service(secrets=["DB_PASSWORD"], volumes=["data:/data"]),
            "migrate": service("true", restart="no"),
        }
        shop.networks = {"front": {}}
        shop.profile = {"compose": {"files": ["compose.yaml"]}, "workspace": {"path": "."}}
        shop.sandbox = {
            "inputs": {"repo": "../shop", "ref": "main"},
            "env": {"LOG_LEVEL": "info", "API_TOKEN": "one-sensitive-value"},
            "secretRefs": [{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}],
            "placement": {"hosts": [fleet.hosts[0]]},
        }
        shop.write(FILES)
        shop.commit("Begin the shop")
        return shop

    def write(self, files: dict[str, str | bytes | None]) -> None:
        """Write files of the application, or remove them."""
        for path, content in files.items():
            target = self.repo.path / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, subject: str = "") -> None:
        """Commit the application with a subject, and the fleet."""
        if subject:
            model = {"services": self.services, "networks": self.networks, "volumes": {"data": {}}}
            model["secrets"] = {"DB_PASSWORD": {"environment": "DB_PASSWORD"}}
            self.write({"compose.yaml": yaml.safe_dump(model, sort_keys=False)})
            self.repo.commit(subject=subject)
        self.fleet.profile("profile.shop", **self.profile)
        spec = {"profile": "profile.shop", **self.sandbox}
        self.fleet.document("manifests/shop.yaml", "Sandbox", "shop", spec, labels=self.labels)
        self.fleet.commit()


CHANGES: dict[str, Callable[[Shop], None]] = {}


def _change(make: Callable[[Shop], None]) -> Callable[[Shop], None]:
    CHANGES[make.__name__.removeprefix("_").replace("_", "-")] = make
    return make


@_change
def _config(shop: Shop) -> None:
    shop.write({"config/shop.conf": "currency = EUR\nlimit = 100\n"})
    shop.commit("Raise the limit of the cart")


@_change
def _new_file(shop: Shop) -> None:
    shop.write({"config/new.conf": "a\n"})
    shop.commit("Add a setting")


@_change
def _removed_file(shop: Shop) -> None:
    shop.write({"config/legacy.conf": None})
    shop.commit("Remove the old setting")


@_change
def _rename(shop: Shop) -> None:
    shop.write({"config/old.conf": None, "config/renamed.conf": FILES["config/old.conf"]})
    shop.commit("Rename a setting")


@_change
def _move(shop: Shop) -> None:
    shop.write({"docs/guide.md": None, "manual/guide.md": FILES["docs/guide.md"]})
    shop.commit("Move the guide")


@_change
def _unused_file(shop: Shop) -> None:
    shop.write({"README.md": "# The shop\n"})
    shop.commit("Correct the title")


@_change
def _mode_bit(shop: Shop) -> None:
    (shop.repo.path / "config/run.sh").chmod(0o755)
    shop.commit("Make the script executable")


@_change
def _symlink(shop: Shop) -> None:
    (shop.repo.path / "config/current.conf").symlink_to("shop.conf")
    shop.commit("Link the current setting")


@_change
def _symlink_target(shop: Shop) -> None:
    (shop.repo.path / "config/current.conf").unlink()
    (shop.repo.path / "config/current.conf").symlink_to("new.conf")
    shop.commit("Link another setting")


@_change
def _file_becomes_link(shop: Shop) -> None:
    (shop.repo.path / "config/new.conf").unlink()
    (shop.repo.path / "config/new.conf").symlink_to("shop.conf")
    shop.commit("Share a setting")


@_change
def _binary(shop: Shop) -> None:
    shop.write({"config/logo.png": bytes(range(256)) * 4})
    shop.commit("Add a logo")


@_change
def _binary_changed(shop: Shop) -> None:
    shop.write({"config/logo.png": bytes(range(255, -1, -1)) * 4})
    shop.commit("Redraw the logo")


@_change
def _many_files(shop: Shop) -> None:
    shop.write({f"config/many/{number:02}.conf": f"{number}\n" for number in range(25)})
    shop.commit("Add 25 settings")


@_change
def _dockerfile(shop: Shop) -> None:
    shop.write({"worker/Dockerfile": DOCKERFILE + "ENV SPEED=2\n"})
    shop.commit("Speed up the worker")


@_change
def _build_source(shop: Shop) -> None:
    shop.write({"worker/main.sh": "echo more work\n"})
    shop.commit("Work more")


@_change
def _ignored_file(shop: Shop) -> None:
    shop.write({"worker/notes.txt": "still not in the image\n"})
    shop.commit("Take notes")


@_change
def _image_tag(shop: Shop) -> None:
    shop.services["db"]["image"] = OTHER_IMAGE
    shop.commit("Upgrade the database")


@_change
def _compose_key(shop: Shop) -> None:
    shop.services["db"]["command"] = ["sleep", "8888"]
    shop.commit("Run the database longer")


@_change
def _healthcheck(shop: Shop) -> None:
    shop.services["db"]["healthcheck"] = {"test": ["CMD", "true"], "interval": "1s"}
    shop.commit("Check the database")


@_change
def _one_shot(shop: Shop) -> None:
    shop.services["migrate"]["command"] = ["sh", "-c", "true"]
    shop.commit("Migrate in another way")


@_change
def _new_service(shop: Shop) -> None:
    shop.services["cache"] = service()
    shop.commit("Add a cache")


@_change
def _replicas(shop: Shop) -> None:
    shop.services["cache"]["scale"] = 2
    shop.commit("Run two caches")


@_change
def _removed_service(shop: Shop) -> None:
    del shop.services["cache"]
    shop.commit("Remove the cache")


@_change
def _network(shop: Shop) -> None:
    shop.networks["front"] = {"driver_opts": {"com.docker.network.driver.mtu": "1400"}}
    shop.commit("Lower the MTU")


@_change
def _env(shop: Shop) -> None:
    shop.sandbox["env"] = {**shop.sandbox["env"], "LOG_LEVEL": "debug"}
    shop.commit()


@_change
def _sensitive_env(shop: Shop) -> None:
    shop.sandbox["env"] = {**shop.sandbox["env"], "API_TOKEN": "another-sensitive-value"}
    shop.commit()


@_change
def _secret(shop: Shop) -> None:
    shop.secret = "second-secret-value"


@_change
def _ttl(shop: Shop) -> None:
    shop.sandbox["ttl"] = "3h"
    shop.commit()


@_change
def _labels(shop: Shop) -> None:
    shop.labels["team"] = "payments"
    shop.commit()


@_change
def _profile(shop: Shop) -> None:
    shop.profile["resources"] = {"cpus": 0.5, "memory": "48MiB", "pids": 64}
    shop.commit()


@_change
def _compose_files(shop: Shop) -> None:
    shop.write({"more.yaml": "services: {worker: {environment: {MORE: 'yes'}}}\n"})
    shop.profile["compose"] = {"files": ["compose.yaml", "more.yaml"]}
    shop.commit("Add an override")


@_change
def _branch(shop: Shop) -> None:
    shop.repo.git("branch", "release")
    shop.repo.git("checkout", "-q", "release")
    shop.write({"config/shop.conf": "currency = USD\n"})
    shop.sandbox["inputs"] = {"repo": "../shop", "ref": "release"}
    shop.commit("Sell in dollars")


@_change
def _branch_moved(shop: Shop) -> None:
    shop.write({"config/shop.conf": "currency = USD\nlimit = 50\n"})
    shop.commit("Lower the limit")


@_change
def _rebase(shop: Shop) -> None:
    shop.repo.git("reset", "-q", "--hard", "HEAD~1")
    shop.write({"config/shop.conf": "currency = USD\nlimit = 60\n"})
    shop.commit("Lower the limit a little")


@_change
def _tag(shop: Shop) -> None:
    shop.repo.git("tag", "v1")
    shop.sandbox["inputs"] = {"repo": "../shop", "ref": "v1"}
    shop.commit()


@_change
def _tag_moved(shop: Shop) -> None:
    shop.write({"config/shop.conf": "currency = CHF\n"})
    shop.commit("Sell in francs")
    shop.repo.git("tag", "-f", "v1")


@_change
def _shallow_clone(shop: Shop) -> None:
    shop.write({"config/shop.conf": "currency = GBP\n"})
    shop.commit("Sell in pounds")
    shop.repo.git("tag", "-f", "v1")
    whole = shop.repo.path.rename(shop.repo.path.with_name("whole"))
    options = ("--depth", "1", "--branch", "v1")
    GitRepo(whole).git("clone", "-q", *options, f"file://{whole}", str(shop.repo.path))


@_change
def _another_repository(shop: Shop) -> None:
    shop.repo.path.rename(shop.repo.path.with_name("other"))
    shop.sandbox["inputs"] = {"repo": "../other", "ref": "v1"}
    shop.commit()
