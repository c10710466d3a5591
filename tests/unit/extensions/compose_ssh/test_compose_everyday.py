"""Everyday compose files: a Compose reads the same from our plain form of them as from the files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.readers import compose_reads, differences, model_of, put, read

ROOT = Path(__file__).parents[4]
ACCEPTED = ROOT / "tests" / "cases" / "compose" / "accepted.yaml"

LONG = """
# What people write: anchors in an x- field, merge keys, block scalars, words that YAML 1.1 takes for booleans.
x-common: &common
  restart: unless-stopped
  environment: &env
    TZ: Europe/Berlin
    DEBUG: "no"
    LEVEL: 3
    RATIO: 0.50
    EMPTY:
  logging: &logging
    driver: json-file
    options: {max-size: "10m", max-file: '3'}
x-more: &more
  tty: yes
  labels: {x-kept: "1", team: "søk 🙂"}

services:
  web:
    <<: [*common, *more]
    image: "registry.example/web:${TAG:-1.0}"
    command: >
      sh -c "exec web
      --port=8080"
    environment:
      <<: *env
      LEVEL: 4
      SCRIPT: |
        #!/bin/sh
        echo "$$HOME: {a, b} [c] &d *e !f"
    ports: ["8080:80", 9090:90, 22:22]
    volumes:
      - ./conf:/conf:ro
      - data:/data
      - {type: tmpfs, target: /run, tmpfs: {size: 1_000_000}}
    healthcheck: {test: ["CMD", "wget", "-q", "-O-", "http://localhost:80/"], interval: 1m30s, retries: 3}
    depends_on:
      db: {condition: service_healthy}
    deploy: {resources: {limits: {cpus: "0.5", memory: 256M}}}
    ulimits: {nofile: {soft: 1024, hard: 2048}, nproc: 65535}
    sysctls: {net.core.somaxconn: 1024}
    extra_hosts: ["a:10.0.0.1"]
    x-own: {a: b}
  db:
    image: postgres:16
    user: "999:999"
    env_file: [db.env]
    secrets: [pw]
    networks: {back: {aliases: [database]}}
    shm_size: 128mb
    stop_grace_period: 1m
    init: true
  off: {image: x, profiles: [debug]}
volumes: {data: {}}
networks: {back: {driver: bridge}}
secrets: {pw: {file: ./pw.txt}}
"""

OURS: dict[str, dict[str, str]] = {
    **{
        str(path.relative_to(ROOT)): {"c.yaml": path.read_text()}
        for path in ROOT.glob("examples/stacks/*/compose.yaml")
    },
    "long": {"c.yaml": LONG, "db.env": "A=1\nB='two words'\n"},
    "byte order mark, Windows lines": {"c.yaml": "\ufeffservices:\r\n  web:\r\n    image: x\r\n"},
    "version and a name": {"c.yaml": "version: '3.8'\nname: mine\nservices: {web: {image: x}}\n"},
}
MORE = {
    case["about"]: {"c.yaml": yaml.safe_dump(case["compose"]), "web.env": "A=1"}
    for case in yaml.safe_load(ACCEPTED.read_text())
}
CASES = [(files, name, podman) for name, files in OURS.items() for podman in (False, True)]
CASES += [(files, name, False) for name, files in MORE.items()]


@pytest.mark.parametrize(
    ("files", "podman"),
    [(files, podman) for files, _, podman in CASES],
    ids=[f"{name}-{pod}" for _, name, pod in CASES],
)
def test_a_compose_reads_the_same_from_our_plain_form(files: dict[str, str], podman: bool, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    models: list[dict[str, Any]] = []
    report = read(files, podman=podman)
    for contents in ({path: data.encode() for path, data in files.items()}, report.opened):
        put(folder, contents)
        done = compose_reads(folder, "c.yaml", podman=podman)
        if done.returncode != 0:  # podman-compose does not know all that Compose does
            assert podman, done.stderr.decode()
            return
        models.append(model_of(done.stdout, folder, podman=podman))
    first, second = models
    if podman:  # it takes 22:22 for a number in base 60, which Compose does not
        for model in models:
            model["services"].get("web", {}).pop("ports", None)
    assert second == first
    assert differences(report, second, folder) == []
