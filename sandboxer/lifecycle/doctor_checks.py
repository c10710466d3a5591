"""The doctor's own checks of a host: the connection, tools, the root, and what may interfere."""

from __future__ import annotations

import posixpath
import shlex
from typing import TYPE_CHECKING

from sandboxer.lifecycle.doctor_cleaners import check_cleaner
from sandboxer.model.host_report import Check
from sandboxer.model.quantity import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandboxer.extensions.capabilities import HostChecks
    from sandboxer.hosts.facts import HostFacts

SLOW_LOGIN = 2.0  # seconds
CLOCK_OFF = 60.0  # seconds
LITTLE_SPACE = 1 << 30  # bytes
FEW_FILES = 10_000
SESSIONS = 8
_ELSEWHERE = "set spec.root on the Host to another folder, such as /var/lib/sandboxer"
_OVER_NETWORK = ("nfs", "smb", "cifs", "fuse", "afs", "9p", "v9fs", "ceph")


def check_ssh(facts: HostFacts) -> Iterator[Check]:
    """Yield how the host is reached, and what vouches for its key."""
    spec = facts.checked.host.spec
    if spec.connection == "local":
        yield Check("connection", "ok", "this machine itself, without SSH")
        return
    yield Check("ssh", "ok", f"{facts.system.user} is logged in, by key")
    if spec.host_key is not None:
        yield Check("host key", "ok", "pinned in git")
        return
    keys = facts.lines("host-keys")
    line = f'hostKey: "{keys[0]}"' if keys else f"hostKey, as `ssh-keyscan -t ed25519 {spec.address}` prints it"
    found = "known on this machine only; other machines that plan need the key too"
    yield Check("host key", "note", found, f"pin the key in spec of the Host manifest: {line}")


def check_login(facts: HostFacts) -> Iterator[Check]:
    """Yield what the login shell does before our script runs."""
    if facts.login is not None:
        fine = Check("login shell", "ok", f"a command runs there within {max(facts.login, 0.01):.2f} s")
        yield from list(_login_problems(facts, facts.login)) or [fine]


def _login_problems(facts: HostFacts, seconds: float) -> Iterator[Check]:
    if seconds > SLOW_LOGIN:
        found = f"starting a command takes {seconds:.1f} s"
        remedy = "check the start files of the login shell, and set `UseDNS no` in sshd_config"
        yield Check("login shell", "warning", found, remedy)
    shell, noise = facts.one("shell")
    if noise:
        first = noise.splitlines()[0][:60]
        remedy = f"{_start_file(shell)} must print in interactive shells only; for bash: [[ $- == *i* ]] || return"
        yield Check(
            "login shell", "warning", f"the login shell prints text in non-interactive sessions: {first}", remedy
        )


def _start_file(shell: str) -> str:
    return {"zsh": "~/.zshenv", "fish": "~/.config/fish/config.fish"}.get(posixpath.basename(shell), "~/.bashrc")


def check_system(facts: HostFacts) -> Iterator[Check]:
    """Yield the size of the machine."""
    processors, memory = facts.text("cpus"), facts.text("memory")
    size = f"{processors or '?'} CPUs, {format_gib(int(memory) * 1024) if memory.isdecimal() else '?'} memory"
    yield Check("system", "ok", f"{facts.system.name}, {size}")


def check_tools(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the programs that our scripts run are there and do what they are used for."""
    missing = tuple(facts.lines("missing"))
    # A tool that fails at two things fails at the second because of the first.
    broken = {tool: what for tool, _, what in (line.partition(" ") for line in reversed(facts.lines("broken")))}
    for tool, what in broken.items():
        if (tool, what) == ("flock", "to keep others out"):
            found = f"flock does not lock files in {facts.one('parent')[0]}"
            yield Check("tools", "error", found, _ELSEWHERE + ", on a local disk")
        else:
            remedy = facts.system.install_tools((tool,))
            yield Check("tools", "error", f"{tool} is not able {what}", remedy)
    if missing:
        found = f"not installed, or not on the PATH of a login by SSH: {', '.join(missing)}"
        yield Check("tools", "error", found, facts.system.install_tools(missing))
    if not missing and not broken:
        yield Check("tools", "ok", "sh, coreutils, sed, grep, flock and tar work")


def check_clock(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the host's clock agrees with ours: sandboxes expire by both."""
    if facts.skew is None:
        return
    if abs(facts.skew) > CLOCK_OFF:
        way = "ahead of" if facts.skew > 0 else "behind"
        found = f"its clock is {abs(facts.skew):.0f} s {way} this machine's: sandboxes expire by both"
        yield Check("clock", "warning", found, facts.system.set_clock())
    else:
        yield Check("clock", "ok", "right" if abs(facts.skew) < 1 else f"{abs(facts.skew):.0f} s off")


def check_root(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the directory of all sandboxes is ours alone, or can be created."""
    folders, parent = facts.all("folder"), facts.one("parent")
    if unsafe := facts.text("way"):
        found, _, by_others = unsafe.partition(" may be written by other users")
        mend = f"{facts.system.as_root(f'chmod go-w {shlex.quote(found)}')}\nor " if by_others else ""
        yield Check("root", "error", f"{unsafe}, and is rejected", f"{mend}{_ELSEWHERE}")
        return
    problems = [check for folder, state in folders.items() if (check := _folder_problem(facts, folder, state))]
    yield from problems
    if not facts.has("writable") and not any(check.status == "error" for check in problems):
        root = facts.checked.root
        make = facts.system.as_root(f"install -d -m 700 -o {facts.system.user} {shlex.quote(root)}")
        yield Check("root", "error", f"{facts.system.user} cannot write to {root if folders else parent[0]}", make)
    elif not problems:
        found = f"{facts.checked.root}, mode 0700, of {facts.system.user} alone"
        yield Check(
            "root", "ok", found if folders else f"{facts.checked.root} does not exist yet; an apply creates the folder"
        )
    mode = int(parent[1] or "0", 8)
    if mode & 0o002 and not mode & 0o1000:
        found = f"any user of the host can rename entries of {parent[0]} (mode {mode:o})"
        yield Check("root", "warning", found, facts.system.as_root(f"chmod +t {shlex.quote(parent[0])}"))


def _folder_problem(facts: HostFacts, folder: str, state: str) -> Check | None:
    owner, mode, kind = state.split(" ", 2)
    name, system = shlex.quote(folder), facts.system
    if kind != "directory":
        remedy = f"{system.as_root(f'rm {name}')}\nor {_ELSEWHERE}"
        return Check("root", "error", f"{folder} is a {kind}, not a directory, and is rejected", remedy)
    if owner != facts.uid:
        found = f"{folder} belongs to user id {owner}, not to {system.user} ({facts.uid}), and is rejected"
        remedy = f"if unused, run: {system.as_root(f'rm -r {name}')}\nor {_ELSEWHERE}"
        return Check("root", "error", found, remedy)
    if mode != "700" and folder == facts.checked.root:
        return Check("root", "note", f"{folder} has mode 0{mode}; the next apply sets mode 0700", f"chmod 700 {name}")
    return None


def check_disk(facts: HostFacts) -> Iterator[Check]:
    """Yield the state of the root's file system: space, files, and mount options."""
    *_, free, _, point = facts.lines("disk")[-1].split(None, 5)
    files, free_files, kind = facts.text("filesystem").split(None, 2)
    where, space = f"{point} ({kind})", int(free) * 1024
    full = int(files) > 0 and int(free_files) < FEW_FILES
    problems = []
    if space < LITTLE_SPACE:
        inspect = "\n".join([*facts.lines("disk-usage"), "df -h"])
        problems.append((f"only {format_gib(space)} free on {where}", f"{inspect}\nor {_ELSEWHERE}"))
    if full:
        problems.append((f"space for only {free_files} more files on {where}", f"df -i\nor {_ELSEWHERE}"))
    if "noexec" in (facts.lines("mounted") or [""])[-1].split(","):
        remount = facts.system.as_root(f"mount -o remount,exec {shlex.quote(point)}")
        found = f"{where} is mounted noexec: containers cannot run programs of their workspace"
        problems.append((found, f"{remount}\nor {_ELSEWHERE}"))
    if kind.lower().startswith(_OVER_NETWORK):
        found = f"{where} is not a local disk: locks and renames may be unreliable"
        problems.append((found, _ELSEWHERE + ", on a local disk"))
    yield from (Check("disk", "warning", found, remedy) for found, remedy in problems)
    if not problems:
        yield Check("disk", "ok", f"{format_gib(space)} free on {where}")


def check_sshd(facts: HostFacts) -> Iterator[Check]:
    """Yield the SSH server's limits for one connection, if the login may read them."""
    flags, system = facts.flags("sshd"), facts.system
    if not flags:
        return
    sessions = int(flags.get("maxsessions", SESSIONS))
    problems = []
    if sessions < SESSIONS:
        found = f"{sessions} sessions on a connection; fewer than {SESSIONS} slow down an apply"
        problems.append((found, "MaxSessions 10"))
    if flags.get("allowtcpforwarding", "yes") in ("no", "remote") or flags.get("disableforwarding") == "yes":
        found = "sshd allows no forwarding: sandboxes under `egress: deny` are unreachable from here"
        problems.append((found, "AllowTcpForwarding local"))
    reload = system.restart_service("ssh" if system.family == "debian" else "sshd")
    for found, line in problems:
        write = system.write_file("/etc/ssh/sshd_config.d/sandboxer.conf", line)
        yield Check("sshd", "warning", found, f"{write}\n{reload}")
    if not problems:
        yield Check("sshd", "ok", f"{sessions} sessions on a connection, and forwarding")


_FIRST: tuple[Callable[[HostFacts], Iterator[Check]], ...] = (
    check_ssh,
    check_login,
    check_system,
    check_clock,
    check_tools,
    check_root,
    check_disk,
)
_LAST: tuple[Callable[[HostFacts], Iterator[Check]], ...] = (check_cleaner, check_sshd)


def diagnose(facts: HostFacts, backends: Sequence[HostChecks] = ()) -> Iterator[Check]:
    """Yield all checks of one host, with those of the ``backends`` that may have sandboxes there.

    An answer that cannot be parsed is a warning, and hides no other check.
    """
    for check in (*_FIRST, *(check for backend in backends for check in backend.checks), *_LAST):
        try:
            yield from check(facts)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            name = check.__name__.removeprefix("check_")
            yield Check(name, "warning", f"cannot parse the output of the host: {error!r}")


def format_gib(size: int) -> str:
    """Return a size for people: ``23.5 GiB``."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else format_size(size >> 20 << 20)
