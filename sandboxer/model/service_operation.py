"""What an apply does with one service of a sandbox, and why: a backend reports it, plans and outcomes show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sandboxer.model.jsontypes import JsonObject

ServiceAction = Literal["create", "recreate", "start", "keep", "remove"]

CAUSES = {
    "config": "its definition changed",
    "created": "it was never started",
    "dead": "its container was dead",
    "dependency": "a service that it depends on is recreated",
    "exited": "it was stopped",
    "files": "files that it uses changed",
    "finished": "it ended well and did not change",
    "image": "its image changed",
    "missing": "its container was missing",
    "mount": "a mounted file was missing",
    "network": "one of its networks changed",
    "new": "it is new",
    "paused": "it was paused",
    "refused": "the engine could not start it as it was",
    "replace": "the sandbox is replaced",
    "replicas": "the number of its containers changed",
    "restarting": "it was restarting",
    "secret": "a secret that it uses changed",
    "unchanged": "it did not change",
    "undesired": "it is no longer in the compose file",
    "unhealthy": "it was unhealthy",
}
"""The causes of the built-in backend with services, in plain words; another backend may have others."""


@dataclass(frozen=True, slots=True)
class ServiceOperation:
    """What happens to one service. ``cause`` is a short code; ``CAUSES`` has words for the known ones.

    ``recreate`` makes new containers in place of the old ones, and ``start`` starts the ones that are there. With the
    cause ``replicas``, ``create`` adds containers to those that stay, and ``remove`` removes some of them. ``details``
    name what changed, where a plan knows it: keys of its definition, and files that it uses or is built from.
    """

    service: str
    action: ServiceAction
    cause: str
    details: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The cause in plain words; the code itself where there are none."""
        return CAUSES.get(self.cause, self.cause)

    def to_json(self) -> JsonObject:
        """Return it as in the JSON of a plan and of an apply."""
        details: JsonObject = {"details": list(self.details)} if self.details else {}
        return {"service": self.service, "action": self.action, "cause": self.cause, **details}


@dataclass(frozen=True, slots=True)
class ExpectedServices:
    """The operations that an apply is expected to carry out on the services of a sandbox, by its files in git alone.

    ``exact`` means that the backend's own tool read the files of both commits. ``unknown`` is the reason if they cannot
    be determined, ``hint`` what would help.
    """

    operations: tuple[ServiceOperation, ...] = ()
    exact: bool = False
    unknown: str = ""
    hint: str = ""

    def to_json(self) -> JsonObject:
        """Return it as in a plan's JSON."""
        return {
            "exact": self.exact,
            "services": [operation.to_json() for operation in self.operations],
            "unknown": self.unknown or None,
            "hint": self.hint or None,
        }
