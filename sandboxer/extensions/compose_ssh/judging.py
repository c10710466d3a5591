"""Judges the compose files of sandboxes before any host is touched: what their host would refuse, with its place."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ComposeRefused, InputUnavailable
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.extensions.capabilities import Judgement, ProfileFinding
from sandboxer.extensions.compose_ssh.expected.hardening import hardened, variables_of
from sandboxer.extensions.compose_ssh.expected.interpolation import Environment
from sandboxer.extensions.compose_ssh.expected.nodes import Budget, Mark, TooLargeError
from sandboxer.extensions.compose_ssh.expected.reader import Reader
from sandboxer.extensions.compose_ssh.expected.stack import TREE, expected_stack, located
from sandboxer.extensions.compose_ssh.findings import SHOWN, Findings
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.plain_yaml import SpanTable, documents
from sandboxer.extensions.compose_ssh.scope import UNSUPPORTED
from sandboxer.extensions.compose_ssh.tree import NOT_TRACKED
from sandboxer.model.diff_mask import masked
from sandboxer.model.redaction import Redactor, is_sensitive_name
from sandboxer.model.text import masked_line, named, plain_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sandboxer.errors.diagnostic import Severity
    from sandboxer.extensions.compose_ssh.expected.stack import ExpectedStack
    from sandboxer.extensions.compose_ssh.findings import Finding
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.protocols import InputSource

LONGEST_LINE = 2_000
_OWN_NAME = b"sbx-"
_PORT = re.compile(r"reachability\.ports\.(.+)")
_OUTSIDE = re.compile(r"/sandboxer/above\S*")
_VALUES = re.compile(r"environment|args|env_file", re.IGNORECASE)


def judge(sandboxes: Sequence[DesiredSandbox], inputs: InputSource) -> Mapping[str, Judgement]:
    """Return by name what is wrong with the compose files of sandboxes; see SupportsJudging.

    Sandboxes that nothing distinguishes here share one evaluation.
    """
    found: dict[str, Judgement] = {}
    known: dict[Any, Judgement] = {}
    for desired in sandboxes:
        key = _key(desired, inputs)
        if key is not None and key not in known:
            known[key] = _Judging(desired, inputs).judgement()
        found[desired.name] = known[key] if key is not None else Judgement()
    return found


def _key(desired: DesiredSandbox, inputs: InputSource) -> Any:
    """Return what the judgement of a sandbox depends on; None if its files cannot be read here."""
    tree, spec = desired.tree, desired.profile.spec
    if tree is None:
        return None
    try:
        own = any(_OWN_NAME in inputs.read(tree, path) for path in spec.compose.files)
    except InputUnavailable:
        return None
    parts = (spec.compose, spec.network, spec.resources, spec.reachability)
    return (
        (tree.repo, tree.digest),
        tuple(part.model_dump_json() for part in parts),
        tuple(sorted((name, value or "") for name, value in variables_of(desired).items())),
        tuple(sorted(secret.name for secret in desired.secrets)),
        desired.sensitive,
        desired.name if own else "",
    )


class _Judging:
    """The judgement of one sandbox."""

    def __init__(self, desired: DesiredSandbox, inputs: InputSource) -> None:
        self._desired = desired
        self._inputs = inputs
        self._lines: dict[str, list[str]] = {}
        sensitive = (name for name in desired.env if is_sensitive_name(name, desired.sensitive))
        self._redactor = Redactor((), [desired.env[name].reveal() for name in sensitive])
        self._diagnostics: dict[Diagnostic, None] = {}
        self._of_profile: dict[ProfileFinding, None] = {}
        self._services: Iterable[str] = ()

    def judgement(self) -> Judgement:
        """Return the findings, the errors first; none where a file cannot be read here."""
        try:
            self._judge()
        except InputUnavailable:
            return Judgement()
        found = sorted(self._diagnostics, key=lambda one: (one.severity, one.location, one.code))
        return Judgement(tuple(found[:SHOWN]), tuple(self._of_profile))

    def _judge(self) -> None:
        findings = Findings(self._desired.name)
        try:
            stack = self._stack(findings)
        except ComposeRefused:
            self._add(findings.lines.values(), self._raw_mark)
            return
        for mark, name in stack.unset:
            self._report("warning", "unset-variable", mark, f"nothing sets the variable {name}, so it is empty", _SET)
        certain = [problem for problem in stack.problems if problem.for_both]
        for problem in certain:
            self._report("error", "compose-syntax", problem.mark, *_parted(problem.why))
        if stack.problems or () in stack.unknowns:
            return
        if not stack.model["services"] and stack.inactive:
            self._no_service(stack)
            return
        self._services = stack.model["services"]
        refused = hardened(stack, self._desired, self._read).findings
        if refused:
            common = self._refused_by_podman()
            self._add([one for one in refused if common is None or one.where in common], stack.locate)

    def _stack(self, findings: Findings, *, podman: bool = False) -> ExpectedStack:
        desired = self._desired
        spec = desired.profile.spec.compose
        return expected_stack(
            {path: self._read(path) for path in spec.files},
            self._read,
            desired.tree.entries if desired.tree else {},
            variables_of(desired),
            spec.profiles,
            sandbox=desired.name,
            project=project_name(desired.name, desired.id),
            podman=podman,
            findings=findings,
        )

    def _refused_by_podman(self) -> AbstractSet[str] | None:
        """Return the paths that podman-compose's reading is refused for; None if it is refused as a whole.

        The sandbox may be placed on a host with it, so only what is refused there too is certain.
        """
        try:
            stack = self._stack(Findings(self._desired.name), podman=True)
        except ComposeRefused:
            return None
        if stack.problems:
            return None
        return {one.where for one in hardened(stack, self._desired, self._read, podman=True).findings}

    def _no_service(self, stack: ExpectedStack) -> None:
        file = self._desired.profile.spec.compose.files[0]
        names = ", ".join(f"`{name}`" for name in stack.inactive[:5])
        mark = self._raw_mark("services", file) or Mark(file)
        message = (
            f"no service is active: {names} {'belongs' if len(stack.inactive) == 1 else 'belong'} to other profiles"
        )
        self._report("error", "no-service", mark, message, "name one of them under `compose.profiles` in the Profile")

    def _read(self, path: str) -> bytes:
        tree = self._desired.tree
        if tree is None:
            raise InputUnavailable(f"{named('sandbox', self._desired.name)} has no input")
        return self._inputs.read(tree, path)

    # --- places

    def _add(self, findings: Iterable[Finding], locate: Callable[..., Mark | None]) -> None:
        for finding in findings:
            why, hint = _parted(_OUTSIDE.sub(lambda match: posixpath.relpath(match[0], TREE), finding.why))
            port = _PORT.fullmatch(finding.where)
            if port is not None:
                message = f"reachability port `{port[1]}`: {why}"
                self._of_profile[ProfileFinding(self._port_path(port[1]), "unknown-service", message, hint)] = None
                continue
            whole = finding.where in self._desired_files(finding)
            mark = Mark(finding.where, *finding.at) if whole and finding.at else None
            mark = mark or (Mark(finding.where) if whole else self._mark(finding, locate))
            subject = "the file" if whole else finding.where
            self._report("error", _code(finding, whole=whole), mark, f"{subject}: {why}", hint, finding.where)

    def _desired_files(self, finding: Finding) -> Mapping[str, Any]:
        tree = self._desired.tree
        return tree.entries if tree is not None and not finding.file else {}

    def _mark(self, finding: Finding, locate: Callable[..., Mark | None]) -> Mark:
        first = self._desired.profile.spec.compose.files[0]
        if finding.file:
            return self._raw_mark(finding.where, finding.file) or Mark(finding.file)
        found = locate(finding.where, of_key=finding.why.startswith(UNSUPPORTED))
        if found is None:  # a network that no file declares is an error where a service joins it
            named = finding.where.removeprefix("networks.")
            users = (locate(f"services.{name}.networks.{named}") for name in sorted(self._services))
            found = max(filter(None, users), key=lambda mark: (mark.line, mark.column), default=None)
        return found or Mark(first)

    def _port_path(self, name: str) -> tuple[str | int, ...]:
        ports = self._desired.profile.spec.reachability.ports
        index = next((index for index, port in enumerate(ports) if port.name == name), 0)
        return ("spec", "reachability", "ports", index, "service")

    def _raw_mark(self, where: str, file: str = "") -> Mark | None:
        """Return the place of a value in one raw file."""
        file = file or self._desired.profile.spec.compose.files[0]
        spans = SpanTable()
        try:
            found = documents(self._read(file), spans)
            reader = Reader(spans, Budget())
            nodes = [reader.document(one, file, Environment({})).node for one in found]
        except (ValueError, TooLargeError, RecursionError):
            return None
        marks = [mark for node in nodes if (mark := located(node, where)) is not None]
        return max(marks, key=lambda mark: (mark.line, mark.column), default=None)

    def _report(self, severity: Severity, code: str, mark: Mark, message: str, hint: str = "", where: str = "") -> None:
        message, hint = self._redactor.redact(message), self._redactor.redact(hint)
        location = Location(mark.file, mark.line, mark.column)
        line = self._line(mark, where)
        found = Diagnostic(severity, code, printable(message, 600), location, printable(hint, 300), line, mark.length)
        self._diagnostics[found] = None

    def _line(self, mark: Mark, where: str) -> str:
        """Return the line as shown: what could be secret is masked."""
        if mark.file not in self._lines:
            try:
                given = self._read(mark.file).decode("utf-8-sig", "replace").splitlines()
                hidden = masked((f" {line[:LONGEST_LINE]}" for line in given), self._desired.sensitive)
                self._lines[mark.file] = [line[1:] for line in hidden]
            except InputUnavailable:
                self._lines[mark.file] = []
        lines = self._lines[mark.file]
        if mark.line > len(lines):
            return ""
        line = plain_line(lines[mark.line - 1])
        return masked_line(line) if _VALUES.search(line) or _VALUES.search(where) else line


_SET = "set it under `env` in the Sandbox, or write a default: `${NAME:-default}`"


def _parted(why: str) -> tuple[str, str]:
    """Return a reason and what to do about it, which stands behind the last semicolon."""
    message, semicolon, hint = why.rpartition("; ")
    return (message, hint) if semicolon else (why, "")


def _code(finding: Finding, *, whole: bool) -> str:
    if finding.why.startswith(UNSUPPORTED):
        return "compose-unknown-key"
    if NOT_TRACKED in finding.why:
        return "missing-file"
    return "compose-syntax" if whole or finding.where == "the file" else "compose-refused"
