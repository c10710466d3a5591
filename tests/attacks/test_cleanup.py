"""Files that a container left as root, on a host whose newest image is an attacker's: no image of the host is run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sandboxer.hosts.scripts import script
from tests.lab import IMAGE
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.lab.conftest import NewFleet

pytestmark = pytest.mark.lab
HOST = "lab-3"  # its login is not root
EVIL = "exhaustion-evil:1"
# An entry point, a command, variables for the loader, and volumes, where the cleaner looks for the host's own programs.
DOCKERFILE = f"""
FROM {IMAGE}
ENV LD_PRELOAD=/evil.so LD_LIBRARY_PATH=/evil BASH_ENV=/evil.sh ENV=/evil.sh
VOLUME /gone /etc
ENTRYPOINT ["/bin/sh", "-c", "touch /gone/pwned /parent/pwned"]
HEALTHCHECK CMD touch /gone/pwned
ONBUILD RUN touch /pwned
"""


def test_what_the_login_cannot_remove_goes_without_any_image_of_the_host(new_fleet: NewFleet) -> None:
    fleet = new_fleet(HOST)
    left = (
        "umask 077; mkdir -p /d/deep/er; echo x >/d/deep/er/file; chmod 0 /d/deep; "
        "mkdir -m 1777 /d/sticky; touch /d/sticky/f; sleep 9999"
    )
    fleet.sandbox("one", stack(a=service("sh", "-c", left, volumes=["./d:/d"])), files={"d/x": "x\n"})
    fleet.commit()
    fleet.apply()
    build = f"docker build -q -t {EVIL} - <<'END'\n{DOCKERFILE}\nEND\n"
    evil = fleet.sh(HOST, build).strip()
    began = fleet.sh(HOST, "date +%s.%N").strip()
    try:
        assert evil in fleet.engine(HOST, "image", "ls", "-q", "--no-trunc").split()[0]
        fleet.run("destroy", "one", "-y")
        assert not fleet.exists(HOST, f"{fleet.root}/{fleet.name}")
        ended = str(int(fleet.sh(HOST, "date +%s")) + 1)  # whole seconds, of which the last one counts
        ran = fleet.engine(
            HOST, "events", "--since", began, "--until", ended, "--filter", "type=container",
            "--filter", "event=create",
            "--format", "{{.Actor.Attributes.image}} {{index .Actor.Attributes \"dev.sandboxer.cleaner\"}}",
        )  # fmt: skip
        empty = re.search(r"^EMPTY_CONFIG=(\S+)$", script("sandboxer.extensions.compose_ssh:cleaner.sh"), re.MULTILINE)
        assert empty is not None
        assert set(ran.splitlines()) == {f"{empty[1]} {fleet.id('one')}"}
        assert empty[1] not in fleet.engine(HOST, "image", "ls", "-a", "-q", "--no-trunc")
    finally:
        fleet.engine(HOST, "image", "rm", "-f", EVIL, check=False)
