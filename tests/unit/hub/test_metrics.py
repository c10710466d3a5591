"""The numbers for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.unit.hub.hubs import CLOUDEVENT, RunningHub, event, registration

if TYPE_CHECKING:
    from pathlib import Path

Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def numbers(hub: RunningHub) -> Numbers:
    """Return all samples, by name and labels."""
    answer = hub.client.get("/metrics").raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Numbers, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


def test_the_numbers_are_those_of_what_there_is(hub: RunningHub) -> None:
    other = {"sandbox_id": "0" * 8, "name": "other", "uid": "b" * 32}
    gone = {"sandbox_id": "1" * 8, "name": "gone", "uid": "c" * 32}
    hub.take(
        event(1, "sandbox.requested"),
        event(2, "drift.detected", drift=[{"path": "x"}, {"path": "y"}]),
        event(1, "sandbox.failed", **other),
        event(1, "sandbox.failed", **gone),
        event(2, "sandbox.destroyed", **gone),
    )
    hub.post(event(1))
    hub.client.post("/events", content="{", headers={"Content-Type": CLOUDEVENT})
    hub.client.post("/events", content="{", headers={"Authorization": "Bearer no"})
    found = numbers(hub)
    assert of(found, "sandboxer_sandboxes", fleet="acme", phase="requested") == 1
    assert of(found, "sandboxer_sandboxes", fleet="acme", phase="failed") == 1
    assert of(found, "sandboxer_sandboxes", fleet="acme", phase="ready") == 0
    assert of(found, "sandboxer_sandboxes", fleet="acme", phase="destroyed") is None
    assert of(found, "sandboxer_drift_open", fleet="acme") == 1
    age = of(found, "sandboxer_oldest_sandbox_age_seconds", fleet="acme")
    assert age is not None
    assert age >= 0
    assert of(found, "sandboxer_hub_failed_total", fleet="acme") == 2
    for status, count in (("accepted", 5), ("duplicate", 1), ("refused", 2)):
        assert of(found, "sandboxer_hub_events_total", status=status) == count


def test_failures_are_counted_over_a_restart_and_a_hub_without_events_has_zeros(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as first:
        assert of(numbers(first), "sandboxer_hub_events_total", status="refused") == 0
        first.take(event(1, "sandbox.failed"))
    with RunningHub(tmp_path / "hub.sqlite") as second:
        found = numbers(second)
        assert of(found, "sandboxer_hub_failed_total", fleet="acme") == 1
        assert of(found, "sandboxer_hub_events_total", status="accepted") == 0


def test_what_is_only_registered_counts_in_the_phase_that_it_was_registered_in(hub: RunningHub) -> None:
    hub.put(registration())
    assert of(numbers(hub), "sandboxer_sandboxes", fleet="acme", phase="ready") == 1
