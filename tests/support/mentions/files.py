"""Files that a text mentions: of the repository, or of a host."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.mentions.texts import VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

_KINDS = r"md|py|sh|ya?ml|json|jsonl|toml|txt|lock|svg|png|css|js|html|sqlite"
_FILE = re.compile(rf"(?:[\w.*-]+/)*[\w.*-]*\w\.(?:{_KINDS})")
_FOLDER = re.compile(r"(?:[\w.-]+/)+")
_IN_WORDS = re.compile(
    r"(?<![\w./<{~$-])(?:docs|tests|scripts|schemas|examples|sandboxer|benchmarks|registry)/[\w./-]*\w"
)
_BARE = re.compile(rf"(?<![\w./<{{~*-])[\w-]+\.(?:{_KINDS})(?![\w/(-])")
# Of readers, and of other projects.
OTHERS = {
    "comment.md": "in an example of the help",
    "drift.md": "in an example of the help",
    "plan.json": "in an example of the help",
    "tokens.yaml": "in an example of the help",
    "docs/adr/NNNN-short-title.md": "the form of a name",
    "e2e.yml": "the suite of another framework",
    "workspace/note.txt": "the file that the example of an extension writes",
}


def faults(text: Text) -> Iterator[str]:
    """Yield each file and folder that the repository does not have and that the product does not write."""
    mentioned = [span for span in text.spans if _FILE.fullmatch(span) or _FOLDER.fullmatch(span)]
    mentioned += [] if text.page else [name for name in _BARE.findall(text.plain) if VALUE not in name]
    mentioned += [word for word in _IN_WORDS.findall(text.plain) if "." in word.rsplit("/", 1)[-1]]
    for name in dict.fromkeys(mentioned):
        if name not in OTHERS and not _tracked(name) and not _written(name):
            yield f"no such file: {name}"


@cache
def tracked() -> tuple[str, ...]:
    """Return the paths of the repository's files and folders; folders end with a slash."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    files = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).exists()]
    folders = {
        "/".join(parts[:end]) + "/" for name in files for parts in [name.split("/")] for end in range(1, len(parts))
    }
    return (*files, *sorted(folders))


@cache
def _tracked(name: str) -> bool:
    """Return whether a path, or the end of one, is in the repository; `*` stands for any name."""
    return any(fnmatchcase(f"/{path}", f"*/{name}") for path in tracked())


@cache
def _written(name: str) -> bool:
    """Return whether the product's own code names a file: a constant that is it, or that ends a path with it."""
    last = re.escape(name.rstrip("/").rsplit("/", 1)[-1])
    whole = re.compile(rf"""["'/]{last}(?![\w.-])""")
    return any(whole.search(code) for code in _code())


@cache
def _code() -> tuple[str, ...]:
    """Return the product's code without comments, docstrings and sentences."""
    product = [path for kind in ("py", "sh") for path in ROOT.glob(f"sandboxer/**/*.{kind}")]
    lines = (re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE) for path in product)
    return tuple(re.sub(r'"""(?:.|\n)*?"""|`[^`\n]*`', '""', text) for text in lines)
