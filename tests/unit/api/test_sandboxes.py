"""Sandboxes over HTTP: what is answered to what the library gives and raises."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from sandboxer.api.service import Shared
from sandboxer.errors import (
    HostNotObserved,
    HostUnreachable,
    ManifestError,
    ProvisionFailed,
    SandboxLocked,
    SandboxNotFound,
    SourceError,
    StaleChange,
    UsageError,
)
from sandboxer.web.problems import ProblemKind
from tests.support.e2e import until
from tests.support.problems import assert_problem
from tests.unit.api.apis import BOUND, OTHER, READER, Library, RunningApi

CONSUMER = {"actor": "atm", "project": "one"}


# --- making one


def test_what_is_on_record_is_accepted_and_then_made(api: RunningApi, library: Library) -> None:
    library.held["resume"] = threading.Event()
    answer = api.create(name="web")
    made = answer.json()
    assert (answer.status_code, made["phase"]) == (202, "requested")
    assert answer.headers["Location"] == f"/v1/sandboxes/{made['id']}"
    assert api.client.get(answer.headers["Location"]).json()["phase"] == "requested"
    library.held["resume"].set()
    until(lambda: api.client.get(answer.headers["Location"]).json()["phase"] == "ready", "it is made")


def test_every_word_of_a_request_reaches_the_library(api: RunningApi, library: Library) -> None:
    body: dict[str, Any] = {
        "name": "web",
        "inputs": {"repo": "https://git.example/shop.git", "ref": "main"},
        "ttl": "2h",
        "consumer": CONSUMER,
        "labels": {"team": "a"},
        "env": {"LEVEL": "debug"},
        "secret_refs": {"TOKEN": "env:TOKEN"},
        "hosts": ["lab-1"],
    }
    answer = api.ask(
        "POST", "/v1/sandboxes", json={"profile": "profile.web", **body}, headers={"Idempotency-Key": "run 1/2"}
    )
    assert answer.status_code == 202
    (call,) = [call for call in library.calls if call[0] == "create"]
    assert call[1:] == (
        "profile.web",
        {**body, "consumer": "atm/one", "key": "run 1/2", "by": "all", "wait": False},
    )


def test_one_may_wait_until_it_is_ready(api: RunningApi) -> None:
    answer = api.create("?wait=20", name="web")
    assert (answer.status_code, answer.json()["phase"]) == (201, "ready")


def test_a_wait_that_is_too_short_ends_with_what_there_is(api: RunningApi, library: Library) -> None:
    library.held["resume"] = threading.Event()
    answer = api.create("?wait=0.1", name="web")
    assert (answer.status_code, answer.json()["phase"]) == (202, "requested")
    library.held["resume"].set()


def test_a_repeated_request_creates_it_once(api: RunningApi, library: Library) -> None:
    library.held["resume"] = threading.Event()
    first, again = api.create(name="web"), api.create(name="web")
    assert first.json() == again.json()
    library.held["resume"].set()
    ready = api.create("?wait=20", name="web")
    assert (ready.status_code, library.called("resume")) == (201, 1)
    assert api.create(name="web").status_code == 202


def test_one_that_failed_is_reported_to_whoever_waits_for_it(api: RunningApi, library: Library) -> None:
    library.add("web", phase="failed")
    assert assert_problem(api.create("?wait=5", name="web"), 409)["detail"] == 'sandbox "web" is failed'
    assert api.create(name="web").json()["phase"] == "failed"
    assert library.called("resume") == 0


FAILS = ProvisionFailed("web", "the service a is unhealthy")
SECRET = UsageError("there is no secret TOKEN", hint="set the variable")


@pytest.mark.parametrize(
    "error", [FAILS, SECRET, ManifestError([]), SourceError("the input is gone"), ZeroDivisionError()]
)
def test_what_cannot_be_made_ends_as_failed_on_its_record(api: RunningApi, library: Library, error: Exception) -> None:
    library.raises["resume"] = error
    identifier = api.create(name="web").json()["id"]
    until(lambda: library.there[identifier]["phase"] == "failed", "it is given up")
    assert any(level == "warning" and identifier in words for level, words in api.messages)


@pytest.mark.parametrize(
    "error",
    [
        HostUnreachable("lab-1", "gone"),
        SandboxLocked("web", "held"),
        HostNotObserved("web", "?"),
        StaleChange("web", "?"),
    ],
)
def test_what_a_host_or_another_client_holds_up_is_left_to_a_later_try(
    api: RunningApi, library: Library, error: Exception
) -> None:
    library.raises["resume"] = error
    answer = api.create("?wait=20", name="web")
    assert (answer.status_code, answer.json()["phase"]) == (202, "requested")
    assert library.called("give_up") == 0


def test_a_failure_is_reported_to_whoever_waits(api: RunningApi, library: Library) -> None:
    library.raises["resume"] = FAILS
    assert assert_problem(api.create("?wait=20", name="web"), 409)["detail"] == "the service a is unhealthy"


def test_an_unforeseen_error_reveals_nothing_to_others(api: RunningApi, library: Library) -> None:
    library.raises["resume"] = ZeroDivisionError("a secret word")
    problem = assert_problem(api.create("?wait=20", name="web"), ProblemKind.INTERNAL_ERROR)
    assert "secret" not in str(problem)
    library.raises["find"] = ZeroDivisionError("a secret word")
    assert "secret" not in str(assert_problem(api.client.get("/v1/sandboxes/web"), 500))
    begins = "GET /v1/sandboxes/web: ZeroDivisionError at "
    until(lambda: any(words.startswith(begins) for _, words in api.messages), "the line that follows the answer")
    assert "secret" not in str(api.messages)


# --- what there is


def test_pages_follow_one_another_without_loss(api: RunningApi, library: Library) -> None:
    for number in range(7):
        library.add(f"s-{number}", host="lab-2" if number % 2 else "lab-1", labels={"n": str(number)})
    library.add("of-git", origin="git", phase="failed", consumer=CONSUMER)

    def pages(query: str = "") -> list[str]:
        names, after = [], ""
        while True:
            page = api.client.get(f"/v1/sandboxes?limit=3{query}{after}").json()
            assert page["complete"] is True
            names += [one["name"] for one in page["items"]]
            if page["next"] is None:
                return names
            assert len(page["items"]) == 3
            after = f"&after={page['next']}"

    assert pages() == ["of-git", *(f"s-{number}" for number in range(7))]
    assert pages("&host=lab-2") == ["s-1", "s-3", "s-5"]
    assert pages("&origin=git") == pages("&phase=failed") == pages("&consumer=atm/one") == ["of-git"]
    assert pages("&label=n=3") == ["s-3"]
    assert pages("&label=n=3&label=n=4") == []


def test_a_list_shows_that_a_host_was_not_observed(api: RunningApi, library: Library) -> None:
    library.add()
    library.warns = ["lab-2 did not answer: /root/.ssh/id is no key"]
    answer = api.client.get("/v1/sandboxes")
    assert answer.json()["complete"] is False
    assert "/root" not in answer.text
    assert ("warning", library.warns[0]) in api.messages


def test_simultaneous_requests_share_an_observation_that_began_after_them() -> None:
    began, go = 0, asyncio.Event()

    async def observation() -> int:
        nonlocal began
        began += 1
        number = began
        await go.wait()
        if number == 2:
            raise ZeroDivisionError
        return number

    async def ask() -> list[Any]:
        shared = Shared(observation)
        first = asyncio.create_task(shared.get())
        while not began:
            await asyncio.sleep(0)
        later = [asyncio.create_task(shared.get()) for _ in range(10)]
        await asyncio.sleep(0)
        later[0].cancel()
        go.set()
        found = [await first, *await asyncio.gather(*later, return_exceptions=True)]
        return [*found, await shared.get()]

    first, gone, *failed, last = asyncio.run(ask())
    assert (first, last, began) == (1, 3, 3)
    assert isinstance(gone, asyncio.CancelledError)
    assert [type(one) for one in failed] == [ZeroDivisionError] * 9


def test_one_is_shown_by_id_and_by_name_and_none_is_not_found(api: RunningApi, library: Library) -> None:
    made = library.add()
    assert api.client.get("/v1/sandboxes/web").json() == api.client.get(f"/v1/sandboxes/{made['id']}").json() == made
    assert_problem(api.client.get("/v1/sandboxes/other"), 404)
    library.raises["find"] = HostNotObserved("other", 'sandbox "other" may exist on host "lab-2" (timed out)')
    assert "lab-2" in assert_problem(api.client.get("/v1/sandboxes/other"), 503)["detail"]


# --- changing and ending it


def test_destroying_waits_and_what_is_absent_is_gone(api: RunningApi, library: Library) -> None:
    made = library.add()
    assert api.ask("DELETE", "/v1/sandboxes/web").status_code == 204
    assert (api.ask("DELETE", "/v1/sandboxes/web").status_code, library.there) == (204, {})
    library.add()
    library.held["destroy"] = threading.Event()
    answer = api.ask("DELETE", "/v1/sandboxes/web?wait=0.1")
    assert (answer.status_code, answer.json()["id"]) == (202, made["id"])
    library.held["destroy"].set()
    assert api.ask("DELETE", "/v1/sandboxes/web").status_code == 204


def test_what_is_destroyed_before_it_is_made_is_not_made(library: Library) -> None:
    library.held["resume"] = threading.Event()
    with RunningApi(library, operations=1) as api:
        api.create(name="first")
        waiting: list[Any] = []
        thread = threading.Thread(target=lambda: waiting.append(api.create("?wait=20", name="web")))
        thread.start()
        until(lambda: library.called("create") == 2, "the second waits for its turn")
        until(lambda: "queued 1.0" in api.client.get("/metrics").text, "and stands in line")
        assert api.ask("DELETE", "/v1/sandboxes/web?wait=0").status_code == 202
        thread.join(30)
        assert_problem(waiting[0], ProblemKind.CONFLICT)
        library.held["resume"].set()
        assert api.ask("DELETE", "/v1/sandboxes/web").status_code == 204
    assert library.called("resume") == 1


def test_a_failure_to_destroy_is_reported(api: RunningApi, library: Library) -> None:
    library.add()
    library.raises["destroy"] = HostUnreachable("lab-1", "lab-1 did not answer")
    assert_problem(api.ask("DELETE", "/v1/sandboxes/web"), 503)


def test_recreating_it(api: RunningApi, library: Library) -> None:
    made = library.add()
    assert api.ask("POST", "/v1/sandboxes/web/recreate").status_code == 202
    answer = api.ask("POST", "/v1/sandboxes/web/recreate?wait=20")
    assert (answer.status_code, answer.json()) == (200, made)
    assert ("recreate", made["id"]) in library.calls
    assert_problem(api.ask("POST", "/v1/sandboxes/other/recreate"), 404)


def test_extending_it(api: RunningApi, library: Library) -> None:
    made = library.add()
    answer = api.ask("POST", "/v1/sandboxes/web/extend-ttl", json={"by": "90m"})
    assert (answer.status_code, answer.json()) == (200, made)
    assert ("extend_ttl", made["id"], timedelta(minutes=90)) in library.calls
    assert_problem(api.ask("POST", "/v1/sandboxes/web/extend-ttl", json={"by": "900000d"}), 422, "by")
    library.raises["extend_ttl"] = UsageError("it may live until noon at most")
    assert_problem(api.ask("POST", "/v1/sandboxes/web/extend-ttl", json={"by": "9h"}), 422)


def test_marking_it_as_in_use(api: RunningApi, library: Library) -> None:
    library.add()
    assert api.ask("POST", "/v1/sandboxes/web/activity").json()["phase"] == "active"
    library.raises["activity"] = UsageError("web is not ready")
    assert_problem(api.ask("POST", "/v1/sandboxes/web/activity"), 409)
    library.raises["activity"] = SandboxNotFound("gone")
    assert_problem(api.ask("POST", "/v1/sandboxes/web/activity"), 404)


CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("DELETE", "", {}),
    ("POST", "/recreate", {}),
    ("POST", "/activity", {}),
    ("POST", "/extend-ttl", {"json": {"by": "1h"}}),
]


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/recreate")])
def test_what_is_of_git_is_shown_and_never_changed(api: RunningApi, library: Library, method: str, path: str) -> None:
    library.add(origin="git")
    assert api.client.get("/v1/sandboxes/web").status_code == 200
    assert "manifest" in assert_problem(api.ask(method, f"/v1/sandboxes/web{path}"), ProblemKind.FROM_GIT)["detail"]
    assert {call[0] for call in library.calls} == {"find", "abandoned"}


def test_what_is_of_git_may_be_in_use_and_live_longer(api: RunningApi, library: Library) -> None:
    library.add(origin="git")
    assert api.ask("POST", "/v1/sandboxes/web/activity").status_code == 200
    assert api.ask("POST", "/v1/sandboxes/web/extend-ttl", json={"by": "1h"}).status_code == 200


# --- whose it is


def test_a_token_that_is_bound_makes_for_its_consumer_alone(api: RunningApi, library: Library) -> None:
    assert api.create(token=BOUND, name="a").json()["consumer"] == CONSUMER
    assert api.create(token=BOUND, name="b", consumer=CONSUMER).status_code == 202
    assert_problem(api.create(token=OTHER, name="c", consumer=CONSUMER), 403, "consumer")
    assert library.called("create") == 2


@pytest.mark.parametrize(
    ("method", "path", "more"), [("GET", "", {}), ("GET", "/logs", {}), ("GET", "/events", {}), *CHANGES]
)
def test_what_is_anothers_is_not_there(
    api: RunningApi, library: Library, method: str, path: str, more: dict[str, Any]
) -> None:
    library.add(consumer=CONSUMER)
    library.add("of-git", origin="git")
    none = api.ask(method, f"/v1/sandboxes/nothing{path}", OTHER, **more)
    assert none.status_code == (204 if method == "DELETE" else 404)
    for name in ("web", "of-git"):
        answer = api.ask(method, f"/v1/sandboxes/{name}{path}", OTHER, **more)
        assert answer.status_code == none.status_code
        assert answer.text == none.text.replace("nothing", name)
    assert {call[0] for call in library.calls} <= {"find", "events", "abandoned"}


def test_a_list_is_of_what_a_token_sees(api: RunningApi, library: Library) -> None:
    library.add("mine", consumer=CONSUMER)
    library.add("theirs", consumer={"actor": "agt", "project": "another"})
    library.add("nobodys", origin="git")

    def names(token: str) -> list[str]:
        return [one["name"] for one in api.ask("GET", "/v1/sandboxes", token).json()["items"]]

    assert (names(BOUND), names(OTHER)) == (["mine"], ["theirs"])
    assert names(READER) == ["mine", "nobodys", "theirs"]


def test_the_plan_is_for_those_who_see_all(api: RunningApi, library: Library) -> None:
    assert api.ask("GET", "/v1/plan", READER).json()["fleet"] == "acme"
    assert_problem(api.ask("GET", "/v1/plan", BOUND), 403)


def test_the_text_of_changed_files_is_in_a_plan_on_request(api: RunningApi, library: Library) -> None:
    for query in ("", "?diff=false", "?diff=true"):
        assert api.ask("GET", f"/v1/plan{query}", READER).status_code == 200
    assert [call for call in library.calls if call[0] == "plan"] == [("plan",), ("plan",), ("plan", "diff")]
    assert_problem(api.ask("GET", "/v1/plan?diff=perhaps", READER), 400)


def test_a_path_of_the_server_is_in_no_answer(api: RunningApi, library: Library, monkeypatch: Any) -> None:
    library.raises["find"] = UsageError("/work/of/nobody/manifests and /work/of/nobody-else")
    detail = assert_problem(api.client.get("/v1/sandboxes/web"), 409)["detail"]
    assert detail == "./manifests and /work/of/nobody-else"
