"""A fleet for end-to-end tests: a real git repository, the real program as a separate process, and real hosts.

Tests check the host itself, its engine and its files, rather than trust the program's output.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.model.identity import sandbox_id
from tests.lab import IMAGE
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.lab import Lab

    Outcome = subprocess.CompletedProcess[str]

PROGRAM = str(Path(sys.executable).with_name("sandboxer"))
ROOT = "/tmp/sandboxer"
PROFILE = "profile.test"
API = "sandboxer.dev/v1"

# Removes everything of a fleet on a host, whatever state a test left it in; its engine is the first word.
_CLEAN = """
engine=$1 fleet=$2 root=$3
mine="--filter label=dev.sandboxer.fleet=$fleet"
ids=$("$engine" ps -aq $mine)
# A recreated container has the anonymous volumes of the former by name, and `rm -v` leaves those.
volumes='{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}'
unnamed=$([ -z "$ids" ] || "$engine" inspect --format "$volumes" $ids | grep -x '[0-9a-f]\\{64\\}')
[ -z "$ids" ] || "$engine" rm -f -v $ids
for volume in $unnamed; do "$engine" volume rm -f "$volume"; done
ids=$("$engine" network ls -q $mine); [ -z "$ids" ] || "$engine" network rm $ids
ids=$("$engine" volume ls -q $mine); [ -z "$ids" ] || "$engine" volume rm -f $ids
# Steps of a build stay behind as images without a name, and Podman lists its images the slower the more there are.
ids=$("$engine" image ls -q --no-trunc $mine | sort -u)
[ -z "$ids" ] || { "$engine" image rm -f $ids; "$engine" image prune -f; }
rm -rf "$root/$fleet"; rmdir "$root" 2>/dev/null; exit 0
"""


def service(*command: str, **keys: Any) -> dict[str, Any]:
    """Return a service of the lab's image; without a command it sleeps. It ends at once when it is stopped."""
    return {"image": IMAGE, "command": list(command) or ["sleep", "9999"], "stop_signal": "SIGKILL", **keys}


def web(**keys: Any) -> dict[str, Any]:
    """Return a service that serves /www on port 8080."""
    return service("httpd", "-f", "-p", "8080", "-h", "/www", **keys)


def stack(**services: Any) -> dict[str, Any]:
    """Return a compose file of these services."""
    return {"services": services}


@dataclass
class FleetRepo:
    """A fleet in a temporary repository, and its sandboxes on the lab's hosts.

    Its name is unique, so fleets share hosts without seeing each other. ``output`` is all output of the program,
    ``program`` the words that start it.
    """

    lab: Lab
    repo: GitRepo
    name: str
    hosts: tuple[str, ...]
    root: str = ROOT
    env: dict[str, str] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)
    program: tuple[str, ...] = (PROGRAM,)

    @classmethod
    def create(
        cls, lab: Lab, path: Path, *, hosts: Sequence[str] = (), root: str = ROOT, name: str = "", **spec: Any
    ) -> FleetRepo:
        """Return a fleet of these hosts of the lab (of all hosts if none are given), with one profile.

        ``spec`` is the Fleet's.
        """
        name = name or "t-" + hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
        names = tuple(hosts) or tuple(host.name for host in lab.hosts)
        fleet = cls(lab, GitRepo.create(path), name, names, root)
        fleet.document("sandboxer.yaml", "Fleet", name, spec)
        chosen = [doc for doc in yaml.safe_load_all(lab.host_manifests(root)) if doc["metadata"]["name"] in names]
        fleet.repo.write("manifests/hosts.yaml", yaml.safe_dump_all(chosen, sort_keys=False, width=1000))
        fleet.profile()
        return fleet

    # --- in git

    def document(self, path: str, kind: str, name: str, spec: Any, **metadata: Any) -> None:
        """Write a manifest of one document."""
        document = {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        self.repo.write(path, yaml.safe_dump(document, sort_keys=False, width=1000))

    def profile(self, name: str = PROFILE, **spec: Any) -> None:
        """Write a Profile: small and fast, unless ``spec`` says otherwise."""
        defaults = {
            "extension": "ext.compose-ssh",
            "resources": {"cpus": 0.5, "memory": "64MiB", "pids": 64},
            "readiness": {"timeout": "30s"},
        }
        self.document(f"profiles/{name}.yaml", "Profile", name, defaults | spec)

    def sandbox(self, name: str, compose: Any = None, *, files: dict[str, str] | None = None, **spec: Any) -> None:
        """Write a Sandbox and its input files, in a folder of its name; a spec of None is left out."""
        for path, content in (files or {}).items():
            self.repo.write(f"stacks/{name}/{path}", content)
        if compose is not None:
            self.repo.write(f"stacks/{name}/compose.yaml", yaml.safe_dump(compose, sort_keys=False))
        workspace = f"profile.{name}"
        profile = spec.pop("profile_spec", {})
        self.profile(workspace, **{"workspace": {"path": f"stacks/{name}"}, **profile})
        hosts = spec.pop("host", None)
        if hosts:
            spec["placement"] = {"hosts": [hosts] if isinstance(hosts, str) else list(hosts)}
        labels = spec.pop("labels", {})
        self.document(f"manifests/{name}.yaml", "Sandbox", name, {"profile": workspace, **spec}, labels=labels)

    def host(self, name: str, **spec: Any) -> None:
        """Change the spec of a Host."""
        path = self.repo.path / "manifests/hosts.yaml"
        documents = list(yaml.safe_load_all(path.read_text()))
        for document in documents:
            if document["metadata"]["name"] == name:
                document["spec"].update(spec)
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False, width=1000))

    def remove(self, name: str) -> None:
        """Remove a Sandbox from git."""
        (self.repo.path / f"manifests/{name}.yaml").unlink()

    def commit(self) -> str:
        """Commit all changes."""
        return self.repo.commit()

    # --- the program

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return the program's variables: those of a user with an empty home, the fleet's, and ``more``."""
        home = self.repo.path.parent / "home"
        home.mkdir(exist_ok=True)
        clean = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "COLUMNS": "200"}
        return clean | self.env | more

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the program, and do not wait for it."""
        return subprocess.Popen(
            # The tests may run in the background with Ctrl-C ignored, which the program would inherit.
            ["env", "--default-signal=INT", *self.program, "-C", str(self.repo.path), *arguments],
            env=self.environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def outcome(self, arguments: Sequence[str], env: dict[str, str], timeout: float) -> Outcome:
        """Run the program to its end."""
        with self.start(*arguments, env=env) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                raise AssertionError(f"{arguments}: not done within {timeout:g} s\n{stdout}{stderr}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def run(
        self,
        *arguments: str,
        code: int | None = 0,
        env: dict[str, str] | None = None,
        timeout: float = 120,
        drifts: bool = False,
    ) -> str:
        """Run the program, which must exit with ``code`` (None: any), and return its standard output.

        It must report no drift unless ``drifts``: what nobody touched must be unchanged.
        """
        done = self.outcome(arguments, env or {}, timeout)
        stdout, stderr = done.stdout, done.stderr
        self.output += [stdout, stderr]
        assert code in (None, done.returncode), f"{arguments}: exit {done.returncode}\n{stdout}{stderr}"
        assert "Traceback" not in stderr, stderr
        assert drifts or "repair_because_drift" not in stdout, stdout
        return stdout

    def run_here(self, *arguments: str, code: int | None = 0) -> str:
        """Run the program in this process, which saves its start, and return its standard output."""
        from tests.support.program import run_in_process

        done = run_in_process(["-C", str(self.repo.path), *arguments], self.environment({}), 60)
        self.output += [done.stdout, done.stderr]
        assert code in (None, done.returncode), f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def plan(self, *arguments: str, code: int | None = 0, **more: Any) -> Result:
        """Plan, and return the plan."""
        return Result(json.loads(self.run("plan", "-o", "json", *arguments, code=code, **more)))

    def apply(self, *arguments: str, code: int | None = 0, **more: Any) -> Result:
        """Apply without confirmation, and return the outcomes."""
        return Result(json.loads(self.run("apply", "-y", "-o", "json", *arguments, code=code, **more)))

    def prune(self, *arguments: str, code: int | None = 0, **more: Any) -> Result:
        """Prune without confirmation, and return the outcomes."""
        return Result(json.loads(self.run("prune", "-y", "-o", "json", *arguments, code=code, **more)))

    def get(self, name: str) -> dict[str, Any]:
        """Return the handle of one sandbox."""
        handle: dict[str, Any] = json.loads(self.run("get", name, "-o", "json"))
        return handle

    def assert_synced(self) -> None:
        """Fail unless a plan has no changes and every host was observed in full."""
        result = self.plan(code=None)
        assert set(result.actions.values()) <= {"no-op"}, result.data
        assert result.data["complete"], result.data

    # --- on a host

    def id(self, name: str) -> str:
        """Return the ID of a sandbox of this fleet."""
        return sandbox_id(self.name, name)

    def project(self, name: str) -> str:
        """Return the compose project of a sandbox of this fleet."""
        return project_name(name, self.id(name))

    def folder(self, name: str) -> str:
        """Return the directory of a sandbox on its host."""
        return f"{self.root}/{self.name}/{self.id(name)}"

    def engine(self, host: str, *arguments: str, check: bool = True) -> str:
        """Return the output of the host's engine."""
        return self.lab.docker(host, *arguments, check=check).stdout

    def containers(self, host: str, name: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the containers of one sandbox on a host, or of the whole fleet, by service.

        The values are the output of the engine's inspect. From the second container of a service on, its name has a
        number appended.
        """
        label = f"dev.sandboxer.id={self.id(name)}" if name else f"dev.sandboxer.fleet={self.name}"

        items: list[dict[str, Any]] = []
        until(
            lambda: (now := self.lab.inspected(host, label)) is not None and (items.extend(now) or True),
            "what the engine has",
        )
        found: dict[str, dict[str, Any]] = {}
        for item in items:
            labels = item["Config"]["Labels"]
            key = labels.get("com.docker.compose.service", item["Name"])
            key = key if name else f"{labels['dev.sandboxer.name']}/{key}"
            number = sum(1 for other in found if other.split("#")[0] == key)
            found[f"{key}#{number + 1}" if number else key] = item
        return found

    def ids(self, host: str, name: str | None = None) -> dict[str, str]:
        """Return the containers' IDs, by service."""
        return {key: item["Id"] for key, item in self.containers(host, name).items()}

    def inside(self, host: str, name: str, service: str, *command: str, check: bool = True) -> str:
        """Return the output of a command in a service's container."""
        return self.engine(host, "exec", self.ids(host, name)[service], *command, check=check)

    def record(self, host: str, name: str) -> dict[str, Any]:
        """Return the sandbox's record."""
        record: dict[str, Any] = json.loads(self.sh(host, f"cat {self.folder(name)}/record.json"))
        return record

    def sh(self, host: str, script: str, *, check: bool = True) -> str:
        """Return the output of a shell script run as root on a host."""
        return self.lab.exec(host, ["sh", "-c", script], check=check).stdout

    def exists(self, host: str, path: str) -> bool:
        """Return whether a path exists on a host."""
        return self.lab.exec(host, ["test", "-e", path], check=False).returncode == 0

    def clean_up(self) -> None:
        """Remove everything of the fleet from its hosts, whatever a test left."""

        def clean(host: str) -> None:
            engine = self.lab.host(host).engine
            self.lab.exec(host, ["sh", "-c", _CLEAN, "sh", engine, self.name, self.root], check=False)

        with ThreadPoolExecutor(max_workers=len(self.hosts)) as pool:
            list(pool.map(clean, self.hosts))


@dataclass(frozen=True)
class Result:
    """The JSON of a plan or an apply."""

    data: dict[str, Any]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The changes of a plan, or the outcomes of an apply."""
        changes: list[dict[str, Any]] = self.data.get("outcomes", self.data.get("changes"))
        return changes

    @property
    def actions(self) -> dict[str, str]:
        """The action of each sandbox."""
        return {change["sandbox"]: change["action"] for change in self.changes}

    @property
    def reasons(self) -> dict[str, str]:
        """The reason of each sandbox."""
        return {change["sandbox"]: change["reason"] for change in self.changes}

    @property
    def plan(self) -> Result:
        """The plan that an apply carried out."""
        return Result(self.data["plan"])

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each host."""
        hosts = self.data.get("hosts") or self.data["plan"]["hosts"]
        return {host["name"]: host["status"] for host in hosts}

    def of(self, sandbox: str) -> dict[str, Any]:
        """Return the one change of a sandbox."""
        (change,) = [change for change in self.changes if change["sandbox"] == sandbox]
        return change


# Behind `setsid … &`: until then the process is in the group of the command, and ends with it.
OWN_SESSION = 'until [ "$(cut -d " " -f 6 </proc/$!/stat)" = $! ]; do sleep 0.1; done'


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait until a condition is true and return its value; fail after this many seconds."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return found
