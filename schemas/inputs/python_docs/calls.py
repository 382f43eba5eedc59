"""The calls in the bodies of a distribution's functions, in order, by the full names that its imports give them.

A call counts where the first name of its dotted expression was imported, or assigned from such a name, at the top of the
module or in the function; a name that a function binds otherwise (an argument, a variable) hides an imported one.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fingerpost.schemas.inputs.python_docs.distributions import SourceFile, source_files
from fingerpost.schemas.inputs.python_docs.expressions import dotted
from fingerpost.schemas.python_source import parsed

_SCOPES = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef})
_IMPORTS = frozenset({ast.Import, ast.ImportFrom})
#: Kinds of nodes, and fields, in which there is nothing to look for.
_LEFT_OUT = (ast.Constant, ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)
_NO_NODES = frozenset(
    {"ctx", "op", "ops", "id", "attr", "arg", "kind", "type_comment", "conversion", "is_async", "simple"}
)
#: Imported names by what they stand for.
Names = dict[str, str]


@dataclass(frozen=True)
class FunctionCalls:
    """What a function of a module calls, in the order of the source."""

    module: str
    function: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class DistributionCalls:
    """The functions of a distribution that call something, by module, and its number of unparsed sources."""

    functions: tuple[FunctionCalls, ...]
    unparsed: int


def calls_of(distribution: str) -> DistributionCalls:
    """The calls of an installed distribution; nothing is imported. InputError if it is missing."""
    functions: list[FunctionCalls] = []
    unparsed = 0
    for file in source_files(distribution):
        if file.path.suffix != ".py":
            continue  # a stub has no bodies
        try:
            functions += calls_in(file)
        except (OSError, SyntaxError, ValueError, RecursionError):
            unparsed += 1
    return DistributionCalls(tuple(functions), unparsed)


def calls_in(file: SourceFile) -> list[FunctionCalls]:
    """The calls of each function of a source, in the order of the source.

    Functions of one name are numbered from the second on. OSError, SyntaxError or ValueError if it cannot be parsed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        tree = parsed(file.path.read_bytes())
    return calls_in_tree(tree, file)


def calls_in_tree(tree: ast.Module, file: SourceFile) -> list[FunctionCalls]:
    """The calls of each function of a parsed source, see `calls_in`."""
    names: Names = {}
    module = _scope(tree.body)
    _import(module, file, names)
    _alias(tree.body, names)
    found: list[FunctionCalls] = []
    seen: dict[str, int] = {}
    for function, calls in _functions(module, "", names, file):
        seen[function] = count = seen.get(function, 0) + 1
        found.append(FunctionCalls(file.module, function if count == 1 else f"{function}#{count}", tuple(calls)))
    return found


def _functions(scope: "_Scope", prefix: str, names: Names, file: SourceFile) -> Iterator[tuple[str, list[str]]]:
    """The names and calls of the functions of a scope, and of those in them."""
    for node in scope.inner:
        inner = _scope(node.body)
        if isinstance(node, ast.ClassDef):
            yield from _functions(inner, f"{prefix}{node.name}.", names, file)
            continue
        hidden = inner.bound | _arguments(node.args)
        known = {name: target for name, target in names.items() if name not in hidden}
        _import(inner, file, known)
        _alias(node.body, known)
        if calls := _calls(inner, known):
            yield prefix + node.name, calls
        yield from _functions(inner, f"{prefix}{node.name}.<locals>.", known, file)


def _calls(scope: "_Scope", names: Mapping[str, str]) -> list[str]:
    calls = sorted(scope.calls, key=lambda call: (call.lineno, call.col_offset))
    return [target for call in calls if (target := _target(call.func, names))]


def _target(node: ast.expr, names: Mapping[str, str]) -> str:
    """The full name of an expression of dotted names; empty if its first name is not imported."""
    first, point, rest = dotted(node).partition(".")
    return names[first] + point + rest if first in names else ""


@dataclass
class _Scope:
    """What a function, a class or a module has but for what is in its functions and classes, in the order of the source.

    bound: the names of its variables, functions and classes.
    """

    imports: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    calls: list[ast.Call] = field(default_factory=list)
    inner: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)


def _scope(body: Sequence[ast.stmt]) -> _Scope:
    """The scope of a body. One pass, since it is most of the work that is not parsing."""
    found = _Scope()
    waiting: list[Any] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is ast.Name:
            if type(node.ctx) is ast.Store:
                found.bound.add(node.id)
            continue
        if kind is ast.Call:
            found.calls.append(node)
        elif kind in _SCOPES:
            found.bound.add(node.name)
            found.inner.append(node)
            continue
        elif kind in _IMPORTS:
            found.imports.append(node)
            continue
        elif kind is ast.ExceptHandler and node.name:
            found.bound.add(node.name)
        for name in _FIELDS[kind]:
            value = getattr(node, name, None)
            if type(value) is list:
                waiting.extend(reversed(value))
            elif value is not None:
                waiting.append(value)
    return found


class _Fields(dict[type, tuple[str, ...]]):
    """The fields of a kind of node in which others may be, the last first; none of what is no node to look into."""

    def __missing__(self, kind: type) -> tuple[str, ...]:
        names = reversed(kind._fields) if issubclass(kind, ast.AST) and not issubclass(kind, _LEFT_OUT) else ()
        self[kind] = found = tuple(name for name in names if name not in _NO_NODES)
        return found


_FIELDS = _Fields()


def _import(scope: _Scope, file: SourceFile, names: Names) -> None:
    """Adds the names that a scope imports, those of every branch included."""
    for node in scope.imports:
        if isinstance(node, ast.Import):
            for name in node.names:
                target = name.name if name.asname else name.name.partition(".")[0]
                names[name.asname or target] = target
        else:
            source = _source(node, file)
            for name in node.names:
                if name.name != "*":
                    names[name.asname or name.name] = f"{source}.{name.name}" if source else name.name


def _source(node: ast.ImportFrom, file: SourceFile) -> str:
    """The full name of the module that names are imported from."""
    if not node.level:
        return node.module or ""
    parts = file.module.split(".")
    up = node.level - 1 if file.is_package else node.level
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def _alias(body: Sequence[ast.stmt], names: Names) -> None:
    """Adds the names that the statements of a scope assign from imported ones."""
    for node in body:
        if isinstance(node, ast.Assign) and (target := _target(node.value, names)):
            names.update({name.id: target for name in node.targets if isinstance(name, ast.Name)})


def _arguments(given: ast.arguments) -> set[str]:
    """The names of a function's arguments."""
    single = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    return {argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, *single)}
