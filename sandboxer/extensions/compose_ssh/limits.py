"""How much of everything a compose file may request: one table, each row with its reason.

What costs memory or disk while a container runs is lowered to the limit; what can only be a mistake or an attack at
that size is refused. The profile limits memory, CPUs and processes; see ceilings.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something, printed as ``shown``; with ``lowered``, more is lowered to it rather than refused."""

    most: int
    what: str
    shown: str
    why: str
    lowered: bool = False


_ANSWER = "keeps the engine's description of a sandbox small enough to read in one request"
_WORDS = "command lines and process environments have a limited size"
_DISK = "endless output must not fill the host's disk"

STACK = Limit(MIB, "the stack as it is run", "1 MiB", "Compose reads it again at each step")
SERVICES = Limit(64, "services", "64", _ANSWER)
REPLICAS = Limit(10, "replicas of a service", "10", _ANSWER)
CONTAINERS = Limit(100, "containers (replicas of all services)", "100", _ANSWER)
NETWORKS = Limit(16, "networks", "16", "by default Docker has 31 networks for all sandboxes of a host")
VOLUMES = Limit(64, "named volumes", "64", _ANSWER)
SECRETS = Limit(64, "secrets and configs", "64", _ANSWER)
NAME = Limit(63, "name of a service, network, volume, secret or config", "63 characters", "the limit of a DNS label")
MOUNTS = Limit(64, "mounts of a service (volumes, tmpfs, secrets, configs)", "64", "each is created at every start")
LABELS = Limit(64, "labels of a service, network or volume", "64", _ANSWER)
LABEL_KEY = Limit(128, "key of a label", "128 characters", _ANSWER)
LABEL_BYTES = Limit(8 * KIB, "labels of a service, network or volume in all", "8 KiB", _ANSWER)
VARIABLES = Limit(256, "environment variables of a service", "256", _WORDS)
VARIABLE = Limit(128, "name of an environment variable", "128 characters", _WORDS)
VARIABLES_BYTES = Limit(64 * KIB, "environment of a service in all", "64 KiB", _WORDS)
WORDS = Limit(256, "words of a command, entrypoint or health check", "256", _WORDS)
WORDS_BYTES = Limit(32 * KIB, "command, entrypoint or health check in all", "32 KiB", _WORDS)
HOOKS = Limit(16, "`post_start` or `pre_stop` hooks of a service", "16", "each is a process in the container")
EXPOSED = Limit(100, "exposed ports of a service", "100", "Podman takes minutes to start a container with thousands")
ITEMS = Limit(64, "aliases, links, groups, dependencies, extra hosts and other lists", "64", _WORDS)
LOG_SIZE = Limit(50 * MIB, "`max-size` of a log file (10 MiB by default)", "50 MiB", _DISK, lowered=True)
LOG_FILES = Limit(5, "`max-file`, log files of a container (3 by default)", "5", _DISK, lowered=True)
LOG_BUFFER = Limit(
    16 * MIB, "`max-buffer-size` of a log", "16 MiB", "the buffer is in the engine's memory", lowered=True
)
GRACE = Limit(300, "`stop_grace_period`", "5 min", "replacing a container waits this long", lowered=True)
HEALTH_RETRIES = Limit(
    10_000, "`healthcheck.retries`", "10,000", "a container must become unhealthy at some point", lowered=True
)
HEALTH_TIME = Limit(24 * 3600, "`healthcheck` durations", "24 h", "the same", lowered=True)
CPU_SHARES = Limit(
    1024, "`cpu_shares`", "1024", "more than the default takes CPU time from other sandboxes", lowered=True
)

HEALTH_INTERVAL = 1  # second: the minimum, because each check is a process that the host pays for
DEFAULT_LOG_SIZE = 10 * MIB
DEFAULT_LOG_FILES = 3

TABLE = tuple(value for value in list(globals().values()) if isinstance(value, Limit))
