"""The fleet that a release is recorded with: a sandbox in every state, on a host of each engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack, until, web
from tests.support.former import request
from tests.support.release import HUB_PORT, ROOT, TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab import Lab
    from tests.support.former import FormerRelease

FLEET = "recorded"
ENGINES = {"on-docker": ("lab-1", "docker"), "on-podman": ("lab-4", "podman")}
GIT = ("web", "updated", "extended", "brief", "drifted", "healed", "gone", "pending", "fails", "torn")
IMPERATIVE = ("made", "requested")
TTL = {"default": "1h", "max": "8h"}
PORTS = [{"name": "http", "service": "app", "port": 8080}]

# Commands that run on the complete fleet, with recorded output; the last two change the hosts.
COMMANDS: dict[str, tuple[str, ...]] = {
    "plan.json": ("plan", "-o", "json"),
    "plan-replace.json": ("plan", "--detailed-exitcode", "--replace", "web-docker", "-o", "json"),
    "list.json": ("list", "-o", "json"),
    **{
        f"get-{name}-{engine}.json": ("get", f"{name}-{engine}", "-o", "json")
        for name in ("web", "torn")
        for _, engine in ENGINES.values()
    },
    **{
        f"events-{name}-{engine}.jsonl": ("events", f"{name}-{engine}", "-o", "json")
        for name in ("updated", "drifted", "gone", "made")
        for _, engine in ENGINES.values()
    },
    "flush.txt": ("hub", "flush"),
    "drift.json": ("drift", "-o", "json"),
}


@dataclass(slots=True)
class RecordedFleet:
    """The fleet, as the program of ``former`` manages it."""

    fleet: FleetRepo
    saved: Path

    @classmethod
    def create(cls, lab: Lab, folder: Path, former: FormerRelease) -> RecordedFleet:
        """Return a fleet whose repository does not mention its lab: its commits are the same on every one."""
        hub = {"url": f"http://127.0.0.1:{HUB_PORT}", "token": "env:STATE_HUB_TOKEN"}
        fleet = FleetRepo.create(
            lab,
            folder / "fleet",
            hosts=[lab_name for lab_name, _ in ENGINES.values()],
            name=FLEET,
            stateHub=hub,
            secrets={"allow": ["env:APP_TOKEN"]},
        )
        hosts = []
        config = lab.ssh_config.read_text()
        for name, (lab_name, engine) in ENGINES.items():
            spec = {"connection": "ssh", "address": name, "root": ROOT, "runtime": engine}
            hosts.append(
                {
                    "apiVersion": "sandboxer.dev/v1",
                    "kind": "Host",
                    "metadata": {"name": name, "labels": {"engine": engine}},
                    "spec": spec,
                }
            )
            config = config.replace(f"Host {lab_name}\n", f"Host {name}\n")
        fleet.repo.write("manifests/hosts.yaml", yaml.safe_dump_all(hosts, sort_keys=False))
        (folder / "home/.ssh").mkdir(parents=True)
        (folder / "home/.ssh/config").write_text(config)
        fleet.env |= TOKEN | {"HOME": str(folder / "home"), "USER": "recorder"}
        return cls(former.runs(fleet), folder / "saved-plan.json")

    def make(self) -> None:
        """Bring a sandbox into every state, on each host."""
        fleet = self.fleet
        for host, (_, engine) in ENGINES.items():
            self._first(host, engine)
        fleet.commit()
        fleet.apply()
        for host, (lab_name, engine) in ENGINES.items():
            fleet.run("extend-ttl", f"extended-{engine}", "30m")
            fleet.engine(lab_name, "stop", "-t", "0", *self._containers(lab_name, f"drifted-{engine}"))
            fleet.engine(lab_name, "stop", "-t", "0", *self._containers(lab_name, f"healed-{engine}"))
            self._sandbox(f"updated-{engine}", host, stack(app=service("sleep", "8888")), files={"conf/a": "two\n"})
            fleet.run(
                *("create", "--profile", f"profile.updated-{engine}", "--name", f"made-{engine}", "--host", host),
                *("--consumer", "atm/checks", "--label", "team=a", "--env", "GREETING=hello", "--ttl", "2h"),
            )
        fleet.run("drift", code=2, drifts=True)
        for lab_name, engine in ENGINES.values():
            fleet.engine(lab_name, "start", *self._containers(lab_name, f"healed-{engine}"))
        fleet.commit()
        fleet.apply("--target", "updated-docker", "--target", "updated-podman")
        brief = [f"brief-{engine}" for _, engine in ENGINES.values()]
        until(lambda: all(fleet.get(name)["phase"] == "expired" for name in brief), "the end of the brief ones")
        fleet.prune("--expired-only")
        self._broken()

    def make_untold(self) -> None:
        """Change, delete and request sandboxes while the hub accepts nothing, and save a plan of further changes."""
        fleet = self.fleet
        for host, (_, engine) in ENGINES.items():
            fleet.remove(f"gone-{engine}")
            self._sandbox(f"updated-{engine}", host, stack(app=service("sleep", "7777")), files={"conf/a": "three\n"})
        fleet.commit()
        words = [f"--target={name}-{engine}" for name in ("gone", "updated") for _, engine in ENGINES.values()]
        fleet.apply(*words)
        for host, (_, engine) in ENGINES.items():
            request(fleet, f"requested-{engine}", f"profile.updated-{engine}", host)
            self._web(host, engine)
        fleet.commit()
        fleet.apply("--target", "web-docker", "--target", "web-podman")
        for host, (_, engine) in ENGINES.items():
            self._sandbox(f"pending-{engine}", host, stack(app=service("sleep", "8888")), ttl="3h", env={"LEVEL": "b"})
        fleet.commit()
        fleet.run("plan", "--out", str(self.saved), drifts=True)

    def _first(self, host: str, engine: str) -> None:
        """Write the sandboxes of the first commit."""
        for name in ("updated", "extended", "drifted", "healed", "gone"):
            volumes = {"volumes": ["./conf:/conf:ro"]} if name == "updated" else {}
            files = {"conf/a": "one\n"} if name == "updated" else None
            self._sandbox(f"{name}-{engine}", host, stack(app=service(**volumes)), files=files)
        self._sandbox(f"brief-{engine}", host, stack(app=service()), ttl="5s")
        self._sandbox(f"pending-{engine}", host, stack(app=service()), ttl="2h", env={"LEVEL": "a"})

    def _web(self, host: str, engine: str) -> None:
        """Write one that uses every feature. It comes last: deletes of fc41863 on Podman take others' volumes."""
        build = {"build": ".", "command": ["sleep", "9999"], "stop_signal": "SIGKILL"}
        compose = stack(
            app=web(
                environment={"LEVEL": "${LEVEL}"}, secrets=["APP_TOKEN"], volumes=["data:/data", "./conf:/conf:ro"]
            ),
            init=service("true", restart="no"),
            built=build,
        )
        compose |= {"volumes": {"data": None}, "secrets": {"APP_TOKEN": {"environment": "APP_TOKEN"}}}
        self._sandbox(
            f"web-{engine}",
            host,
            compose,
            files={"conf/a": "one\n", "Dockerfile": f"FROM {IMAGE}\nCOPY conf/a /file\n"},
            profile_spec={"reachability": {"ports": PORTS}, "ttl": TTL},
            env={"LEVEL": "a"},
            secretRefs=[{"name": "APP_TOKEN", "from": "env:APP_TOKEN"}],
            consumer={"actor": "agt", "project": "checks"},
            labels={"team": "payments"},
        )

    def _broken(self) -> None:
        """Create a sandbox that never gets ready, and one whose apply is killed midway."""
        fleet = self.fleet
        never = {"test": ["CMD", "false"], "interval": "1s", "retries": 1}
        for host, (_, engine) in ENGINES.items():
            profile = {"ttl": TTL, "readiness": {"timeout": "5s"}}
            compose = stack(app=service(healthcheck=never))
            self._sandbox(f"fails-{engine}", host, compose, profile_spec=profile)
            self._sandbox(f"torn-{engine}", host, stack(app=service(), other=service()))
        fleet.commit()
        fleet.apply("--target", "fails-docker", "--target", "fails-podman", code=1)
        for _, engine in ENGINES.values():
            crash = {"SANDBOXER_CRASH_AT": "compose.before"}
            fleet.run("apply", "-y", "--target", f"torn-{engine}", code=-9, env=crash)

    def _sandbox(self, name: str, host: str, compose: Any, **spec: Any) -> None:
        self.fleet.sandbox(name, compose, host=host, **{"profile_spec": {"ttl": TTL}, **spec})

    def _containers(self, lab_name: str, name: str) -> list[str]:
        return list(self.fleet.ids(lab_name, name).values())
