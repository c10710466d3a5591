"""Programs that empty temporary directories by age on a host, and whether they reach a sandbox that is still alive."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import shlex
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sandboxer.model.host_report import Check
from sandboxer.model.quantity import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.hosts.facts import HostFacts

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"(\d+) ?([a-z]*)")
_ELSEWHERE = "set spec.root on the Host to another folder, such as /var/lib/sandboxer"
# Debian's cron job keeps what was used within a week, unless its settings differ.
_TMPREAPER_AGE = "7d"


@dataclass(frozen=True, slots=True)
class Cleaner:
    """A program that removes what nobody used for ``age``, in the words of its settings. ``remedy`` spares the root."""

    name: str
    where: str
    age: str
    remedy: str


def check_cleaner(facts: HostFacts) -> Iterator[Check]:
    """Yield whether every such program spares the root, or cleans later than any sandbox's expiry."""
    root, longest = facts.checked.root, facts.checked.longest_life
    if not root.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108 - the folders that cleaners clean
        return
    cleaners = list(_cleaners(facts))
    late = []
    for cleaner in cleaners:
        found = f"{cleaner.name} removes files from {root} that are unused for {cleaner.age} ({cleaner.where})"
        age = span_of(cleaner.age)
        if longest is not None and age is not None and age > longest:
            late.append(f"{found}; no sandbox lives longer than {format_duration(longest)}")
        else:
            yield Check("tmp cleaner", "warning", found, cleaner.remedy)
    for found in late:
        yield Check("tmp cleaner", "ok", found)
    if not cleaners:
        yield Check("tmp cleaner", "ok", f"no systemd-tmpfiles rule and no cron job removes old files from {root}")


def span_of(age: str) -> timedelta | None:
    """Return the duration of a cleaner's age: ``10d``, ``1w12h``, ``30 min``, seconds without a unit.

    None for no age.
    """
    parts = _SPAN.findall(age)
    if not parts or _SPAN.sub("", age).strip() or not all(unit in _UNITS or not unit for _, unit in parts):
        return None
    return timedelta(seconds=sum(int(number) * _UNITS[unit or "s"] for number, unit in parts))


def _cleaners(facts: HostFacts) -> Iterator[Cleaner]:
    root, system = facts.checked.root, facts.system
    if (rule := _rule_for(facts.all("tmpfiles"), root)) is not None:
        line = system.write_file("/etc/tmpfiles.d/sandboxer.conf", f"x {root}")
        yield Cleaner("systemd-tmpfiles", *rule, line)
    for name, text in sorted(facts.all("reaper").items()):
        reads = {"tmpreaper": _tmpreaper, "tmpwatch": _tmpwatch}[name]
        if (age := reads(text, root)) is not None:
            yield Cleaner(name, f"/etc/cron.daily/{name}", age, _spare(name, root))


def _spare(name: str, root: str) -> str:
    if name == "tmpwatch":
        return f"add to the options in /etc/cron.daily/tmpwatch: -x {shlex.quote(root)}\nor {_ELSEWHERE}"
    return _ELSEWHERE


# --- systemd-tmpfiles


def _rule_for(files: Mapping[str, str], root: str) -> tuple[str, str] | None:
    """Return file and age of the rule that cleans the root by age; None if there is none, or another spares it.

    ``x`` spares a path and everything below it; ``X`` only the path itself, which would not help.
    """
    above = [root]
    while above[-1] != "/":
        above.append(posixpath.dirname(above[-1]))
    rules = [(file, line.split()) for file, text in sorted(files.items()) for line in text.splitlines()]
    if any(words[0] == "x" and _matches(words, above[:-2]) for _, words in rules):
        return None
    for file, words in rules:
        if words[0].rstrip("+!-=~^$") in ("d", "D", "e", "q", "Q", "v") and len(words) > 5 and _matches(words, above):
            age = words[5].lstrip("~").rpartition(":")[2]
            if age != "-":
                return file, age
    return None


def _matches(words: list[str], paths: list[str]) -> bool:
    return len(words) > 1 and any(fnmatch.fnmatchcase(path, words[1].strip('"').rstrip("/")) for path in paths)


# --- cron jobs


def _tmpreaper(text: str, root: str) -> str | None:
    """Return the age in the settings of Debian's cron job; None if it does not touch the root."""
    settings = {key: value.strip("'\"") for key, value in re.findall(r"^\s*(\w+)=(.*?)\s*$", text, re.MULTILINE)}
    folders = [folder.removesuffix(".").rstrip("/") for folder in settings.get("TMPREAPER_DIRS", "/tmp/.").split()]  # noqa: S108
    if settings.get("SHOWWARNING") == "true" or not any(root.startswith(folder + "/") for folder in folders):
        return None  # its own warning was never read, so it does not run; or it cleans other directories
    return settings.get("TMPREAPER_TIME") or _TMPREAPER_AGE


def _tmpwatch(text: str, root: str) -> str | None:
    """Return the age at which the cron job removes what is in the root's directory; None if it does not."""
    for command in re.sub(r"\\\n", " ", text).splitlines():
        words = command.split()
        if not any(posixpath.basename(word.strip('"')) == "tmpwatch" for word in words):
            continue
        spared = re.findall(r"(?:-x|--exclude)[= ]?['\"]?([^'\"\s]+)", command)
        ages = [word for word in words if re.fullmatch(r"\d+[dhms]?", word)]
        cleaned = any(root.startswith(word.strip("\"'").rstrip("/") + "/") for word in words if word.startswith("/"))
        if cleaned and ages and not any(_above(path, root) for path in spared):
            return ages[-1] if ages[-1][-1].isalpha() else f"{ages[-1]}h"
    return None


def _above(path: str, root: str) -> bool:
    return root == path.rstrip("/") or root.startswith(path.rstrip("/") + "/")
