"""Fingerprint of the source that an experiment reaches: the part of the cache key that notices edits.

Inside the module of the experiment only the definitions that the function reaches count, so a changed figure or
another experiment costs nothing. Modules that these import count whole, and so do the modules that those import.
Comments, layout and docstrings do not count. The lab, the ledger and the surfaces are left out: they carry
numbers and do not make them.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = "overparam"
CARRIERS = tuple(f"{PACKAGE}.{part}" for part in ("lab", "ledger", "cli", "feed", "site"))


def experiment_fingerprint(function: Callable[..., Any], modules: Iterable[str] = ()) -> str:
    """Hash an experiment, the definitions of its module that it reaches, and all modules these import.

    Args:
        function: The experiment.
        modules: Further modules that it reaches by name only, such as readers of data sets.

    Returns:
        A hexadecimal digest.
    """
    home = function.__module__
    nodes = _reached(_tree(_path(home)), function.__name__)
    imported = {name for node in nodes for name in _imports(node, home)}
    digest = hashlib.sha256("\n".join(_dump(node) for node in nodes if not _is_import(node)).encode())
    for name in sorted(_closure(imported | set(modules), {PACKAGE, home.partition(".")[0]}) - {home}):
        digest.update(f"{name} {_module_digest(_path(name))}\n".encode())
    return digest.hexdigest()


def function_fingerprint(function: Callable[..., Any]) -> str:
    """Hash one function by itself.

    Args:
        function: A function whose source can be read.

    Returns:
        A hexadecimal digest of its syntax tree, without comments and docstring.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return hashlib.sha256(_dump(tree).encode()).hexdigest()[:16]


def _path(module: str) -> Path:
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        spec = importlib.util.find_spec(module)
        file = spec.origin if spec else None
    if file is None:
        raise ModuleNotFoundError(f"no source for {module}")
    return Path(file)


def _tree(path: Path) -> ast.Module:
    stat = path.stat()
    return _parse(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=512)
def _parse(path: Path, _mtime: int, _size: int) -> ast.Module:
    return ast.parse(path.read_bytes())


def _module_digest(path: Path) -> str:
    stat = path.stat()
    return _digest_of(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=512)
def _digest_of(path: Path, _mtime: int, _size: int) -> str:
    return hashlib.sha256(_dump(_tree(path)).encode()).hexdigest()


def _dump(node: ast.AST) -> str:
    """Print a syntax tree without positions and docstrings."""
    dump = ast.dump(node)
    for child in ast.walk(node):
        if isinstance(child, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = child.body[0] if child.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                dump = dump.replace(ast.dump(first), "", 1)
    return dump


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _binds(node: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    inner = {
        name for child in ast.walk(node) if child is not node and isinstance(child, ast.stmt) for name in _binds(child)
    }
    return inner | {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _only_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _reached(tree: ast.Module, start: str) -> list[ast.stmt]:
    """Statements at the top of a module that a function reaches, without its decorators."""
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == start:
            bare = ast.FunctionDef(**{name: getattr(node, name) for name in node._fields if name != "decorator_list"})
            bare.decorator_list = []
            body.append(bare)
        elif not _only_types(node) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            body.append(node)
    wanted, taken = {start}, set[int]()
    growing = True
    while growing:
        growing = False
        for i, node in enumerate(body):
            names = _binds(node)
            if i not in taken and (not names or names & wanted):
                taken.add(i)
                wanted |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                growing = True
    return [node for i, node in enumerate(body) if i in taken]


def _imports(node: ast.AST, home: str) -> Iterator[str]:
    """Dotted names that a piece of source imports; parts that are no modules are sorted out by the caller."""
    package = home if _path(home).name == "__init__.py" else home.rpartition(".")[0]
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                above = package.rsplit(".", child.level - 1)[0] if child.level > 1 else package
                base = f"{above}.{base}".rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)


def _closure(names: Iterable[str], roots: set[str]) -> set[str]:
    """Modules reached from some dotted names, inside the given top-level packages."""
    found, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if top not in roots or name in roots or name in found or name.startswith(CARRIERS):
            continue
        try:
            path = _path(name)
        except ModuleNotFoundError:
            continue  # a function or class, not a module
        found.add(name)
        todo.append(name.rpartition(".")[0])
        todo.extend(_imports(_tree(path), name))
    return found
