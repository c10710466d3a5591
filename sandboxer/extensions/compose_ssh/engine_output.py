"""What an engine and Compose print, without what says nothing about a cause: lines of progress, ids, repetitions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.hosts.session import Reply

MOST_LINES = 40
ENGINE_REFUSED, NAME_TAKEN = "Error response from daemon", "is already in use by container"

_DOING = "Creat|Start|Stopp|Remov|Recreat|Restart|Kill|Wait|Heal|Exit|Runn|Pull|Build|Built|Skipp|Interrupt"
_PULLING = "Pulling fs layer|Waiting|Downloading|Verifying Checksum|Download complete|Extracting|Pull complete|Already"
# Kinds of lines, each with an example.
_KINDS = (
    # ` Container sbx-web-1f2e3d4c-web-1  Created`
    rf"(?:Container|Network|Volume|Image|Service) \S+ +(?:{_DOING})\w*(?: [\d.]+ ?[a-zA-Z]*)?",
    r'service "[^"]+" didn\'t complete successfully: exit \d+',
    # `container sbx-web-1f2e3d4c-web-1 exited (3)`: the states are listed with their logs
    r"(?:dependency failed to start: )?container \S+ (?:exited \(\d+\)|is unhealthy)",
    rf"[0-9a-f]{{6,64}}:? (?:{_PULLING})\b.*",  # `a1b2c3: Pulling fs layer`, `a1b2c3 Extracting [==> ] 1.2MB/3MB`
    r'time="[^"]*" level=(?:warning|info|debug) msg=.*',  # `time="…" level=warning msg="… buildx isn't installed"`
    r"#\d+ .*",  # `#8 DONE 0.1s`, of BuildKit
    r"\[\+\] .*",  # `[+] Running 1/2`
    r"-{3,}|={3,}",
    r"Sending build context to Docker daemon.*",
    r"Trying to pull \S+\.\.\.",
    r'Error: no container with name or ID "[^"]*" found: no such container',  # of one whose image is missing
    r"failed to connect to syslog: .*",  # of Podman's conmon on a host without one
    r"\S*",  # podman-compose prints each id and name that it creates or starts
)
_NOISE = re.compile("|".join(_KINDS))
_STEP = re.compile(r"#(\d+) (?:\d+\.\d+ )?(.*)")
_RULE = re.compile(r"-{3,}")
_FAILED_STEP = re.compile(r"#(\d+) ERROR: ")
_BEGUN = re.compile(r"STEP \d+/\d+: |Step \d+/\d+ : ")
_ENDED = re.compile(r"Error: building at STEP |The command '.*' returned a non-zero code: \d+")
_TARGET = re.compile(r"\[([A-Za-z0-9][A-Za-z0-9._-]*)(?: [^\]]*)?\] ")


def without_noise(text: str, most: int = MOST_LINES) -> str:
    """Return the last lines of an output that are no noise, each once."""
    return "\n".join(_once(line for line in _lines(text) if not _NOISE.fullmatch(line.strip()))[-most:])


def of_build(text: str, most: int = MOST_LINES) -> str:
    """Return the last lines of the step that failed in a build, or of its whole output if no step is known to have.

    BuildKit prints the steps of several images in turn, and repeats the failed one at the end.
    """
    lines = _lines(text)
    failed = next((match[1] for line in lines if (match := _FAILED_STEP.match(line))), None)
    if failed is not None:
        own = [match[2] for line in lines if (match := _STEP.fullmatch(line)) and match[1] == failed]
        kept = _without_headers(own)
        return "\n".join(kept[-most:])
    # podman-compose continues with the next image, and prints its steps behind the error.
    end = next((at for at, line in enumerate(lines, 1) if _ENDED.match(line)), len(lines))
    begun = max((at for at, line in enumerate(lines[:end]) if _BEGUN.match(line)), default=0)
    return "\n".join([line for line in lines[begun:end] if line.strip() and not _RULE.fullmatch(line)][-most:])


def built_service(text: str, services: Iterable[str]) -> str | None:
    """Return which of the services a build failed for; None if its output does not say."""
    names = list(services)
    lines = _lines(text)
    failed = next((match[1] for line in lines if (match := _FAILED_STEP.match(line))), None)
    for line in lines:
        step = _STEP.fullmatch(line)
        target = _TARGET.match(step[2]) if step and step[1] == failed else None
        if target and target[1] in names:
            return target[1]
    return names[0] if len(names) == 1 else None


def _without_headers(lines: Iterable[str]) -> list[str]:
    """Return a step's lines without its name where that is repeated, and without `...` where another step came in."""
    kept: list[str] = []
    for line in lines:
        repeated = _TARGET.match(line) and line in kept
        if line != "..." and not repeated:
            kept.append(line)
    return kept


def _once(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _lines(text: str) -> list[str]:
    return [_visible(line).rstrip() for line in text.splitlines()]


def _visible(line: str) -> str:
    """Return what a terminal would show last of a line that is overwritten in place."""
    return line.rstrip("\r").rpartition("\r")[2]


def last_line(text: str, most: int = 200) -> str:
    """Return the last line of a text that is not blank, cut."""
    line = next((one.strip() for one in reversed(_lines(text)) if one.strip()), "")
    return line if len(line) <= most else line[: most - 1] + "…"


def was_refused(reply: Reply | None) -> bool:
    """Return whether Docker itself refused what Compose requested: then what exists is not what was requested."""
    return reply is not None and reply.code != 0 and ENGINE_REFUSED in reply.text
