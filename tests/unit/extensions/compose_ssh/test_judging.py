"""Compose files are judged before any host is touched: what a host would refuse, and nothing that it would accept."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sandboxer.errors import ComposeRefused
from sandboxer.extensions.compose_ssh.expected.hardening import policy_of
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.harden import harden
from sandboxer.extensions.compose_ssh.judging import judge
from sandboxer.extensions.compose_ssh.labels import project_name
from sandboxer.extensions.compose_ssh.rules import REFUSED
from sandboxer.render import diagnostics as render
from tests.support.judging import FileInputs, judged, sandbox_of
from tests.unit.extensions.compose_ssh.test_compose_harden import FILES, cases
from tests.unit.extensions.compose_ssh.test_compose_readers import REFUSED as UNREADABLE
from tests.unit.extensions.compose_ssh.test_compose_readers_fuzz import FILES as FUZZED
from tests.unit.extensions.compose_ssh.test_compose_readers_fuzz import texts
from tests.unit.extensions.compose_ssh.test_expected_stack import EVERY, composed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.extensions.compose_ssh.findings import Finding
    from sandboxer.model.desired import DesiredSandbox

EXAMPLES = int(os.environ.get("SANDBOXER_READERS") or 40)
TREE = dict.fromkeys(FILES, "") | {"app/Dockerfile": "FROM scratch\n", "web.env": "A=1\n", "out": "-> conf"}


def errors(files: Mapping[str, str | bytes], *paths: str, **more: Any) -> list[Diagnostic]:
    return [found for found in judged(files, *paths, **more).diagnostics if found.severity == "error"]


def profile_of(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a profile with the policy of a case."""
    keys = {"egress": "network", "ingress": "network", "cpus": "resources", "memory": "resources", "pids": "resources"}
    profile: dict[str, Any] = {}
    for key, value in policy.items():
        if key in keys and value is not None:
            profile.setdefault(keys[key], {})[key] = value
    if "ports" in policy:
        ports = [dict(zip(("name", "service", "port"), one, strict=True)) for one in policy["ports"]]
        profile["reachability"] = {"ports": ports}
    return profile


def refused_by_a_host(files: Mapping[str, str | bytes], desired: DesiredSandbox, folder: Path) -> list[Finding]:
    """Return what the policy refuses of Docker Compose's own reading, as on a host; nothing if it cannot read it."""
    case = {"files": files, "paths": list(desired.profile.spec.compose.files)}
    project = project_name(desired.name, desired.id)
    findings = Findings(desired.name)
    with contextlib.suppress(ComposeRefused):
        try:
            model = composed(case, folder, podman=False, project=project)
        except AssertionError:
            return []
        harden(model, policy_of(desired, FileInputs(files).bytes, podman=False), findings)
    return list(findings.lines.values())


@pytest.mark.parametrize("case", cases("refused.yaml"), ids=lambda case: case["says"].split(": ")[0])
def test_every_refusal_of_the_policy_is_found_with_file_and_line(case: dict[str, Any], tmp_path: Path) -> None:
    service = {"image": "web", **case.get("service", {})}
    text = yaml.safe_dump({"services": {"db": {"image": "db:1"}, "web": service}} | case.get("also", {}))
    files = {"c.yaml": text, **TREE}
    profile = profile_of(case.get("policy", {}))
    found = judged(files, profile=profile)
    messages = {one.message: one for one in found.diagnostics if one.severity == "error"}
    ports = [one.message for one in found.of_profile]
    for refused in refused_by_a_host(files, sandbox_of(FileInputs(files), profile=profile), tmp_path):
        why = refused.why.rpartition("; ")[0] or refused.why
        if refused.where.startswith("reachability.ports."):
            assert f"reachability port `{refused.where.removeprefix('reachability.ports.')}`: {why}" in ports
            continue
        if f"{refused.where.rpartition('.')[0]}.external" in " ".join(messages):
            continue  # Compose gives what is external a name, which no file has
        about_a_path = refused.where.endswith((".source", ".dockerfile"))  # which is another one on each host
        name = f"{refused.where}: {why}"
        one = messages.pop(
            next(text for text in messages if text.startswith(f"{refused.where}: ")) if about_a_path else name
        )
        assert one.location.file == "c.yaml"
        assert one.location.line > 1 or one.source_line.startswith(f"{refused.where.split('.')[0]}:")
        assert one.code in ("compose-refused", "compose-unknown-key", "missing-file")
    for one in messages.values():  # refused before Compose reads it, or by Compose itself
        assert one.location.file == "c.yaml"


def test_most_cases_of_the_policy_are_refused_by_a_host(tmp_path: Path) -> None:
    refused = 0
    for number, case in enumerate(cases("refused.yaml")):
        service = {"image": "web", **case.get("service", {})}
        files = {
            "c.yaml": yaml.safe_dump({"services": {"db": {"image": "db:1"}, "web": service}} | case.get("also", {}))
        }
        profile = profile_of(case.get("policy", {}))
        desired = sandbox_of(FileInputs({**files, **TREE}), profile=profile)
        refused += bool(refused_by_a_host({**files, **TREE}, desired, tmp_path / str(number)))
    assert refused > 60


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_every_key_that_is_refused_has_a_finding_at_its_line(key: str) -> None:
    text = f"services:\n  web:\n    image: x\n    {key}: {'[m]' if key == 'models' else 'x'}\n"
    codes = {"extends": "compose-syntax", "label_file": "missing-file"}
    found = errors({"c.yaml": text})
    assert [(one.location.line, one.code) for one in found] == [(4, codes.get(key, "compose-refused"))]


@pytest.mark.parametrize("case", cases("sources.yaml"), ids=lambda case: case["says"].split("\n")[0][:60])
def test_every_refusal_of_the_raw_reader_has_a_place(case: dict[str, Any]) -> None:
    found = errors(case["files"])
    assert len(found) == len(case["says"].splitlines())
    for one in found:
        assert one.location.file in case["says"]


@pytest.mark.parametrize(("text", "why"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_has_a_finding_with_its_place(text: str | bytes, why: str) -> None:
    found = errors({"c.yaml": text})
    assert any(why in f"{one.message}; {one.hint}" for one in found)
    assert {one.location.file for one in found} <= {"c.yaml", "../x", "a.env"}


@pytest.mark.parametrize("case", cases("accepted.yaml"), ids=lambda case: case["about"])
def test_what_a_host_accepts_is_never_refused(case: dict[str, Any]) -> None:
    profile = profile_of(case.get("policy", {})) | {"compose": {"profiles": ["x"]}}
    own = sandbox_of(FileInputs({"c.yaml": ""}), profile=profile)
    text = yaml.safe_dump(case["compose"]).replace("sbx-shop-1f2e3d4c", project_name(own.name, own.id))
    found = judged({"c.yaml": text, **TREE}, profile=profile, secrets=["DB_PASSWORD"])
    assert [str(one) for one in found.diagnostics if one.severity == "error"] == []
    assert not found.of_profile


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case["about"])
def test_what_compose_reads_and_the_policy_allows_is_never_refused(case: dict[str, Any], tmp_path: Path) -> None:
    env = {name: value for name, value in case.get("variables", {}).items() if "$" not in value}
    profile = {"network": {"egress": "allow"}, "compose": {"profiles": list(case.get("profiles", ()))}}
    own = sandbox_of(FileInputs({"c.yaml": ""}))
    files = {
        path: text.replace("p_back", f"{project_name(own.name, own.id)}_back") for path, text in case["files"].items()
    }
    found = errors(files, *case.get("paths", ()), profile=profile, env=env, secrets=["DB_PASSWORD"])
    assert [str(one) for one in found] == []


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=texts(), second=st.none() | texts())
def test_a_random_file_that_compose_reads_and_the_policy_allows_is_never_refused(
    first: str, second: str | None
) -> None:
    files: dict[str, str | bytes] = {"c.yaml": first, **FUZZED} | ({"o.yaml": second} if second is not None else {})
    paths = ["c.yaml"] if second is None else ["c.yaml", "o.yaml"]
    inputs = FileInputs(files)
    desired = sandbox_of(inputs, *paths)
    found = [one for one in judge([desired], inputs)[desired.name].diagnostics if one.severity == "error"]
    event("refused" if found else "accepted")
    if not found:
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = composed({"files": files, "paths": paths}, Path(folder), podman=False)
        harden(model, replace(policy_of(desired, inputs.bytes, podman=False), project="p"))
    except (ComposeRefused, AssertionError):
        return  # the host refuses it too
    raise AssertionError([str(one) for one in found])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("services: {web: {image: x, comand: run}}", "comand: is not supported in a sandbox | did you mean `command`?"),
        (
            "services: {web: {image: x, healthchek: {}}}",
            "healthchek: is not supported in a sandbox | did you mean `hea",
        ),
        ("services: {web: {image: x, comand: []}}", "comand: is not supported in a sandbox | did you mean `command`?"),
        ("services: {web: {imge: x}}", "services.web.imge: is not supported in a sandbox | did you mean `image`?"),
        ("servces: {web: {image: x}}\nservices: {web: {image: x}}", "servces: is not supported in a sandbox | did you"),
    ],
)
def test_an_unknown_key_has_the_nearest_right_one(text: str, found: str) -> None:
    one = next(one for one in errors({"c.yaml": text}) if one.code == "compose-unknown-key")
    assert found in f"{one.message} | {one.hint}"


def test_profiles_that_leave_no_service_are_named() -> None:
    (one,) = errors({"c.yaml": "services:\n  web: {image: x, profiles: [debug]}\n"})
    assert (one.code, one.location.line) == ("no-service", 1)
    assert one.message == "no service is active: `web` belongs to other profiles"
    assert not errors(
        {"c.yaml": "services: {web: {image: x, profiles: [d]}}"}, profile={"compose": {"profiles": ["d"]}}
    )


def test_a_reachable_port_of_no_service_is_a_finding_about_the_profile() -> None:
    ports = [{"name": "http", "service": "web", "port": 80}, {"name": "db", "service": "dbb", "port": 5432}]
    text = "services: {web: {image: x}, db: {image: y}}"
    (one,) = judged({"c.yaml": text}, profile={"reachability": {"ports": ports}}).of_profile
    assert one.path == ("spec", "reachability", "ports", 1, "service")
    assert (one.message, one.hint) == (
        "reachability port `db`: no service `dbb` in the compose file", "did you mean `db`?"
    )  # fmt: skip


def test_a_variable_that_nothing_sets_is_a_warning_and_one_that_is_required_an_error() -> None:
    text = "services:\n  web:\n    image: x\n    user: '${TAG}'\n    command: '${SET} ${SECRET} ${D:-d}'\n"
    (one,) = judged({"c.yaml": text}, env={"SET": "1"}, secrets=["SECRET"]).diagnostics
    assert (one.severity, one.code, one.location.line) == ("warning", "unset-variable", 4)
    assert one.message == "nothing sets the variable TAG, so it is empty"
    (one,) = errors({"c.yaml": "services: {web: {image: 'x:${TAG:?no tag}'}}"})
    assert (one.code, one.message) == ("compose-syntax", "the variable TAG has no value: no tag")


def test_a_value_that_is_not_known_is_never_refused() -> None:
    text = """
services:
  web:
    image: "${SECRET}"
    privileged: "${SECRET}"
    network_mode: "${SECRET}"
    volumes: ["${SECRET}:/x"]
    mem_limit: "${SECRET}"
    depends_on: ["${SECRET}"]
"""
    assert errors({"c.yaml": text}, secrets=["SECRET"]) == []
    assert len(errors({"c.yaml": text + "    devices: [/dev/kvm]\n"}, secrets=["SECRET"])) == 1


def test_only_what_both_composes_refuse_is_an_error() -> None:
    files = {
        "c.yaml": "include: [sub/i.yaml]\nservices: {web: {image: x}}",
        "sub/i.yaml": "services: {two: {image: x, pid: '${P:-}'}}",
        "sub/.env": "P=host",
    }
    assert errors(files) == []  # podman-compose does not read that .env


def test_secrets_in_a_shown_line_are_masked() -> None:
    text = "services:\n  web: {image: x, privileged: true, environment: {DB_PASSWORD: hunter2}}\n"
    (one,) = errors({"c.yaml": text})
    assert one.source_line == "  web: ***"
    assert "hunter2" not in render.to_text([one])
    pin = "services:\n  web: {image: x, pid: host, labels: {pin: hunter2, DB_PASSWORD: hunter2}}\n"
    (one,) = errors({"c.yaml": pin}, env={"pin": "1"}, sensitive=["pin"])
    assert "pid: host" in one.source_line
    assert "hunter2" not in render.to_text([one])
    (one,) = errors({"c.yaml": "services: {web: {image: '${API_TOKEN}'}}"}, env={"API_TOKEN": "HUNTER2 HUNTER2"})
    assert "HUNTER2" not in render.to_text([one])
    assert "(hidden)" in one.message
    text = "services:\n  web:\n    privileged: true\n    environment:\n      api_token: [hunter2]\n"
    assert "hunter2" not in render.to_text(errors({"c.yaml": text}))


def test_sandboxes_of_one_input_share_one_judgement() -> None:
    inputs = FileInputs({"c.yaml": "services: {web: {image: x, privileged: true}}"})
    one = sandbox_of(inputs)
    many = [replace(one, name=f"web-{number}") for number in range(12)]
    found = judge(many, inputs)
    assert len({id(judgement) for judgement in found.values()}) == 1
    assert len(inputs.reads) <= len(many) + 6


def test_what_cannot_be_read_here_is_left_to_the_host() -> None:
    inputs = FileInputs({"c.yaml": "services: {web: {image: x, env_file: a.env}}", "a.env": ""})
    desired = sandbox_of(inputs)
    inputs.files = {"c.yaml": inputs.files["c.yaml"]}
    assert judge([desired], inputs)[desired.name].diagnostics == ()
    assert judge([replace(desired, tree=None)], inputs)[desired.name].diagnostics == ()


def test_a_finding_reads_as_those_of_manifests_do_in_every_format() -> None:
    (one,) = errors({"e2e/c.yaml": "services:\n  web:\n    image: x\n    privileged: true\n"})
    one = replace(one, repo="../shop")
    assert render.to_text([one]) == (
        "error[compose-refused]: services.web.privileged: gives rights over the host\n"
        " --> e2e/c.yaml:4:17 in ../shop\n"
        "  |\n"
        "4 |     privileged: true\n"
        "  |                 ^^^^ remove it\n"
        "\n"
        "1 error\n"
    )
    (found,) = json.loads(render.to_json([one]))["diagnostics"]
    assert (found["repo"], found["file"], found["line"]) == ("../shop", "e2e/c.yaml", 4)
    assert render.to_github([one]).startswith("::error title=compose-refused::e2e/c.yaml:4:17 in ../shop: services.web")
    (result,) = json.loads(render.to_sarif([one]))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "../shop/e2e/c.yaml"


@pytest.mark.parametrize(
    ("source", "shown"),
    [("../../up", "../up"), ("/etc/passwd", "/etc/passwd"), ("~/.ssh", "~/.ssh"), ("./none", "e/none")],
)
def test_a_path_is_named_as_the_file_writes_it(source: str, shown: str) -> None:
    (one,) = errors({"e/c.yaml": f"services: {{web: {{image: x, volumes: ['{source}:/x']}}}}"})
    assert one.message.startswith(f"services.web.volumes[0].source: {shown} ")
