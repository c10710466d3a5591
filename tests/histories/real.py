"""The same steps on the lab's real hosts, through the real program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.model.identity import LABEL_ID, LABEL_UID, sandbox_id
from tests.histories.git import STACKS, Commit, documents_of
from tests.histories.played import outcomes_of, plan_of
from tests.histories.world import World
from tests.lab import IMAGE
from tests.support.e2e import ROOT, FleetRepo
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab import Lab

_FLAGS = {"targets": "--target", "max_deletes": "--max-deletes", "allow_empty": "--allow-empty"}
_KILLED = -9


class RealWorld:
    """Fleets in separate repositories, on the lab's hosts; steps work as in a simulated world."""

    def __init__(self, lab: Lab, path: Path, fleets: tuple[str, ...], hosts: tuple[str, ...]) -> None:
        self.lab = lab
        self.hosts = hosts
        self.fleets: dict[str, FleetRepo] = {}
        self.declared = World(fleets, hosts)  # the content of git
        self._foreign: list[tuple[str, str]] = []
        self._stopped: set[str] = set()
        for name in fleets:
            repo = GitRepo.create(path / name)
            for stack, compose in STACKS.items():
                repo.write(f"stacks/{stack}/compose.yaml", yaml.safe_dump(compose))
            self.fleets[name] = FleetRepo(lab, repo, name, hosts)
            self._commit(name, self.declared.fleets[name].head)

    # --- git

    def edit(self, fleet: str, name: str, **fields: Any) -> None:
        self.declared.edit(fleet, name, **fields)
        self._commit(fleet, self.declared.fleets[fleet].head)

    def drop(self, fleet: str, name: str) -> None:
        self.declared.drop(fleet, name)
        self._commit(fleet, self.declared.fleets[fleet].head)

    def edit_host(self, fleet: str, host: str, **fields: Any) -> None:
        self.declared.edit_host(fleet, host, **fields)
        self._commit(fleet, self.declared.fleets[fleet].head)

    def _commit(self, fleet: str, commit: Commit) -> None:
        repo = self.fleets[fleet].repo
        real = {doc["metadata"]["name"]: doc for doc in yaml.safe_load_all(self.lab.host_manifests(ROOT))}
        documents = documents_of(fleet, **json.loads(commit.text))
        for document in documents:
            if document["kind"] == "Host":
                document["spec"] |= real[document["metadata"]["name"]]["spec"]
        repo.write("sandboxer.yaml", yaml.safe_dump(documents[0]))
        repo.write("manifests/all.yaml", yaml.safe_dump_all(documents[1:], sort_keys=False, width=1000))
        repo.commit()

    # --- the program

    def applied(
        self, fleet: str, death: str = "", back: int = 0, only_deletes: bool = False, **request: Any
    ) -> list[Any] | None:
        words = ["prune" if only_deletes else "apply", "-y", "-o", "json"]
        if back:
            words += ["--ref", f"HEAD~{min(back, len(self.declared.fleets[fleet].commits) - 1)}"]
        for key, value in request.items():
            given = [[]] if value is True else [[str(one)] for one in (value if isinstance(value, list) else [value])]
            words += [word for one in given for word in (_FLAGS[key], *one)]
        env = {"SANDBOXER_CRASH_AT": death} if death else {}
        with self.fleets[fleet].start(*words, env=env) as process:
            stdout, stderr = process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        if process.returncode == _KILLED:
            return None
        if "in git or on the hosts" in stderr:
            return None
        return outcomes_of(json.loads(stdout)["outcomes"])

    def planned(self, fleet: str) -> dict[str, Any]:
        return plan_of(self.fleets[fleet].plan("--max-deletes", "100", "--allow-empty", code=None, drifts=True).data)

    # --- hosts

    def cut(self, host: str) -> None:
        self.lab.cut(host, "refuse")

    def stop_engine(self, host: str) -> None:
        if host not in self._stopped:
            self._stopped.add(host)
            self.lab.stop_engine(host)

    def heal(self) -> None:
        for host in self.hosts:
            self.lab.heal(host)
        for host in self._stopped:
            self.lab.start_engine(host)
        self._stopped.clear()

    def wipe(self, host: str) -> None:
        self.lab.exec(host, ["rm", "-rf", ROOT])

    def occupy(self, host: str, what: str) -> None:
        if what == "directory":
            self.lab.exec(host, ["mkdir", "-p", f"{ROOT}/somebody"])
            return
        self._run(host, {"com.docker.compose.project": "other"} if what == "project" else {})

    def _run(self, host: str, labels: dict[str, str]) -> None:
        words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        done = self.lab.docker(host, "run", "-d", "--network", "none", *words, IMAGE, "sleep", "9999")
        self._foreign.append((host, done.stdout.strip()))

    # --- sandboxes

    def hurt(self, host: str, fleet: str, name: str, damage: str) -> None:
        containers = self._containers(host, fleet, name)
        chosen = [c["Id"] for c in (containers if damage == "gone" else containers[-1:])]
        if not chosen and damage != "gone":
            return
        if damage == "stopped":
            self.lab.docker(host, "kill", *chosen, check=False)
        elif damage == "paused":
            self.lab.docker(host, "pause", *chosen, check=False)
        else:
            self.lab.docker(host, "rm", "-f", *chosen, check=bool(chosen))
        label = f"label={LABEL_ID}={sandbox_id(fleet, name)}"
        for kind in ("network", "volume") if damage == "gone" else ():
            for resource in self.lab.docker(host, kind, "ls", "-q", "--filter", label).stdout.split():
                self.lab.docker(host, kind, "rm", resource)

    def _containers(self, host: str, fleet: str, name: str) -> list[dict[str, Any]]:
        label = f"label={LABEL_ID}={sandbox_id(fleet, name)}"
        ids = self.lab.docker(host, "ps", "-aq", "--no-trunc", "--filter", label).stdout.split()
        found = json.loads(self.lab.docker(host, "inspect", *ids).stdout) if ids else []
        return sorted(found, key=lambda container: container["Name"])

    def lose(self, host: str, fleet: str, name: str, what: str) -> None:
        below = {"folder": "", "record": "/record.json", "workspace": "/workspace"}[what]
        self.lab.exec(host, ["rm", "-rf", f"{ROOT}/{fleet}/{sandbox_id(fleet, name)}{below}"])

    def tamper(self, host: str, fleet: str, name: str, what: str) -> None:
        record = f"{ROOT}/{fleet}/{sandbox_id(fleet, name)}/record.json"
        if what == "stranger":
            for container in self._containers(host, fleet, name)[:1]:
                self._run(host, {**container["Config"]["Labels"], LABEL_UID: "5" * 32})
        elif what == "torn":
            script = '[ ! -s "$1" ] || truncate -s $(($(stat -c %s "$1") / 2)) "$1"'
            self.lab.exec(host, ["sh", "-c", script, "sh", record])
        else:
            script = '[ ! -s "$1" ] || sed -i "s/\\"uid\\":\\"[0-9a-f]*\\"/\\"uid\\":\\"$2\\"/" "$1"'
            self.lab.exec(host, ["sh", "-c", script, "sh", record, "6" * 32])

    def clean_up(self) -> None:
        """Restore the hosts."""
        self.heal()
        for host, container in self._foreign:
            self.lab.docker(host, "rm", "-f", container, check=False)
        for host in self.hosts:
            self.lab.exec(host, ["rm", "-rf", f"{ROOT}/somebody"])
        for fleet in self.fleets.values():
            fleet.clean_up()
