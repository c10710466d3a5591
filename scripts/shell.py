"""``python -m scripts.shell``: check every shell file that git tracks with shellcheck.

The product's files are fragments: a host receives several of them in sequence, as one program. So each program that the
package sends is checked, and a finding is reported at its line of the fragment. A file with a first line of ``#!`` is a
program by itself, in the dialect of that line.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAGMENTS = Path("sandboxer/hosts")
CALLS = ("script", "host_command")
PARAMETERS = re.compile(r"^parameters ((?:\w+ ?)+)$", re.MULTILINE)
DIALECT = "dash"  # a host's `sh` is dash, busybox's ash or bash: all of them have what dash has
# Unused variables, variables that nothing sets, unreachable code and unreachable functions: one program may leave
# unused or unset what another uses. Such a finding counts only if every program with the fragment has it.
PARTIAL = {2034, 2154, 2317, 2329}


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """A finding of shellcheck about a line of a file, by the number of its rule."""

    file: str
    line: int
    column: int
    rule: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} [SC{self.rule}]"


def tracked(root: Path = ROOT) -> list[str]:
    """Return the tracked shell files: those with the suffix, and those whose first line names a shell."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True, timeout=60)
    names = [name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()]
    return [name for name in names if name.endswith(".sh") or _names_a_shell(root / name)]


def _names_a_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(100)
    return first.startswith(b"#!") and first.split()[-1].rpartition(b"/")[2] in {b"sh", b"bash", b"dash"}


def programs(sources: Iterable[str], fragments: set[str]) -> list[tuple[str, ...]]:
    """Return the programs that Python sources make, each as the names of its fragments: the arguments of ``CALLS``.

    A starred argument stands for every constant tuple of fragments; a fragment that no call names is a program by
    itself.
    """
    trees = [ast.parse(source) for source in sources]
    tuples = [names for tree in trees for node in ast.walk(tree) if (names := _fragments(node, fragments))]
    found = set[tuple[str, ...]]()
    for call in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and call.func.id in CALLS:
            starred = any(isinstance(arg, ast.Starred) for arg in call.args)
            found |= {_program(call.args, more) for more in (tuples if starred else [()])}
    found.discard(())
    named = {name for program in found for name in program}
    return sorted(found | {(name,) for name in fragments - named})


def _program(arguments: Iterable[ast.expr], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fragments of a call, with ``more`` in place of a starred argument."""
    names: list[str] = []
    for argument in arguments:
        if isinstance(argument, ast.Starred):
            names += more
        elif isinstance(argument, ast.Constant):
            names.append(str(argument.value))
    return tuple(names)


def fragment(name: str) -> str:
    """Return how ``script`` names a tracked shell file of the package."""
    path = Path(name)
    return path.name if path.parent == FRAGMENTS else f"{'.'.join(path.parent.parts)}:{path.name}"


def _path(folder: Path, name: str) -> Path:
    """Return the path of a fragment: in ``folder``, or in the package that its name says."""
    package, colon, file = name.rpartition(":")
    return Path(*package.split("."), file) if colon else folder / file


def _plain(text: str) -> str:
    """Return a fragment with its parameters as variables that it reads itself, which shellcheck understands."""
    return PARAMETERS.sub(lambda line: "; ".join(f"IFS= read -r {name}" for name in line[1].split()), text)


def _fragments(node: ast.AST, fragments: set[str]) -> tuple[str, ...]:
    if not isinstance(node, ast.Tuple):
        return ()
    names = tuple(part.value for part in node.elts if isinstance(part, ast.Constant) and part.value in fragments)
    return names if len(names) == len(node.elts) else ()


def check(root: Path, folder: Path, sent: list[tuple[str, ...]]) -> list[Finding]:
    """Return shellcheck's findings in programs whose fragments are in ``folder``, or a package, below ``root``."""
    found: dict[tuple[str, int, int, int], Finding] = {}
    times: Counter[tuple[str, int, int, int]] = Counter()
    with tempfile.TemporaryDirectory() as written:
        paths = [Path(written, f"{number}.sh") for number in range(len(sent))]
        for path, program in zip(paths, sent, strict=True):
            texts = [_plain((root / _path(folder, name)).read_text(encoding="utf-8")) for name in program]
            path.write_text("\n".join(texts), encoding="utf-8")
        for finding in _shellcheck(["--shell", DIALECT], paths):
            one = _in_fragment(finding, root, folder, sent[int(Path(finding.file).stem)])
            key = (one.file, one.line, one.column, one.rule)
            found[key] = one
            times[key] += 1
    with_it = Counter(str(_path(folder, name)) for program in sent for name in program)
    return sorted(one for key, one in found.items() if one.rule not in PARTIAL or times[key] >= with_it[one.file])


def _in_fragment(finding: Finding, root: Path, folder: Path, program: tuple[str, ...]) -> Finding:
    line = finding.line
    for name in program:
        # Between two fragments is a line break, which ends the first one's last line once more.
        lines = (root / _path(folder, name)).read_text(encoding="utf-8").count("\n") + 1
        if line <= lines:
            return replace(finding, file=str(_path(folder, name)), line=line)
        line -= lines
    raise ValueError(finding)


def _shellcheck(options: list[str], paths: list[Path]) -> Iterator[Finding]:
    command = [
        str(Path(sys.executable).with_name("shellcheck")),
        "--norc",
        "--format",
        "json1",
        *options,
        *map(str, paths),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"shellcheck: {done.stderr or done.stdout}")
    for comment in json.loads(done.stdout)["comments"]:
        yield Finding(*(comment[key] for key in ("file", "line", "column", "code", "message")))


def main() -> int:
    """Print every finding; return 1 if there is any."""
    names = tracked()
    sent = {name for name in names if Path(name).is_relative_to("sandboxer")}
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "sandboxer").rglob("*.py"))]
    found = check(ROOT, FRAGMENTS, programs(sources, {fragment(name) for name in sent}))
    own = [ROOT / name for name in names if name not in sent]
    found += (replace(one, file=str(Path(one.file).relative_to(ROOT))) for one in _shellcheck([], own))
    for finding in sorted(found):
        sys.stderr.write(f"{finding}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
