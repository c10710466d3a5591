"""No two modules of the product import each other, directly or in a circle; imports for types alone count too."""

from __future__ import annotations

import ast
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def modules() -> dict[str, str]:
    """Return the source of each module of the product, by its name."""
    paths = (path.relative_to(ROOT) for path in (ROOT / "sandboxer").rglob("*.py"))
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return {name: (ROOT / path).read_text() for name, path in names.items()}


def imports(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the modules among ``sources`` that each of them imports, anywhere in its code."""
    return {name: set(_imported(source, sources)) - {name} for name, source in sources.items()}


def _imported(source: str, known: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not followed"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from [one for one in (full, node.module or "") if one in known][:1]


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules of which each reaches every other (Tarjan's strongly connected components)."""
    number, order, low = count(), dict[str, int](), dict[str, int]()
    path: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = next(number)
        path.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
            if other in path:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            at = path.index(name)
            found.append(set(path[at:]))
            del path[at:]

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return [circle for circle in found if len(circle) > 1]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"a": "import b", "b": "from a import x"}, [{"a", "b"}]),
        ({"a": "import b", "b": "import c", "c": "def f():\n    import a"}, [{"a", "b", "c"}]),
        ({"a": "if TYPE_CHECKING:\n    import b", "b": "import a"}, [{"a", "b"}]),
        ({"a": "from p import b", "p": "", "p.b": "import a"}, [{"a", "p.b"}]),
        ({"a": "from p import x", "p": "from p import b", "p.b": ""}, []),
        ({"a": "import b, c", "b": "import d", "c": "import d", "d": ""}, []),
        ({"a": "import b", "b": "import a", "c": "import d, a", "d": "import c"}, [{"a", "b"}, {"c", "d"}]),
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(sources: dict[str, str], expected: list[set[str]]) -> None:
    assert circles(imports(sources)) == expected


def test_no_modules_import_each_other() -> None:
    found = [sorted(circle) for circle in circles(imports(modules()))]
    assert not found
