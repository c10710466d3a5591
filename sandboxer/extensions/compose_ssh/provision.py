"""Creates a sandbox, or brings it in place to what is desired: recorded first, ready last."""

from __future__ import annotations

import json
import posixpath
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions import records
from sandboxer.extensions.compose_ssh.directory import VERBS, SandboxDirectory, State
from sandboxer.extensions.compose_ssh.image_check import check_images, image_ids
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.policy import DeliveredSecret
from sandboxer.extensions.compose_ssh.records import anonymous_volumes, delivered, undisturbed, what_runs
from sandboxer.extensions.compose_ssh.render import Variables, render, sources
from sandboxer.extensions.compose_ssh.service_plan import (
    ObservedStack,
    desired_services,
    kept_services,
    plan_services,
    what_changed,
)
from sandboxer.extensions.compose_ssh.stack import Stack
from sandboxer.extensions.compose_ssh.teardown import remove
from sandboxer.extensions.compose_ssh.workspace import Workspace
from sandboxer.hosts.session import HostSession
from sandboxer.model.identity import LABEL_UNTIL
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import named
from sandboxer.reconcile.fields import digest_of

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation
    from sandboxer.extensions.compose_ssh.policy import Bind, Hardened
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record


def provision(operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
    """Create the sandbox, or bring it to what is desired; ``fresh`` first removes what a former life left of it."""
    with HostSession(operation, *VERBS) as session:
        directory = SandboxDirectory(operation, session)
        before = directory.observe_as_planned()
        removed: tuple[Container, ...] = ()
        if fresh and before.record is not None:
            removed = before.containers
            remove(directory, before.record, removed, again=True)
            before = directory.observation()
        record = _begin(directory, desired, before, uid="" if fresh else operation.expected_uid)
        if operation.only_requested:
            return record
        with directory.noting_failure():
            return _bring_up(directory, desired, record, before, removed)


def _begin(directory: SandboxDirectory, desired: DesiredSandbox, before: State, uid: str) -> Record:
    """Write the record of the operation to the host before anything else, and return it.

    ``uid`` is that of the life that continues, if any.
    """
    operation = directory.operation
    if before.record is not None:
        if _only_the_record_differs(directory, before, desired):
            return before.record
        return directory.rewrite(records.attempt(before.record, desired), Phase.PROVISIONING)
    operation.progress("recording")
    request = desired.request.to_bytes() if desired.request else b""
    if not uid:
        with operation.placing():
            return directory.begin(records.begin(operation, desired), request)
    if not before.containers:
        return directory.adopt(records.begin(operation, desired, uid=uid), request)
    # The record is lost and its containers are not: the same life continues, with the age in its labels.
    latest = datetime.fromisoformat(before.containers[0].labels[LABEL_UNTIL]).astimezone(UTC)
    longest = max(desired.profile.spec.ttl.max, desired.ttl or timedelta())
    record = records.begin(operation, desired, uid=uid, created_at=min(operation.clock(), latest - longest))
    return directory.adopt(record.model_copy(update={"until": latest}), request)


def _only_the_record_differs(directory: SandboxDirectory, before: State, desired: DesiredSandbox) -> bool:
    record = before.record
    if record is None or record.attempt is not None or record.phase not in (Phase.READY, Phase.ACTIVE):
        return False
    if digest_of(records.sealed_for(record, desired)) != record.desired_digest:
        return False
    now = directory.observation(everything=True)
    return undisturbed(record, now.containers, now.resources, workspace=Workspace(now.trees, directory.files()))


def _bring_up(
    directory: SandboxDirectory,
    desired: DesiredSandbox,
    record: Record,
    before: State,
    removed: tuple[Container, ...],
) -> Record:
    if record.attempt is None:
        directory.operation.progress("recording")
        directory.operation.services(kept_services(record))
        return directory.rewrite(records.applied(record, desired, directory.operation))
    tree = desired.tree
    if tree is None:
        raise ProvisionFailed(desired.name, f"{named('sandbox', desired.name)} has no input: {desired.input_error}")
    directory.begin_step("render")
    tool = directory.compose_tool()
    report = sources(directory, desired, tree, tool)
    needed = None if desired.profile.spec.workspace.mode == "copy" else report.files
    begun_before = before.record or before.trees or before.containers
    workspace = Workspace(before.trees, directory.files() if begun_before else None)
    if not workspace.has_tree(tree, needed):
        directory.begin_step("deliver", "delivering")
        directory.deliver(tree, needed)
    directory.begin_step("secrets")
    variables = _variables(directory, desired, record)
    directory.begin_step("render")
    hardened = render(directory, desired, tree, record, tool, variables, report)
    directory.begin_step("prepare")
    former = _former_model(directory) if before.containers else None
    put_back = _put_files(directory, tree, hardened, workspace)
    images = check_images(directory, hardened, pull=desired.profile.spec.compose.pull == "always")
    directory.begin_step("start", "starting")
    stack = Stack(directory, desired, hardened, tool, variables)
    running = stack.unpause(before)
    built = stack.build(running.containers)
    images |= image_ids(directory, built if running.containers else [])
    observed = ObservedStack(
        removed or running.containers,
        recorded=frozenset(before.record.services if before.record else ()),
        unpaused=frozenset(c.id for c in before.containers if c.state == "paused"),
        put_back=put_back,
        changed=what_changed(former, hardened.model, networks=not tool.podman),
        replaced=bool(removed),
    )
    after = stack.up(plan_services(observed, desired_services(hardened, images)), running)
    volumes = anonymous_volumes(before.containers) | set(record.anonymous_volumes)
    project = project_name(desired.name, desired.id)
    found = what_runs(project, hardened.services, after.containers, former_volumes=volumes)
    left = _tidy(directory, tree, hardened, variables)
    _tidy_images(directory, record, hardened, former)
    ready = records.applied(record, desired, directory.operation, **found, workspace_files=delivered(left.total))
    return directory.rewrite(ready, Phase.READY, containers=after.containers)


def _put_files(
    directory: SandboxDirectory, tree: InputTree, hardened: Hardened, workspace: Workspace
) -> frozenset[str]:
    """Put in place all that the stack is started from; return the services with a mounted file that was missing."""
    directory.put("compose.json", hardened.to_json())
    for target, content in hardened.dockerfiles.items():
        directory.put(f"workspace/{target}", content)
    if damaged := workspace.damaged(tree, _mounts(directory, hardened)):
        directory.discard(damaged)
    put_back = _put_binds(directory, tree, hardened)
    for file in hardened.secret_files:
        directory.put_secret_file(file)
    return put_back


def _tidy(directory: SandboxDirectory, tree: InputTree, hardened: Hardened, variables: Variables) -> Workspace:
    """Remove delivered files that the stack does not use; return what stays."""
    secrets = {secret.path for secret in variables.secrets.values()} | {file.path for file in hardened.secret_files}
    dockerfiles = (posixpath.dirname(target) for target in hardened.dockerfiles)
    mounts = _mounts(directory, hardened)
    kept = (f"tree/{tree.digest}", *mounts, *dockerfiles, *map(directory.below, sorted(secrets)))
    return Workspace(files=directory.tidy(kept))


def _tidy_images(directory: SandboxDirectory, record: Record, hardened: Hardened, former: object) -> None:
    """Remove the images of former builds, if there are or were any."""
    services = hardened.model["services"]
    used = [str(services[one.name]["image"]) for one in hardened.services if one.built]
    if used or _has_builds(former):
        directory.tidy_images(record.uid, used)


def _has_builds(former: object) -> bool:
    services = former.get("services") if isinstance(former, dict) else None
    return isinstance(services, dict) and any(isinstance(one, dict) and "build" in one for one in services.values())


def _variables(directory: SandboxDirectory, desired: DesiredSandbox, record: Record) -> Variables:
    """Return the variables of the compose file, having delivered each secret's file."""
    sealed = records.sealed_for(record, desired)["secrets"]
    values, files = dict(desired.env), {}
    for secret in desired.secrets:
        version = sealed[secret.name]["version"]
        target, values[secret.name] = directory.put_secret(secret, version)
        files[secret.name] = DeliveredSecret(f"{directory.path}/{target}", version)
    return Variables(values, files, desired.sensitive)


def _former_model(directory: SandboxDirectory) -> object:
    """Return the compose file of the last apply, used only to find changes since; None if it cannot be read."""
    reply = directory.session.call("show", "compose.json")
    try:
        return json.loads(reply.output) if reply.code == 0 else None
    except (ValueError, RecursionError):
        return None


def _mounts(directory: SandboxDirectory, hardened: Hardened) -> dict[str, list[Bind]]:
    """Return the mounts by their directory in the workspace, such as `bind/<digest>` or `bind-rw/<digest>`."""
    mounts: dict[str, list[Bind]] = {}
    for bind in hardened.binds:
        folder = "/".join(bind.destination.removeprefix(directory.workspace + "/").split("/")[:2])
        mounts.setdefault(folder, []).append(bind)
    return mounts


def _put_binds(directory: SandboxDirectory, tree: InputTree, hardened: Hardened) -> frozenset[str]:
    """Put every mounted file in place; return the services whose file or directory was missing."""
    remade: set[str] = set()
    for bind in hardened.binds:
        if directory.bind(tree, bind):
            remade.update(bind.services)
    return frozenset(remade)
