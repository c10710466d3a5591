"""Random faults between the program and a State Hub, and a check that the hub still has every event exactly once."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.support.hubs import CUTS, HANGS, Answer, Request, Talk, drips, says
from tests.support.plain_http import plain_client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHARE = 0.6  # of the requests are broken


class Between:
    """A proxy between the program and its hub: it breaks requests at random, and forwards the others.

    ``broke`` is called with each fault. Once ``honest`` is set, nothing is broken any more.
    """

    def __init__(self, url: str, broke: Callable[[str], None], seed: int) -> None:
        self._url = url
        self._broke = broke
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._client = plain_client()
        self.honest = False
        self._faults: list[tuple[int, str, Callable[[], Answer]]] = [
            (4, "cut before", lambda: CUTS),
            (4, "taken and cut", lambda: self._taken(Talk.cut)),
            (3, "taken, half an answer", lambda: self._taken(_half)),
            (3, "taken and 500", lambda: self._taken(says(500).act)),
            (3, "503", lambda: says(503)),
            (3, "429", lambda: says(429, Retry_After="0")),
            (1, "429 in a second", lambda: says(429, Retry_After="1")),
            (3, "slow", lambda: Answer(self._slowly)),
            (1, "hangs", lambda: HANGS),
            (1, "taken and hangs", lambda: self._taken(HANGS.act)),
            (1, "drips", lambda: drips(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")),
            (1, "200 without a word", lambda: says(200)),
            (1, "another event", lambda: says(200, {"id": "0" * 64})),
            (1, "401", lambda: says(401)),
            (1, "404", lambda: says(404)),
            (1, "elsewhere", lambda: says(301, Location="http://127.0.0.1:9/")),
        ]

    def choose(self, request: Request) -> Answer:
        """Return how this request is answered."""
        with self._lock:
            if self.honest or self._random.random() > SHARE:
                return Answer(self._carry)
            weights = [weight for weight, _, _ in self._faults]
            ((_, name, answer),) = self._random.choices(self._faults, weights)
        self._broke(f"{request.method} {request.path}: {name}")
        return answer()

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def _forward(self, request: Request) -> Answer:
        """Forward the request to the hub, and return the hub's answer."""
        kept = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        url = f"{self._url}{request.path}{'?' if request.query else ''}{request.query}"
        answer = self._client.request(request.method, url, content=request.body, headers=kept)
        assert answer.status_code in (200, 201, 204), f"{request}: {answer.text}"
        return says(answer.status_code, answer.content)

    def _carry(self, talk: Talk) -> None:
        self._forward(talk.request).act(talk)

    def _slowly(self, talk: Talk) -> None:
        time.sleep(0.7)
        self._carry(talk)

    def _taken(self, then: Callable[[Talk], None]) -> Answer:
        def act(talk: Talk) -> None:
            self._forward(talk.request)
            then(talk)

        return Answer(act)


def _half(talk: Talk) -> None:
    talk.send(b'HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n{"id": "')
    talk.cut()


def compare(received: Sequence[dict[str, Any]], journals: Mapping[str, Sequence[int]], lives: int) -> tuple[int, int]:
    """Return how many events the hub lacks, and how many it has more than once.

    A life is reported from event 1 to its last: the journal's last one, or its end if it has no journal any more.
    """
    by_life: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in received:
        by_life[event["data"]["uid"]].append(event)
    lost, doubled = abs(lives - len(by_life)), 0
    for uid in {*by_life, *journals}:
        numbers = [event["data"]["number"] for event in by_life[uid]]
        last = max([*numbers, *journals.get(uid, ())])
        lost += len(set(range(1, last + 1)) - set(numbers))
        doubled += len(numbers) - len(set(numbers))
        if uid in journals:
            assert list(journals[uid]) == list(range(1, last + 1))
        else:
            lost += by_life[uid][-1]["data"]["phase"] != "destroyed"
        assert numbers == sorted(numbers), "not in their order"
    return lost, doubled
