"""The floors: the least work of any tool that uses SSH through paramiko, and nothing else.

``python -m benchmarks.floor FILE``: FILE is JSON with ``hosts`` (address, port, user, key file) and ``commands``, a
list for each host, run in parallel on its one connection. The hosts are handled in parallel too.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko


def _run(client: paramiko.SSHClient, command: str) -> None:
    _, stdout, stderr = client.exec_command(command, timeout=300)
    stdout.read()
    if stdout.channel.recv_exit_status() != 0:
        raise SystemExit(f"the floor's command failed: {command}: {stderr.read().decode()}")


def _host(host: dict[str, Any], commands: list[str]) -> None:
    client = paramiko.SSHClient()
    client.load_host_keys(host["known_hosts"])
    client.connect(
        host["address"], host["port"], host["user"], key_filename=host["key"], allow_agent=False, look_for_keys=False
    )
    with client, ThreadPoolExecutor(max_workers=len(commands)) as pool:
        list(pool.map(lambda command: _run(client, command), commands))


def main() -> None:
    """Run the commands of the file that the command line names."""
    work = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(max_workers=len(work["hosts"])) as pool:
        list(pool.map(_host, work["hosts"], work["commands"]))


if __name__ == "__main__":
    main()
