"""Which of the two a Compose is: by the name of its program, else by what its `version` prints."""

from __future__ import annotations

import pytest

from sandboxer.extensions.compose_ssh.compose_tool import ComposeTool, kind_by_name, kind_by_version


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("docker compose", "docker-compose"),
        ("docker-compose", "docker-compose"),
        ("/usr/lib/docker/cli-plugins/docker-compose", "docker-compose"),
        ("/opt/podman/docker-compose", "docker-compose"),
        ("podman-compose", "podman-compose"),
        ("podman compose", "podman-compose"),
        ("/usr/local/bin/podman-compose", "podman-compose"),
        ("/opt/x/compose", None),
        ("/opt/podman/compose", None),
        ("", None),
    ],
)
def test_the_name_of_its_program_shows_which_it_is_and_its_folder_does_not(command: str, kind: str | None) -> None:
    assert kind_by_name(command) == kind


def test_else_its_version_identifies_it() -> None:
    assert kind_by_version("podman-compose version 1.6.0\npodman version 4.3.1") == "podman-compose"
    assert kind_by_version("Docker Compose version v2.40.3") == "docker-compose"


def test_it_is_one_line_for_messages_and_scripts() -> None:
    tool = ComposeTool("podman-compose", ("/opt/x/compose", "--flag"))
    assert (tool.command, tool.podman) == ("/opt/x/compose --flag", True)
