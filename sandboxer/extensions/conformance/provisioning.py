"""The rules of ``provision``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandboxer.errors import ProvisionFailed, SandboxerError
from sandboxer.extensions.conformance.case import APPLIED
from sandboxer.extensions.conformance.inputs import MARKED
from sandboxer.extensions.conformance.rule import demand, skip
from sandboxer.model.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.extensions.conformance.case import Case
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.event import Event


def provision_returns_once_ready(case: Case) -> None:
    """`provision` returns the record as it was written last: of this sandbox, `ready`, with no attempt left."""
    desired = case.desired()
    record = case.provision(desired)
    demand(record.phase is Phase.READY, f"the phase is {record.phase}")
    demand(record.attempt is None, "the record has an attempt that is not over")
    demand(record.desired_digest is not None, "the record says of no digest that it was applied")
    expected = (case.name, desired.id, desired.name, case.subject.extension, case.host)
    found = (record.fleet, record.id, record.name, record.extension, record.host)
    demand(found == expected, f"the record is of {found}, not of {expected}")
    demand(case.record(desired) == record, "the host has another record than the returned one")


def record_comes_first(case: Case) -> None:
    """The record is written first: at no moment does anything of a sandbox exist without a record."""
    desired = case.desired()
    case.backend.provision(
        case.operation(desired, transport=case.watched(lambda: _has_record(case, desired))), desired, fresh=True
    )


def journal_comes_before_the_record(case: Case) -> None:
    """The events of a step are in the journal before the record that counts them; `on_event` is called after both."""
    desired = case.desired()
    early: list[Event] = []

    def on_event(event: Event, _record: object, _containers: object) -> None:
        if event not in case.journal(desired):
            early.append(event)

    def check() -> None:
        record = case.observed(desired).record
        last = max((event.number for event in case.journal(desired)), default=0)
        demand(record is None or record.last_event <= last, "the record counts an event that is not in the journal")

    operation = case.operation(
        desired,
        transport=case.watched(check),
        on_event=on_event,
    )
    case.backend.provision(operation, desired, fresh=True)
    demand(not early, f"`on_event` was called with {early[0].type if early else ''}, which was not in the journal yet")


def events_are_numbered_and_reported(case: Case) -> None:
    """A life is reported as `requested`, `provisioning`, `ready`, numbered from 1; an update continues the numbers."""
    desired = case.desired()
    case.provision(desired)
    case.provision(case.desired(ref="second"), reason=APPLIED)
    phases = [event.phase.value for event in case.events]
    expected = ["requested", "provisioning", "ready", "provisioning", "ready"]
    demand(phases == expected, f"the phases were {', '.join(phases)}")
    types = [event.type.rpartition(".")[2] for event in case.events]
    demand(types == expected, f"the types were {', '.join(types)}")
    numbers = [event.number for event in case.events]
    demand(numbers == [1, 2, 3, 4, 5], f"the numbers were {numbers}")
    demand(case.journal(desired) == case.events, "the journal has other events than `on_event` was called with")
    last = case.record(desired).last_event
    demand(last == numbers[-1], f"the record counts {last} events")


def life_begins_within_placing(case: Case) -> None:
    """`operation.placing()` is entered once around the first write of a new life, and not for an update."""
    desired, entered = case.desired(), []

    @contextmanager
    def placing() -> Iterator[None]:
        entered.append(case.observed(desired).generation)
        yield
        demand(case.observed(desired).generation, "it was left before the record was written")

    case.provision(desired, placing=placing)
    demand(entered, "it was not entered")
    demand(entered == [0], f"it was entered with the generations {entered} on the host")
    case.provision(case.desired(ref="second"), placing=placing)
    demand(len(entered) == 1, "it was entered for an update in place")


def refused_placing_leaves_nothing(case: Case) -> None:
    """If entering `operation.placing()` raises an error, it is passed on, and nothing is created."""
    desired = case.desired()
    refusal = ProvisionFailed(desired.name, "the suite refuses the placement")

    @contextmanager
    def refuse() -> Iterator[None]:
        raise refusal
        yield

    try:
        case.provision(desired, placing=refuse)
        demand(held=False, observed="`provision` returned")
    except SandboxerError as error:
        demand(error is refusal, f"it raised {error!r}")
    demand(case.observed(desired).found is None, "something of the sandbox is on the host")


def second_provision_changes_nothing(case: Case) -> None:
    """A second `provision` without a change changes no file, keeps the uid, and increments the generation."""
    desired = case.desired()
    first = case.provision(desired)
    before = case.view.sums(f"{case.folder(desired)}/workspace")
    second = case.provision(desired)
    demand(second.uid == first.uid, "the uid changed")
    demand(second.generation > first.generation, f"the generation went from {first.generation} to {second.generation}")
    after = case.view.sums(f"{case.folder(desired)}/workspace")
    demand(after == before, f"files changed: {sorted(set(before.items()) ^ set(after.items()))}")
    demand(case.observed(desired).is_ready, "it is not ready any more")


def update_keeps_the_life(case: Case) -> None:
    """Another commit is applied in place: uid, creation and salt stay, and the record names what was applied."""
    first = case.provision(case.desired())
    second = case.provision(case.desired(ref="second"), reason=APPLIED)
    demand(second.uid == first.uid, "the uid changed")
    demand((second.created_at, second.salt) == (first.created_at, first.salt), "the creation or the salt changed")
    demand(second.generation > first.generation, f"the generation went from {first.generation} to {second.generation}")
    tree = case.desired(ref="second").tree
    digest = second.inputs.digest if second.inputs else ""
    demand(tree and digest == f"sha256:{tree.digest}", "the record does not name the second commit's files")


def files_are_delivered(case: Case) -> None:
    """With `workspace.mode: copy` the files of the commit, and no others, are in `workspace/tree/<digest>`."""
    _copies(case)
    for ref in ("first", "second"):
        desired = case.desired(ref=ref)
        case.provision(desired)
        _delivered(case, desired)


def damage_is_repaired(case: Case) -> None:
    """A delivered file that somebody removed shows in the sums of `observe`, and provision in place brings it back."""
    _copies(case)
    desired = case.desired()
    record = case.provision(desired)
    case.view.remove(f"{_tree(case, desired)}/{MARKED}")
    found, recorded = case.observed(desired).found, record.workspace_files
    demand(
        found and found.files and recorded and found.files.files != recorded.files,
        "the sums that `observe` returns are those of the record",
    )
    case.provision(desired)
    demand(case.view.read(f"{_tree(case, desired)}/{MARKED}"), "the file is still missing")


def fresh_life_keeps_nothing(case: Case) -> None:
    """With `fresh` what the former life left is removed first: another uid, events from 1, no other files."""
    desired = case.desired()
    first = case.provision(desired)
    stray = f"{case.folder(desired)}/workspace/conformance-stray"
    case.view.write(stray, "of the former life")
    case.events.clear()
    second = case.provision(desired, fresh=True, reason="replace_because_changed")
    demand(second.uid != first.uid, "the uid is that of the former life")
    demand(not case.view.entries(stray), "a file of the former life is still there")
    new = [event.number for event in case.events if event.uid == second.uid]
    demand(new[:1] == [1], f"the events of the new life are numbered {new}")
    demand(case.record(desired).uid == second.uid, "the host has another record than the returned one")


def failure_is_on_record(case: Case) -> None:
    """A failure is an error of sandboxer.errors, the record stays with its attempt, and the next apply resumes it."""
    desired = case.desired()
    _copies(case)
    case.subject.inputs.withhold()
    try:
        case.provision(desired)
        demand(held=False, observed="`provision` returned a record without the files of its input")
    except SandboxerError:
        record = case.record(desired)
    finally:
        case.subject.inputs.restore()
    demand(record.attempt is not None and record.phase is not Phase.READY, f"the record is {record.phase}")
    again = case.provision(desired)
    demand((again.uid, again.phase) == (record.uid, Phase.READY), f"it is {again.phase} with uid {again.uid}")


def _has_record(case: Case, desired: DesiredSandbox) -> None:
    observed = case.observed(desired)
    demand(
        observed.record or not (observed.found or observed.running),
        "something of the sandbox is on the host, and no record of it",
    )


def _copies(case: Case) -> None:
    if case.subject.model.spec.workspace.mode != "copy":
        skip("the profile's workspace.mode is not copy")


def _tree(case: Case, desired: DesiredSandbox) -> str:
    return f"{case.folder(desired)}/workspace/tree/{desired.tree.digest if desired.tree else ''}"


def _delivered(case: Case, desired: DesiredSandbox) -> None:
    import hashlib

    expected = case.subject.inputs.files(desired.tree.commit if desired.tree else "")
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in expected.items()}
    found = case.view.sums(_tree(case, desired))
    wrong = sorted({path for path, _ in found.items() ^ digests.items()})
    demand(not wrong, f"missing, changed or too many: {', '.join(map(repr, wrong))}")
