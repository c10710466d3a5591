"""The input and output of hardening: what a sandbox may have, and what its compose file becomes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sandboxer.extensions.compose_ssh.limits import REPLICAS
from sandboxer.model.jsontypes import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandboxer.model.protocols import TreeEntry

MAX_REPLICAS = REPLICAS.most
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class ReachablePort:
    """A container port that users want to reach, under a name that they choose."""

    name: str
    service: str
    port: int


@dataclass(frozen=True, slots=True)
class DeliveredSecret:
    """The path of a secret's file on the host, and the number of its version: another value has another number."""

    path: str
    version: int


def _unread(path: str) -> bytes:
    raise LookupError(f"no input to read {path} from")


@dataclass(frozen=True, slots=True)
class Policy:
    """The parameters of hardening.

    ``labels`` are put on everything that is created. ``tree_dir`` is the path on the host of the input's files, and
    ``entries`` are those files; what the stack mounts is given a path below ``workspace``, by its content. ``cpus``,
    ``memory`` (bytes) and ``pids`` are the ceilings of each container, None for no ceiling; ``host_cpus`` and
    ``host_memory`` the host's own size. ``podman`` says that podman-compose will run the result; ``variables`` are
    those that the compose file may use as ``${NAME}``. ``read`` returns the content of one of the ``entries``.
    """

    sandbox: str
    project: str
    workspace: str
    tree_dir: str
    host_cpus: float
    host_memory: int
    labels: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, TreeEntry] = field(default_factory=dict, repr=False)
    egress: Literal["allow", "deny"] = "deny"
    ingress: Literal["loopback", "none"] = "loopback"
    ports: tuple[ReachablePort, ...] = ()
    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None
    secrets: Mapping[str, DeliveredSecret] = field(default_factory=dict)
    pull: Literal["missing", "always"] = "missing"
    podman: bool = False
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    read: Callable[[str], bytes] = field(default=_unread, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Access:
    """The mode of a file in a container, and its owner there: None is root if the login is root, else the login."""

    mode: int = 0o444
    uid: int | None = None
    gid: int | None = None

    @property
    def words(self) -> tuple[str, str, str]:
        """Mode, user and group as arguments of a verb."""
        uid, gid = ("-" if number is None else str(number) for number in (self.uid, self.gid))
        return f"{self.mode:03o}", uid, gid


@dataclass(frozen=True, slots=True)
class Bind:
    """Files of the input that must be at ``destination`` on the host before the stack starts.

    ``source`` is a file or directory in the tree (empty: all of it), used by ``services``. A ``writable`` one is a copy
    that containers may change; ``digest`` is its source's content, and no other sandbox or source shares the copy.
    One with an ``access`` is also a copy, of a file. ``left_out`` are files of a build context that no build sees, by
    their paths in it: the digest does not cover them, and on the host they may be of another version of the input.
    """

    source: str
    digest: str
    destination: str
    writable: bool
    services: tuple[str, ...]
    access: Access | None = None
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret's file at ``path``, as services get it; ``origin`` is the delivered file, possibly the same one."""

    origin: str
    path: str
    access: Access


@dataclass(frozen=True, slots=True)
class Service:
    """One service: whether it succeeds by ending, is built from the input, and how many containers it has.

    ``after`` maps the services that it starts after to Compose's name for the condition. ``restarts_with`` are those of
    them whose recreation restarts it, and ``shares`` those whose network, processes or volumes it uses.
    """

    name: str
    one_shot: bool
    built: bool
    replicas: int
    after: Mapping[str, str] = field(default_factory=dict)
    restarts_with: frozenset[str] = frozenset()
    shares: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hardened:
    """A stack that may run. ``inputs`` maps services to the digest of what they use that Compose does not see.

    ``images`` are those from outside that it names, ``bases`` those of them that a build starts from, and
    ``dockerfiles`` are the files that the builds need below the workspace, by path.
    """

    model: dict[str, Any] = field(repr=False)
    binds: tuple[Bind, ...]
    services: tuple[Service, ...]
    inputs: Mapping[str, str]
    secret_files: tuple[SecretFile, ...] = ()
    images: tuple[str, ...] = ()
    bases: frozenset[str] = frozenset()
    dockerfiles: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every path on the host that the model names."""
        builds = [service["build"] for service in self.model["services"].values() if "build" in service]
        named = (
            *(bind.destination for bind in self.binds),
            *(file.path for file in self.secret_files),
            *(build["dockerfile"].replace("$$", "$") for build in builds),
        )
        return tuple(dict.fromkeys(named))

    def to_json(self) -> bytes:
        """Return the compose file to run: the same bytes for the same model.

        Escape the characters that JSON leaves as they are and podman-compose takes for line ends or for none at all.
        """
        text = canonical(self.model).decode()
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
