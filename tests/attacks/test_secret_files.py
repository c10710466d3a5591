"""A secret's file: for the users of its container as the compose file says, for nobody else on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import FleetRepo, Result, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

KEY = "s3cret of several words"
ROOTS = ("lab-1", "lab-4")
SBX = "lab-3"  # its login is not root
HOSTS = (*ROOTS, SBX)
OWNED = {"source": "KEY", "target": "mine", "uid": "1000", "gid": "1001", "mode": 0o440}


def user(who: str, *secrets: Any, **keys: Any) -> dict[str, Any]:
    """Return a service that runs as this user."""
    return service(user=who, secrets=list(secrets), **keys)


def stack(**services: Any) -> dict[str, Any]:
    """Return a compose file with a secret and a config that services may name."""
    files = {"secrets": {"KEY": {"environment": "KEY"}}, "configs": {"c": {"file": "./conf"}}}
    return {"services": services, **files}


@pytest.fixture(scope="module")
def applied(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FleetRepo, Result]]:
    """Stacks on three hosts, and the one apply that made them."""
    allowed = {"allow": ["env:KEY"]}
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("secrets") / "fleet", hosts=HOSTS, secrets=allowed)
    fleet.env["KEY"] = KEY
    more: dict[str, Any] = {"files": {"conf": "configured\n"}, "secretRefs": [{"name": "KEY", "from": "env:KEY"}]}
    config = {"source": "c", "target": "/c", "uid": "1000", "mode": 0o400}
    for host in HOSTS:
        fleet.sandbox(f"any-{host}", stack(a=user("1000", "KEY"), b=user("4000:4000", "KEY")), host=host, **more)
        mode = {"source": "KEY", "mode": 0o400}
        fleet.sandbox(f"mode-{host}", stack(root=user("0", mode), other=user("1000", mode)), host=host, **more)
        owned = stack(
            owner=user("1000", OWNED),
            group=user("1002:1001", OWNED),
            other=user("1002:1002", OWNED, "KEY"),
            reads=service(user="1000", configs=[config]),
            reads_not=service(user="1001", configs=[config]),
        )
        fleet.sandbox(f"owned-{host}", owned, host=host, **more)
    fleet.commit()
    try:
        yield fleet, fleet.apply(code=None)
    finally:
        fleet.clean_up()


@pytest.mark.parametrize("host", HOSTS)
def test_any_user_of_the_container_reads_its_secret_and_nobody_else_on_the_host(
    applied: tuple[FleetRepo, Result], host: str
) -> None:
    fleet, _ = applied
    for one in ("a", "b"):
        assert fleet.inside(host, f"any-{host}", one, "cat", "/run/secrets/KEY") == KEY
    folder = f"{fleet.folder(f'any-{host}')}/secrets"
    assert fleet.sh(host, f"cat {folder}/*") == KEY
    assert KEY not in fleet.sh(
        host, f"setpriv --reuid 4000 --regid 4000 --clear-groups cat {folder}/KEY.1", check=False
    )
    login = fleet.lab.host(host).user
    assert fleet.sh(host, f"stat -c '%U %a' {folder}") == f"{login} 700\n"


@pytest.mark.parametrize("host", HOSTS)
def test_a_mode_counts_whoever_logs_in(applied: tuple[FleetRepo, Result], host: str) -> None:
    fleet, _ = applied
    assert fleet.inside(host, f"mode-{host}", "root", "cat", "/run/secrets/KEY") == KEY
    assert KEY not in fleet.inside(host, f"mode-{host}", "other", "cat", "/run/secrets/KEY", check=False)
    assert fleet.inside(host, f"mode-{host}", "other", "stat", "-c", "%a", "/run/secrets/KEY") == "400\n"


@pytest.mark.parametrize("host", ROOTS)
def test_an_owner_and_a_group_count_where_the_login_is_root(applied: tuple[FleetRepo, Result], host: str) -> None:
    fleet, _ = applied
    name = f"owned-{host}"
    assert fleet.inside(host, name, "owner", "cat", "/run/secrets/mine") == KEY
    assert fleet.inside(host, name, "group", "cat", "/run/secrets/mine") == KEY
    assert fleet.inside(host, name, "other", "cat", "/run/secrets/KEY") == KEY
    assert KEY not in fleet.inside(host, name, "other", "cat", "/run/secrets/mine", check=False)
    assert fleet.inside(host, name, "other", "stat", "-c", "%u %g %a", "/run/secrets/mine") == "1000 1001 440\n"
    assert fleet.inside(host, name, "reads", "cat", "/c") == "configured\n"
    assert fleet.inside(host, name, "reads_not", "cat", "/c", check=False) == ""
    assert fleet.inside(host, name, "reads_not", "stat", "-c", "%u %a", "/c") == "1000 400\n"


def test_they_are_refused_where_it_is_not_and_the_reason_is_reported(applied: tuple[FleetRepo, Result]) -> None:
    fleet, result = applied
    reported = str(result.of(f"owned-{SBX}"))
    assert "giving a file to user 1000" in reported
    assert fleet.containers(SBX, f"owned-{SBX}") == {}
    assert KEY not in "".join(fleet.output)
