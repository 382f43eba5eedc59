"""The hash of the code that a stage runs, which decides what a change of code recomputes.

It covers the stage, the functions of its own file that it uses, every ``tasks`` module, input reader and matrix codec
that these import, and the compiled extensions' ``SOURCE_HASH``. Comments and docstrings do not count, nor does the
declaration that a stage only observes, which does not affect its results.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, TypeVar

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


T = TypeVar("T")
#: What was read within :func:`unchanging_code`: the hash of each stage function, source file and extension.
_known: ContextVar[dict[Hashable, Any] | None] = ContextVar("fingerpost_code", default=None)


@contextmanager
def unchanging_code() -> Iterator[None]:
    """Reads each source file once inside it, and hashes each stage once, for many plans in a row."""
    token = _known.set({} if (known := _known.get()) is None else known)
    try:
        yield
    finally:
        _known.reset(token)


def _read_once(key: Hashable, read: Callable[[], T]) -> T:
    """What ``read`` returns; within :func:`unchanging_code` it is called once for a key."""
    known = _known.get()
    if known is None:
        return read()
    if key not in known:
        known[key] = read()
    found: T = known[key]
    return found


def code_hash(function: Callable[..., Any]) -> str:
    """The hash (hexadecimal) of all code that a stage function runs; StaleExtensionError for an outdated binary."""
    return _read_once(function, lambda: _code_hash(function))


def _code_hash(function: Callable[..., Any]) -> str:
    module = inspect.getmodule(function)
    if module is None or module.__file__ is None:
        raise FingerpostError(
            f"stage {function!r}: expected it in a module with a source file, found none; move it into one"
        )
    texts, modules = _own_code(_text(Path(module.__file__)), function.__name__, module.__name__)
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for name in sorted(_closure(modules)):
        digest.update(f"{name.removeprefix(_PACKAGE)}\0{_module_hash(name)}\0".encode())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1024)
def _own_code(source: str, root: str, module: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """The statements of a source that one of its functions needs, in file order, and the modules that they import from."""
    statements = _statements(source, module)
    defined = {name: statement for statement in statements for name in statement.defines}
    imported: dict[str, set[str]] = {}
    for name, where in (found for statement in statements for found in statement.imports):
        imported.setdefault(name, set()).add(where)
    seen, modules, todo = set(), set[str](), [root]
    while todo:
        name = todo.pop()
        modules |= imported.get(name, set())
        if name in seen or name not in defined:
            continue
        seen.add(name)
        todo += defined[name].uses
    wanted = {id(defined[name]) for name in seen}
    return tuple(statement.text for statement in statements if id(statement) in wanted), frozenset(modules)


@dataclass(frozen=True, eq=False)
class _Statement:
    """A top-level statement of a source: its text as it is hashed, and names.

    defines: names that it binds by a definition or an assignment; uses: names that occur in it; imports: (local name,
    module) pairs.
    """

    text: str
    defines: tuple[str, ...]
    uses: tuple[str, ...]
    imports: tuple[tuple[str, str], ...]


@lru_cache(maxsize=1024)
def _statements(source: str, module: str) -> tuple[_Statement, ...]:
    """The top-level statements of a source."""
    return tuple(_statement(node, module) for node in parsed(source).body)


def _statement(node: ast.stmt, module: str) -> _Statement:
    defines: list[str] = []
    # What a function imports when it runs is what it runs; what is imported to check types is not.
    imports = (
        [] if _is_for_types(node) else [found for inner in _statements_in(node) for found in _imports(inner, module)]
    )
    uses = [name.id for name in ast.walk(node) if isinstance(name, ast.Name)]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        defines.append(node.name)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        defines += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    text = _text_of(node) if defines else ""
    return _Statement(text, tuple(defines), tuple(uses), tuple(imports))


def _is_for_types(node: ast.stmt) -> bool:
    """Whether a statement is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _statements_in(tree: ast.AST) -> Iterator[ast.AST]:
    """A tree and all statements in it, in any depth; expressions contain none."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, block, ())


def _text_of(tree: ast.AST) -> str:
    """The source of a tree without comments, docstrings and ``observes`` declarations; modifies the tree."""
    for node in _statements_in(tree):
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
        name.startswith(_HASHED) and name not in _UNHASHED and ".open." not in f"{name}."
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
            todo += _read(source, name)[0]
    return seen


def _module_hash(name: str) -> str:
    if name.startswith("fingerpost.ext.") and name.removeprefix("fingerpost.ext.") in EXTENSIONS:
        return extension_hash(name.removeprefix("fingerpost.ext."))
    source = _source_of(name)
    assert source is not None
    return _read(source, name)[1]


def _read(source: Path, name: str) -> tuple[tuple[str, ...], str]:
    """The first-party modules that a module imports anywhere, and the hash of its code."""
    module = f"{name}.__init__" if source.name == "__init__.py" else name
    return _read_once((source, module), lambda: _imports_and_hash(_text(source), module))


def _text(source: Path) -> str:
    return _read_once(source, source.read_text)


@lru_cache(maxsize=1024)
def _imports_and_hash(text: str, module: str) -> tuple[tuple[str, ...], str]:
    tree = parsed(text)
    names = {name for node in _statements_in(tree) for _, name in _imports(node, module) if _is_first_party(name)}
    return tuple(sorted(names)), hashlib.sha256(_text_of(tree).encode()).hexdigest()


def extension_hash(name: str) -> str:
    """The hash compiled into an extension; StaleExtensionError if its present sources have another."""
    return _read_once(name, lambda: _extension_hash(name))


def _extension_hash(name: str) -> str:
    compiled = str(import_module(f"fingerpost.ext.{name}").SOURCE_HASH)
    present = source_hash(name)
    if present is not None and compiled != present:
        raise StaleExtensionError(
            f"fingerpost.ext.{name}: expected a build of its present sources ({present}), found one of {compiled};"
            " rebuild: `make build`"
        )
    return compiled
