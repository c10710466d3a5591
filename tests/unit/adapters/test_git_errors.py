"""The cause of an error is kept of what git and ssh write, and nothing else."""

from __future__ import annotations

import pytest

from sandboxer.adapters.git_errors import cause_of

GENERIC = """fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ECDSA key in /root/.ssh/known_hosts:3
Host key for h has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("errors", "cause"),
    [
        ("git@h: Permission denied (publickey).\n" + GENERIC, "git@h: Permission denied (publickey)"),
        (
            "No ED25519 host key is known for h and you have requested strict checking.\n"
            "Host key verification failed.\n" + GENERIC,
            "No ED25519 host key is known for h and you have requested strict checking; Host key verification failed",
        ),
        (
            CHANGED + GENERIC,
            "Host key for h has changed and you have requested strict checking; Host key verification failed",
        ),
        (
            "ssh: connect to host h port 22: Connection refused\n" + GENERIC,
            "ssh: connect to host h port 22: Connection refused",
        ),
        ("ERROR: Repository not found.\n" + GENERIC, "ERROR: Repository not found"),
        (
            "* Authorized use only *\n\nConnection closed by 198.18.0.1 port 22\n" + GENERIC,
            "* Authorized use only *; Connection closed by 198.18.0.1 port 22",
        ),
        (GENERIC, "fatal: Could not read from remote repository"),
        (
            "error: RPC failed; curl 56 reset by peer\nfatal: the remote end hung up unexpectedly\nfatal: early EOF\n",
            "error: RPC failed; curl 56 reset by peer",
        ),
        (
            "warning: redirecting\nremote: Invalid username or password.\nfatal: Authentication failed\n",
            "remote: Invalid username or password; fatal: Authentication failed",
        ),
        ("warning: only that\n", "warning: only that"),
        ("", ""),
    ],
)
def test_the_cause_of_an_error_is_kept(errors: str, cause: str) -> None:
    assert cause_of(errors) == cause


def test_a_cause_is_bounded() -> None:
    assert len(cause_of("\n".join(f"{at}{'x' * 5000}" for at in range(100)))) < 1000
