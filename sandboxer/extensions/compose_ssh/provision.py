"""Making a sandbox, or bringing it in place to what is desired: recorded first, ready last."""

from __future__ import annotations

import posixpath
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sandboxer.errors import CommandTimeout, HostUnreachable, OutputTooLarge, ProvisionFailed, SandboxerError
from sandboxer.extensions import records
from sandboxer.extensions.compose_ssh.box import VERBS, Box, State
from sandboxer.extensions.compose_ssh.image_check import check_images
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret
from sandboxer.extensions.compose_ssh.records import anonymous_volumes, delivered, undisturbed, what_runs
from sandboxer.extensions.compose_ssh.render import Variables, render, sources
from sandboxer.extensions.compose_ssh.stack import Stack
from sandboxer.extensions.compose_ssh.teardown import remove
from sandboxer.extensions.compose_ssh.workspace import Workspace
from sandboxer.extensions.workbench import Workbench
from sandboxer.model.identity import LABEL_UNTIL, project_name
from sandboxer.model.lifecycle import Phase
from sandboxer.reconcile.drift import service_of, state_of
from sandboxer.reconcile.fields import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.base import Work
    from sandboxer.extensions.compose_ssh.policy import Bind, Hardened
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.record import Record
    from sandboxer.model.seams import InputTree


def provision(work: Work, desired: DesiredSandbox, *, fresh: bool) -> Record:
    """Makes the sandbox or brings it to what is desired; ``fresh`` removes what a former life left of it first."""
    with Workbench(work, *VERBS) as bench:
        box = Box(work, bench)
        before = box.look_as_planned()
        if fresh and before.record is not None:
            remove(box, before.record, before.containers, again=True)
            before = box.look()
        record = _begin(box, desired, before, uid="" if fresh else work.expected_uid)
        if work.only_requested:
            return record
        try:
            return _bring_up(box, desired, record, before)
        except (HostUnreachable, CommandTimeout, OutputTooLarge):
            raise  # the conversation is over: nothing more can be written
        except SandboxerError:
            _note_failure(box)
            raise


def wait_ready(work: Work, record: Record, timeout: float) -> Mapping[str, str]:
    """Waits until every recorded service is up or ended well, at most ``timeout`` seconds; gives each one's state."""
    deadline = time.monotonic() + timeout
    with Workbench(work, *VERBS) as bench:
        box = Box(work, bench)
        while True:
            state = box.look()
            states = {service_of(container): state_of(container) for container in state.containers}
            if all(states.get(name) in ("running", "exited (0)") for name in record.services):
                return states
            if time.monotonic() >= deadline:
                raise ProvisionFailed(work.name, f"{work.name} is not ready after {timeout:g} s: {states}")
            time.sleep(1)


def _begin(box: Box, desired: DesiredSandbox, before: State, uid: str) -> Record:
    """The record of the work, on the host before anything else is. ``uid`` is of the life that goes on, if any."""
    work = box.work
    if before.record is not None:
        if _only_the_record_differs(box, before, desired):
            return before.record
        return box.rewrite(records.attempt(before.record, desired), Phase.PROVISIONING)
    work.progress("recording")
    asked = desired.asked.to_bytes() if desired.asked else b""
    if not uid:
        with work.placing():
            return box.begin(records.begin(work, desired), asked)
    if not before.containers:
        return box.adopt(records.begin(work, desired, uid=uid), asked)
    # The record is gone and its containers are not: the same life goes on, as old as its labels say.
    until = datetime.fromisoformat(before.containers[0].labels[LABEL_UNTIL]).astimezone(UTC)
    longest = max(desired.profile.spec.ttl.max, desired.ttl or timedelta())
    record = records.begin(work, desired, uid=uid, created_at=min(work.clock(), until - longest))
    return box.adopt(record.model_copy(update={"until": until}), asked)


def _only_the_record_differs(box: Box, before: State, desired: DesiredSandbox) -> bool:
    record = before.record
    if record is None or record.attempt is not None or record.phase not in (Phase.READY, Phase.ACTIVE):
        return False
    if digest_of(records.sealed_for(record, desired)) != record.desired_digest:
        return False
    now = box.look(everything=True)
    return undisturbed(record, now.containers, now.resources, workspace=Workspace(now.trees, box.files()))


def _bring_up(box: Box, desired: DesiredSandbox, record: Record, before: State) -> Record:
    if record.attempt is None:
        box.work.progress("recording")
        return box.rewrite(records.applied(record, desired, box.work))
    tree = desired.tree
    if tree is None:
        raise ProvisionFailed(desired.name, f"{desired.name} has no input: {desired.input_error}")
    command = box.compose_command()
    report = sources(box, desired, tree, command)
    wanted = None if desired.profile.spec.workspace.mode == "copy" else report.files
    begun_before = before.record or before.trees or before.containers
    workspace = Workspace(before.trees, box.files() if begun_before else None)
    if not workspace.has_tree(tree, wanted):
        box.work.progress("delivering")
        box.deliver(tree, wanted)
    variables = _variables(box, desired, record)
    hardened = render(box, desired, tree, record, command, variables, report)
    box.put("compose.json", hardened.to_json())
    for place, content in hardened.dockerfiles.items():
        box.put(f"workspace/{place}", content)
    mounts = _mounts(box, hardened)
    if damaged := workspace.damaged(tree, mounts):
        box.discard(damaged)
    remade = _put_binds(box, tree, hardened)
    for file in hardened.secret_files:
        box.put_secret_file(file)
    check_images(box, hardened)
    box.work.progress("starting")
    after = Stack(box, desired, hardened, command, variables, remade).up(before)
    former = anonymous_volumes(before.containers) | set(record.anonymous_volumes)
    project = project_name(desired.name, desired.id)
    found = what_runs(project, hardened.services, after.containers, former_volumes=former)
    secrets = {secret.path for secret in variables.secrets.values()} | {file.path for file in hardened.secret_files}
    dockerfiles = (posixpath.dirname(place) for place in hardened.dockerfiles)
    kept = (f"tree/{tree.digest}", *mounts, *dockerfiles, *map(box.below, sorted(secrets)))
    left = Workspace(files=box.tidy(kept))
    ready = records.applied(record, desired, box.work, **found, workspace_files=delivered(left.total))
    return box.rewrite(ready, Phase.READY, containers=after.containers)


def _variables(box: Box, desired: DesiredSandbox, record: Record) -> Variables:
    """The variables of the compose file, each secret's file delivered on the way."""
    sealed = records.sealed_for(record, desired)["secrets"]
    values, files = dict(desired.env), {}
    for secret in desired.secrets:
        place = f"secrets/{secret.name}.{sealed[secret.name]['version']}"
        value = secret.value or box.read_secret(place)
        if value is None:
            raise ProvisionFailed(
                desired.name,
                f"the secret {secret.name} (from {secret.source}) is neither on this machine nor on the host",
                hint=f"set it where `{secret.source}` says",
            )
        if secret.value is not None:
            box.put(place, value.reveal().encode("utf-8", "surrogateescape"))
        values[secret.name] = value
        files[secret.name] = DeliveredSecret(f"{box.path}/{place}", sealed[secret.name]["version"])
    return Variables(values, files)


def _mounts(box: Box, hardened: Hardened) -> dict[str, list[Bind]]:
    """What is mounted, by its folder in the workspace: `bind/<digest>`, or `bind-rw/<digest>`."""
    mounts: dict[str, list[Bind]] = {}
    for bind in hardened.binds:
        folder = "/".join(bind.destination.removeprefix(box.workspace + "/").split("/")[:2])
        mounts.setdefault(folder, []).append(bind)
    return mounts


def _put_binds(box: Box, tree: InputTree, hardened: Hardened) -> frozenset[str]:
    """Puts every mounted file in place; gives the services whose file or folder was not there."""
    remade: set[str] = set()
    for bind in hardened.binds:
        if box.bind(tree, bind):
            remade.update(bind.services)
    return frozenset(remade)


def _note_failure(box: Box) -> None:
    """The record says `failed`, where it still can be written: the error that is on its way up matters more."""
    record = box.record
    if record is None or record.attempt is None:  # nothing was begun, or it had come to its end
        return
    try:
        box.rewrite(records.again(record), Phase.FAILED)
    except SandboxerError:
        return
