"""The calls in the bodies of a distribution's functions, in order, by the full names that its imports give them.

A call counts where the first name of its dotted expression was imported, or assigned from such a name, at the top of the
module or in the function; a name that a function binds otherwise (an argument, a variable) hides an imported one.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fingerpost.schemas.inputs.python_docs.distributions import SourceFile, source_files
from fingerpost.schemas.inputs.python_docs.expressions import dotted
from fingerpost.schemas.python_source import parsed

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef)
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
    names: Names = {}
    nodes = list(_within(tree.body))
    _import(nodes, file, names)
    _alias(tree.body, names)
    found: list[FunctionCalls] = []
    seen: dict[str, int] = {}
    for function, calls in _functions(nodes, "", names, file):
        seen[function] = count = seen.get(function, 0) + 1
        found.append(FunctionCalls(file.module, function if count == 1 else f"{function}#{count}", tuple(calls)))
    return found


def _functions(
    nodes: Sequence[ast.AST], prefix: str, names: Names, file: SourceFile
) -> Iterator[tuple[str, list[str]]]:
    """The names and calls of the functions among the nodes of a scope, and of those in them."""
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            yield from _functions(list(_within(node.body)), f"{prefix}{node.name}.", names, file)
        elif isinstance(node, _FUNCTIONS):
            inner = list(_within(node.body))
            hidden = _bound(node.args, inner)
            known = {name: target for name, target in names.items() if name not in hidden}
            _import(inner, file, known)
            _alias(node.body, known)
            if calls := _calls(inner, known):
                yield prefix + node.name, calls
            yield from _functions(inner, f"{prefix}{node.name}.<locals>.", known, file)


def _calls(nodes: Sequence[ast.AST], names: Mapping[str, str]) -> list[str]:
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    return [target for call in calls if (target := _target(call.func, names))]


def _target(node: ast.expr, names: Mapping[str, str]) -> str:
    """The full name of an expression of dotted names; empty if its first name is not imported."""
    first, point, rest = dotted(node).partition(".")
    return names[first] + point + rest if first in names else ""


def _within(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a scope in the order of the source: functions and classes themselves, but nothing inside them."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(reversed(_children(node)))


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes in a node, in order; faster than ``ast.iter_child_nodes``, and without those that only say how a name is
    used.
    """
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST) and name != "ctx":
            found.append(value)
    return found


def _import(nodes: Sequence[ast.AST], file: SourceFile, names: Names) -> None:
    """Adds the names that the nodes of a scope import, those of every branch included."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                target = name.name if name.asname else name.name.partition(".")[0]
                names[name.asname or target] = target
        elif isinstance(node, ast.ImportFrom):
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


def _alias(body: Sequence[ast.AST], names: Names) -> None:
    """Adds the names that the statements of a scope assign from imported ones."""
    for node in body:
        if isinstance(node, ast.Assign) and (target := _target(node.value, names)):
            names.update({name.id: target for name in node.targets if isinstance(name, ast.Name)})


def _bound(given: ast.arguments, nodes: Sequence[ast.AST]) -> set[str]:
    """The names that a function binds: its arguments, variables, functions and classes."""
    single = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    names = {argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, *single)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (*_SCOPES, ast.ExceptHandler)) and node.name:
            names.add(node.name)
    return names
