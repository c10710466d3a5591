"""An object's state is its own: nobody sets an attribute of another one, and no property does more than answer."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef
PACKAGE = ROOT / "sandboxer"
SELF = {"self", "cls"}
# Objects of other libraries, which are configured by their attributes: each as a file of `sandboxer/`, and the object.
FOREIGN = {
    "adapters/archive.py: entry": "the filter of tarfile returns its entry",
    "adapters/git_process.py: self._handle": "the handle of GitPython would end the process again",
    "adapters/ssh_channel.py: channel": "a handler of paramiko's",
    "adapters/ssh_channel.py: logging.getLogger('paramiko')": "a logger of the standard library",
    "adapters/ssh_connect.py: options": "paramiko's options of a connection",
    "adapters/ssh_connect.py: transport": "paramiko's connection, and its time limits",
    "adapters/tracing.py: logging.getLogger('opentelemetry')": "a logger of the standard library",
    "api/app.py: app.state": "what an application of Starlette holds",
    "hub/app.py: app.state": "what an application of Starlette holds",
    "cli/ci_output.py: sys": "the streams of the process",
    "cli/completion.py: sys": "the streams of the process",
    "cli/session.py: sys": "the streams of the process",
    "cli/completion.py: argument": "click's parameter of a command",
    "cli/completion.py: option": "click's parameter of a command",
}
# Calls that read the world, or a clock.
FUNCTIONS = {"open", "input", "print"}
METHODS = {
    *("read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "is_dir", "is_symlink", "stat"),
    *("iterdir", "glob", "rglob", "open", "read", "write", "readline", "flush", "mkdir", "unlink", "touch"),
    *("run", "stream", "tunnel", "connect", "send", "sendall", "recv", "wait", "poll", "communicate", "acquire"),
    *("now", "utcnow", "today", "monotonic", "time", "time_ns", "perf_counter", "sleep"),
}
MODULES = {"os", "subprocess", "socket", "shutil", "tempfile", "time", "random", "secrets", "uuid", "httpx", "paramiko"}
EDGES = {"transport", "connection", "session", "process", "channel", "hub", "inputs", "repository", "client"}

# --- attributes


def set_from_outside(source: str) -> Iterator[tuple[int, str]]:
    """Yield each attribute that code sets of an object that is neither its own nor made in the same function."""
    yield from _set_in(ast.parse(source), SELF, frozenset())


def _set_in(node: ast.AST, own: set[str], locals_: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield those below a node; ``own`` are the names of objects made here, ``locals_`` the namespaces of threads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _set_in(child, SELF, frozenset(_thread_locals(child)))
            continue
        if isinstance(child, _Function):
            yield from _set_in(child, own | set(_made_in(child)), locals_)
            continue
        for target in _targets(child):
            if isinstance(target, ast.Attribute):
                owner = ast.unparse(target.value)
                if owner not in own | locals_:
                    yield child.lineno, ast.unparse(target)  # type: ignore[attr-defined]
        yield from _set_in(child, own, locals_)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a statement sets, the object of ``setattr`` included."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            found = list(targets)
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            found = [target]
        case ast.AnnAssign(target=target, value=value) if value is not None:
            found = [target]
        case ast.withitem(optional_vars=target) if target is not None:
            found = [target]
        case ast.Call(func=ast.Name("setattr" | "delattr") | ast.Attribute(attr="__setattr__"), args=[owner, *_]):
            found = [ast.Attribute(owner, "...", ast.Store())]
        case _:
            return
    while found:
        target = found.pop()
        if isinstance(target, ast.Tuple | ast.List):
            found.extend(target.elts)
        else:
            yield target.value if isinstance(target, ast.Starred) else target


def _made_in(function: _Function) -> Iterator[str]:
    """Yield the names of a function's objects that it makes itself: each is assigned a call of a class."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_class(node.value.func):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _is_class(called: ast.expr) -> bool:
    name = ast.unparse(called).rpartition(".")[2]
    return name.lstrip("_")[:1].isupper() or name in ("cls", "__new__")


def _thread_locals(node: ast.ClassDef) -> Iterator[str]:
    """Yield the attributes of a class that are namespaces of ``threading.local``: they have no class to ask."""
    for child in ast.walk(node):
        if isinstance(child, ast.Assign) and ast.unparse(child.value) == "threading.local()":
            yield from map(ast.unparse, child.targets)


@pytest.mark.parametrize(
    "line",
    [
        "other.value = 1",
        "other.value += 1",
        "other.value: int = 1",
        "del other.value",
        "self._other.value = 1",
        "self.a, other.value = 1, 2",
        "self.a, (*other.value, b) = 1, 2",
        "setattr(other, 'value', 1)",
        "object.__setattr__(other, 'value', 1)",
        "for other.value in (1, 2): ...",
        "other = found(); other.value = 1",
        "if self: other.value = 1",
        "lambda: setattr(other, 'value', 1)",
    ],
)
def test_an_attribute_of_another_object_is_found(line: str) -> None:
    assert list(set_from_outside(f"class A:\n    def f(self, other):\n        {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "self.value = other.value",
        "cls.value = 1",
        "made = Other(); made.value = 1",
        "made = tarfile.TarInfo(name); made.size, made.mode = 1, 2",
        "made = cls.__new__(cls); made.value = 1",
        "made = Other()\n        def inner(): made.value = 1",
        "self._own = threading.local(); self._own.value = 1",
        "other.value: int",
        "other['value'] = 1",
        "object.__setattr__(self, 'value', 1)",
    ],
)
def test_an_attribute_of_ones_own_is_let_pass(line: str) -> None:
    assert list(set_from_outside(f"class A:\n    def f(self, other):\n        {line}\n")) == []


def test_no_attribute_is_set_from_outside() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {target.rpartition('.')[0]}": f"{target} in line {line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, target in set_from_outside(path.read_text(encoding="utf-8"))
    }
    assert {key: where for key, where in found.items() if key not in FOREIGN} == {}
    assert FOREIGN.keys() <= found.keys(), "an exception that nothing needs any more"


# --- properties


def reads_outside(source: str) -> Iterator[tuple[int, str]]:
    """Yield the calls by which a property, or a function of its module that it calls, reads the world or a clock."""
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, _Function)}
    for owner in ast.walk(tree):
        if isinstance(owner, ast.ClassDef):
            methods = {f"self.{node.name}": node for node in owner.body if isinstance(node, _Function)}
            for node in methods.values():
                if any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list):
                    yield from _read_by(node, functions | methods, set())


def _read_by(function: _Function, known: dict[str, _Function], done: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in known and called not in done:
                done.add(called)
                yield from _read_by(known[called], known, done)
            elif called in FUNCTIONS or _is_outside(node.func):
                yield node.lineno, called


def _is_outside(called: ast.expr) -> bool:
    if not isinstance(called, ast.Attribute):
        return False
    owner = ast.unparse(called.value)
    return called.attr in METHODS or owner.partition(".")[0] in MODULES or owner.rpartition(".")[2].lstrip("_") in EDGES


@pytest.mark.parametrize(
    "line",
    [
        "open(self.path)",
        "self.path.read_text()",
        "self.path.exists()",
        "subprocess.check_output(['git'])",
        "os.environ.get('HOME')",
        "time.monotonic()",
        "datetime.now(UTC)",
        "self._transport.run(command)",
        "self._connection.get()",
        "self.session.request('x')",
        "self._read()",
        "helper(self)",
    ],
)
def test_a_property_that_reads_the_world_is_found(line: str) -> None:
    for decorator in ("property", "cached_property", "functools.cached_property"):
        source = f"class A:\n    @{decorator}\n    def value(self):\n        return {line}\n"
        source += (
            "    def _read(self):\n        return self._more()\n    def _more(self):\n        return time.time()\n"
        )
        source += "def helper(a):\n    return a.path.read_bytes()\n"
        assert len(list(reads_outside(source))) == 1


def test_a_method_may_and_a_property_may_compute() -> None:
    source = (
        "class A:\n    def read(self):\n        return self.path.read_text()\n    @property\n    def value(self):\n"
    )
    assert list(reads_outside(source + "        return max(self._rows.values(), key=len).decode()\n")) == []


def test_no_property_reads_the_world() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {called}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, called in reads_outside(path.read_text(encoding="utf-8"))
    ]
    assert found == []
