"""The rules of declared capabilities."""

from __future__ import annotations

import io
import math
import tarfile
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from sandboxer.errors import CapabilityMissing, ExtensionError
from sandboxer.extensions.base import REQUIRED_OPERATIONS
from sandboxer.extensions.capabilities import CAPABILITIES, ExpectRequest, LogRequest
from sandboxer.extensions.conformance.inputs import MARKED
from sandboxer.extensions.conformance.rule import RuleBroken, demand, needs
from sandboxer.extensions.registry import Registry, check_class
from sandboxer.hosts.scripts import script
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from sandboxer.extensions.capabilities import (
        SupportsAddresses,
        SupportsContents,
        SupportsCopy,
        SupportsCost,
        SupportsExec,
        SupportsExpectedServices,
        SupportsHostChecks,
        SupportsJudging,
        SupportsLogs,
        SupportsRemoval,
    )
    from sandboxer.extensions.conformance.case import Case


def declared_operations_are_methods(case: Case) -> None:
    """The class has a method for each operation that the description declares, with the protocol's parameters."""
    declared = case.subject.description.spec.capabilities.operations
    try:
        check_class(case.subject.extension, type(case.backend), declared)
    except ExtensionError as error:
        raise RuleBroken(error.message) from None
    unknown = set(declared) - set(REQUIRED_OPERATIONS) - CAPABILITIES.keys()
    demand(not unknown, f"no command uses {', '.join(sorted(unknown))}")


def undeclared_operations_are_absent(case: Case) -> None:
    """The class has no operation that its description does not declare: nobody could use it."""
    declared = case.subject.description.spec.capabilities.operations
    registry = Registry({case.subject.extension: case.subject.description}, {})
    for operation in sorted(CAPABILITIES.keys() - set(declared)):
        demand(not hasattr(case.backend, operation), f"it has `{operation}`, which is not declared")
        try:
            registry.capable("one", case.subject.extension, operation)
        except CapabilityMissing:
            continue
        raise RuleBroken(f"`{operation}` is used without being declared")


@needs("exec")
def exec_runs_a_command(case: Case) -> None:
    """`exec` returns a command that runs the given words as they are, passes input through, and exits as they do."""
    desired = case.desired()
    case.provision(desired)
    sandbox, container = case.live(desired)
    words = ["sh", "-c", 'read -r line; echo "$1|$line"; exit 7', "sh", "it's $(one) `word`"]
    command = cast("SupportsExec", case.backend).exec(sandbox, container, words, None)
    code, output = _talk(case, command, b"typed\n")
    demand(code == 7, f"`exit 7` exited with {code}")
    demand(output == b"it's $(one) `word`|typed\n", f"it printed {output!r}")


@needs("exec")
def exec_ends_with_the_sandbox(case: Case) -> None:
    """What runs in a sandbox by `exec` is ended by its teardown."""
    desired = case.desired()
    case.provision(desired)
    sandbox, container = case.live(desired)
    sleep = f"sleep 86398.{int(case.name[-8:], 16)}"  # another one in each case
    words = ["sh", "-c", f"echo up; exec {sleep}"]
    command = cast("SupportsExec", case.backend).exec(sandbox, container, words, None)
    with case.raw.stream(command) as stream:
        demand(stream.read(30).startswith(b"up"), "it did not start")
        demand(case.view.processes(sleep), "it does not run on the host")
        case.teardown(desired)
        demand(not case.view.processes(sleep), "it still runs after the teardown")


@needs("copy")
def copy_brings_back_what_it_took(case: Case) -> None:
    """`copy` returns what it unpacked, byte for byte; `kind` prints nothing for a path that does not exist."""
    desired = case.desired()
    case.provision(desired)
    sandbox, container = case.live(desired)
    copy = cast("SupportsCopy", case.backend).copy
    folder = "/tmp" if container else "/"  # noqa: S108 - a path in the sandbox
    content = bytes(range(256)) * 100
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("conformance copy")
        member.size, member.mode = len(content), 0o644
        tar.addfile(member, io.BytesIO(content))
    code, output = _talk(case, copy(sandbox, container, "in", folder), buffer.getvalue())
    demand(code == 0, f"`in` exited with {code}: {output!r}")
    path = f"{folder.rstrip('/')}/conformance copy"
    code, output = _talk(case, copy(sandbox, container, "out", path))
    demand(code == 0, f"`out` exited with {code}")
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        first = tar.next()
        file = tar.extractfile(first) if first else None
        demand(file and file.read() == content, "`out` printed another content")
    _, output = _talk(case, copy(sandbox, container, "kind", f"{path} not"))
    demand(not output, f"`kind` printed {len(output)} bytes for what is not there")


@needs("contents")
def contents_names_changed_files(case: Case) -> None:
    """`contents` names a delivered file that changed, and nothing in an unchanged sandbox."""
    desired = case.desired()
    record = case.provision(desired)
    compare = cast("SupportsContents", case.backend).contents
    found = compare(case.raw, case.request, [record], case.subject.inputs)[record.id]
    demand(not found.error and not found.files, f"it found {found!r} in a sandbox that nobody changed")
    digest = desired.tree.digest if desired.tree else ""
    case.view.write(f"{case.folder(desired)}/workspace/tree/{digest}/{MARKED}", "changed")
    found = compare(case.raw, case.request, [record], case.subject.inputs)[record.id]
    paths = [one.path for one in found.files]
    demand(paths == [f"workspace.files.{MARKED}"], f"it named {paths}")


@needs("logs")
def logs_end(case: Case) -> None:
    """`logs` without `follow` yields the existing lines and ends; its reader may be closed twice."""
    desired = case.desired()
    case.provision(desired)
    sandbox, _ = case.live(desired)
    reader = cast("SupportsLogs", case.backend).logs(sandbox, LogRequest(tail=5))
    for line in reader.lines():
        demand(line.service in sandbox.services, f"a line is of {line.service}, which is no service of the sandbox")
    reader.close()
    reader.close()


@needs("addresses")
def addresses_of_nothing_are_none(case: Case) -> None:
    """`addresses` returns nothing for a service that does not run."""
    desired = case.desired()
    case.provision(desired)
    sandbox, _ = case.live(desired)
    found = cast("SupportsAddresses", case.backend).addresses(sandbox, "conformance-none", 1)
    demand(not found, f"it returned {found!r}")


@needs("host_checks")
def host_checks_print_sections(case: Case) -> None:
    """`host_checks` names scripts that are installed, and its checks can be called."""
    checks = cast("SupportsHostChecks", case.backend).host_checks()
    try:
        script(*checks.scripts)
    except OSError as error:
        raise RuleBroken(f"a script cannot be read: {error}") from None
    demand(all(callable(check) for check in checks.checks), "a check is no function")


@needs("removal_scripts")
def removal_scripts_name_functions(case: Case) -> None:
    """`removal_scripts` names scripts that are installed, and that append functions to `removers` or `sweepers`."""
    scripts = cast("SupportsRemoval", case.backend).removal_scripts()
    try:
        text = script("prelude.sh", "session.sh", *scripts)
    except OSError as error:
        raise RuleBroken(f"a script cannot be read: {error}") from None
    listing = 'for remover in $removers $sweepers; do command -V "$remover" || exit; done'
    result = case.raw.run(Command(f"{text}\n{listing}", b""))
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    demand(result.exit_code == 0 and all("function" in line for line in lines), f"a remover is no function: {lines}")
    demand(len(lines) >= len(scripts), f"{len(scripts)} scripts append {len(lines)} functions")


@needs("expected_services")
def services_are_expected_as_provisioned(case: Case) -> None:
    """`expected_services` names what `provision` then reports for each service, or says why that is not known."""
    former, desired = case.desired(), case.desired(ref="second")
    case.provision(former)
    request = ExpectRequest(former, desired, case.observed(former), case.subject.inputs)
    expected = cast("SupportsExpectedServices", case.backend).expected_services(request)
    reported: dict[str, str] = {}
    case.provision(desired, services=lambda done: reported.update({one.service: one.action for one in done}))
    foreseen = {one.service: one.action for one in expected.operations}
    demand(bool(expected.unknown) or foreseen == reported, f"it returned {foreseen}, and provision reports {reported}")


@needs("judge")
def judging_refuses_nothing_that_runs(case: Case) -> None:
    """`judge` returns a judgement of each sandbox, by name, and no error for one that can be created."""
    desired = case.desired()
    found = cast("SupportsJudging", case.backend).judge([desired], case.subject.inputs)
    demand(set(found) == {desired.name}, f"it judged {sorted(found)}")
    judgement = found[desired.name]
    errors = [str(one) for one in judgement.diagnostics if one.severity == "error"]
    demand(not errors and not judgement.of_profile, f"it refuses {errors or judgement.of_profile}")


@needs("estimate_cost")
def cost_is_a_number(case: Case) -> None:
    """`estimate_cost` returns a number that is neither negative nor infinite, the same one each time it is called."""
    desired = case.desired()
    host = case.subject.manifests(case.name).hosts[case.host]
    extension = cast("SupportsCost", case.backend)
    first: object = extension.estimate_cost(desired, host)
    second: object = extension.estimate_cost(desired, host)
    number = isinstance(first, (int, float)) and not isinstance(first, bool) and 0 <= first < math.inf
    demand(number, f"it returned {first!r}")
    demand(first == second, f"it returned {first!r}, and then {second!r}")


def _talk(case: Case, command: Command, data: bytes = b"") -> tuple[int, bytes]:
    """Run a command as the core does, with input behind its parameters; return its exit code and its output."""
    output = bytearray()
    with case.raw.stream(replace(command)) as stream:
        with suppress(BrokenPipeError):  # a command that reads no input may have ended
            stream.write(data)
        stream.end_input()
        while piece := stream.read(60):
            output += piece
        return stream.wait(60), bytes(output)
