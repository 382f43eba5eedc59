"""The hash of the code that a stage runs, which decides what a change of code recomputes.

It covers the stage, the functions of its own file that it uses, every ``tasks`` module, input reader and matrix codec
that these import, and the compiled extensions' ``SOURCE_HASH``. Comments and docstrings do not count, nor does the
declaration that a stage only observes, which does not affect its results.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from fingerpost.ext.sources import EXTENSIONS, source_hash
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.python_source import parsed

#: The package that ours are installed in. It does not count: artifacts of the time before it had one stay.
_PACKAGE = "fingerpost."
#: Modules whose code determines results. The stage machinery and the loaders only transport them.
_HASHED = ("fingerpost.tasks.", "fingerpost.schemas.matrices", "fingerpost.schemas.inputs")
_UNHASHED = tuple(
    f"fingerpost.tasks.{name}"
    for name in ("stage", "stage_run", "environment", "shards", "ledger", "code", "same_code", "recent")
)


class StaleExtensionError(FingerpostError):
    """A compiled extension was not built from the sources in its folder."""


#: Cached hashes within :func:`unchanging_code`.
_known: ContextVar[dict[Callable[..., Any], str] | None] = ContextVar("fingerpost_code", default=None)


@contextmanager
def unchanging_code() -> Iterator[None]:
    """Caches the hash of each stage inside it, for many plans in a row."""
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def code_hash(function: Callable[..., Any]) -> str:
    """The hash (hexadecimal) of all code that a stage function runs; StaleExtensionError for an outdated binary."""
    known = _known.get()
    if known is None:
        return _code_hash(function)
    if function not in known:
        known[function] = _code_hash(function)
    return known[function]


def _code_hash(function: Callable[..., Any]) -> str:
    module = inspect.getmodule(function)
    if module is None or module.__file__ is None:
        raise FingerpostError(
            f"stage {function!r}: expected it in a module with a source file, found none; move it into one"
        )
    texts, modules = _own_code(Path(module.__file__).read_text(), function.__name__, module.__name__)
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for name in sorted(_closure(modules)):
        digest.update(f"{name.removeprefix(_PACKAGE)}\0{_module_hash(name)}\0".encode())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1024)
def _own_code(source: str, root: str, module: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """The statements of a source that one of its functions needs, and the modules that they import from."""
    nodes, modules = _reachable(parsed(source), root, module)
    return tuple(_text_of(node) for node in nodes), frozenset(modules)


def _text_of(tree: ast.AST) -> str:
    """The source of a tree without comments, docstrings and ``observes`` declarations; modifies the tree."""
    for node in ast.walk(tree):
        # Our modules by their names without the package.
        if isinstance(node, ast.ImportFrom) and node.module:
            node.module = node.module.removeprefix(_PACKAGE)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                alias.name = alias.name.removeprefix(_PACKAGE)
        for decorator in getattr(node, "decorator_list", ()):
            if isinstance(decorator, ast.Call):
                decorator.keywords = [word for word in decorator.keywords if word.arg != "observes"]
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _reachable(tree: ast.Module, root: str, module: str) -> tuple[list[ast.stmt], set[str]]:
    """The top-level statements that a function needs, in file order, and the modules that they import from."""
    defined: dict[str, ast.stmt] = {}
    imported: dict[str, set[str]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            defined.update(
                {name.id: statement for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            )
        else:
            for name, source in _imports(statement, module):
                imported.setdefault(name, set()).add(source)
    seen, modules, todo = set(), set(), [root]
    while todo:
        name = todo.pop()
        modules |= imported.get(name, set())
        if name in seen or name not in defined:
            continue
        seen.add(name)
        todo += [n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name)]
    wanted = {id(defined[name]) for name in seen}
    return [statement for statement in tree.body if id(statement) in wanted], modules


def _imports(statement: ast.AST, module: str) -> Iterator[tuple[str, str]]:
    """The (local name, module) pairs of an import statement; a submodule counts as itself."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield (alias.asname or alias.name).split(".")[0], alias.name
    elif isinstance(statement, ast.ImportFrom):
        package = module.rsplit(".", statement.level)[0] if statement.level else ""
        base = ".".join(part for part in (package, statement.module) if part)
        for alias in statement.names:
            submodule = f"{base}.{alias.name}"
            yield (
                alias.asname or alias.name,
                submodule if _is_first_party(submodule) and _source_of(submodule) else base,
            )


def _is_first_party(name: str) -> bool:
    return name.startswith("fingerpost.ext.") or (
        name.startswith(_HASHED) and name not in _UNHASHED and not name.endswith(".open")
    )


@lru_cache(maxsize=1024)
def _source_of(name: str) -> Path | None:
    """The file of a first-party module, found without running it or its packages, which may import torch."""
    root, *path = name.split(".")
    base = Path(next(iter(import_module(root).__path__))).joinpath(*path)
    endings = (".py", *EXTENSION_SUFFIXES)
    files = [base / "__init__.py", *(base.with_name(base.name + ending) for ending in endings)]
    return next((file for file in files if file.is_file()), None)


def _closure(modules: Iterable[str]) -> set[str]:
    """The first-party modules among ``modules`` and all that they import, transitively."""
    seen: set[str] = set()
    todo = [name for name in modules if _is_first_party(name)]
    while todo:
        name = todo.pop()
        source = _source_of(name)
        if name in seen or source is None:
            continue
        seen.add(name)
        if source.suffix == ".py":
            todo += _imported(source.read_text(), f"{name}.__init__" if source.name == "__init__.py" else name)
    return seen


@lru_cache(maxsize=1024)
def _imported(text: str, module: str) -> tuple[str, ...]:
    """The first-party modules that a source imports anywhere."""
    nodes = ast.walk(parsed(text))
    return tuple(sorted({name for node in nodes for _, name in _imports(node, module) if _is_first_party(name)}))


def _module_hash(name: str) -> str:
    if name.startswith("fingerpost.ext.") and name.removeprefix("fingerpost.ext.") in EXTENSIONS:
        return extension_hash(name.removeprefix("fingerpost.ext."))
    source = _source_of(name)
    assert source is not None
    return _text_hash(source.read_text())


@lru_cache(maxsize=1024)
def _text_hash(text: str) -> str:
    return hashlib.sha256(_text_of(parsed(text)).encode()).hexdigest()


def extension_hash(name: str) -> str:
    """The hash compiled into an extension; StaleExtensionError if its present sources have another."""
    compiled = str(import_module(f"fingerpost.ext.{name}").SOURCE_HASH)
    present = source_hash(name)
    if present is not None and compiled != present:
        raise StaleExtensionError(
            f"fingerpost.ext.{name}: expected a build of its present sources ({present}), found one of {compiled};"
            " rebuild: `make build`"
        )
    return compiled
