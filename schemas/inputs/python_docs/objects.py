"""The objects of a package as a graph: modules, classes, functions and methods, what they take, call, raise and extend.

Read from sources and stubs; nothing is imported.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fingerpost.schemas.inputs.python_docs.calls import calls_in_tree
from fingerpost.schemas.inputs.python_docs.distributions import SourceFile, source_files
from fingerpost.schemas.inputs.python_docs.documents import document
from fingerpost.schemas.inputs.python_docs.expressions import dotted
from fingerpost.schemas.inputs.python_docs.modules import Definition, Module, module_of
from fingerpost.schemas.inputs.python_docs.names import PublicObject, public_objects
from fingerpost.schemas.inputs.python_docs.namespaces import ModuleName, Namespaces
from fingerpost.schemas.inputs.python_docs.sections import split_see_also, split_sentence
from fingerpost.schemas.inputs.python_docs.signatures import signature
from fingerpost.schemas.python_source import parsed

#: What makes a function of another one, which is its first argument, and documents it by that.
WRAPPERS = frozenset({"ufunc", "wrap_elemwise", "fft_wrap"})
#: Functions that only a stub declares, by the type that it says they are.
_STUB_FUNCTION = re.compile(r"_G?UFunc_\w+|ufunc")
#: How a source writes the package whose names these are.
_PREFIX = re.compile(r"\b(?:np|numpy)\.(?:\w+\.)*")
_PARAMETER = re.compile(r"\s*\*{0,2}([A-Za-z_]\w*)\s*(?:[:=].*)?", re.DOTALL)


@dataclass(frozen=True)
class CodeObject:
    """An object: its id (the full name), kind, name, the first sentence of its own docstring, and its signature.

    aliases: its other full names. parameters: names, without that of the object itself.
    """

    id: str
    kind: str
    name: str
    summary: str
    signature: str
    aliases: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass
class Package:
    """The sources of a package: files by module, their trees, and what they bind."""

    name: str
    files: dict[str, SourceFile] = field(default_factory=dict)
    trees: dict[str, ast.Module] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)

    def spaces(self) -> Namespaces:
        """The names of its modules."""
        return Namespaces(self.modules)


@dataclass(frozen=True)
class CodeGraph:
    """The public objects of a package, and relations (head, relation, tail): those of objects are between ids.

    ``takes`` leads to the name of a parameter, ``raises`` to the name of an exception. places: ids by where objects are
    defined: module and qualified name.
    """

    objects: tuple[CodeObject, ...]
    relations: frozenset[tuple[str, str, str]]
    places: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def by_name(self) -> dict[str, str]:
        """Ids by all full names."""
        named: dict[str, str] = {}
        for one in self.objects:
            for name in (one.id, *one.aliases):
                named.setdefault(name, one.id)
        return named


def package_of(distribution: str, name: str, *, left_out: Sequence[str] = ()) -> Package:
    """The sources of a package of an installed distribution, without modules below ``left_out``; InputError if missing.

    Overloaded functions, those that only a stub declares, and those made by ``WRAPPERS`` are definitions too.
    """
    found = Package(name)
    for file in source_files(distribution):
        if not _below(file.module, [name]) or _below(file.module, left_out):
            continue
        try:
            tree = _tree(file)
            module = module_of(tree, file)
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        found.files[file.module], found.trees[file.module], found.modules[file.module] = file, tree, module
        _add_overloaded(module.definitions, tree.body, module, "")
        _add_wrapped(module, tree)
        stub = file.path.with_suffix(".pyi")
        if file.path.suffix == ".py" and stub.is_file():
            _add_stub(module, _tree(SourceFile(file.module, stub, file.is_package)))
    return found


def code_graph(package: Package) -> CodeGraph:
    """The graph of the public objects of a package."""
    spaces = package.spaces()
    chosen = [one for one in public_objects(spaces) if _below(one.name, [package.name])]
    ids = _ids(chosen)
    objects = tuple(_object(ids[id(one)], one) for one in chosen if id(one) in ids)
    relations = {*_members(objects), *_taken(objects)}
    known = {(one.module, one.qualname): ids[id(one)] for one in chosen if id(one) in ids}
    named = CodeGraph(objects, frozenset()).by_name()
    relations |= {*_called(package, spaces, known, named), *_within(package, known)}
    relations |= {*_extended(chosen, ids, spaces, known)}
    return CodeGraph(objects, frozenset(relations), known)


def _below(name: str, roots: Sequence[str]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def _tree(file: SourceFile) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        return parsed(file.path.read_bytes())


def _add_overloaded(scope: dict[str, Definition], body: Sequence[ast.stmt], module: Module, prefix: str) -> None:
    """Adds functions and methods of which a source or stub has overloads alone, as the first of these."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name in scope:
            _add_overloaded(scope[node.name].members, node.body, module, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and node.name not in scope:
            kind = "method" if prefix else "function"
            scope[node.name] = Definition(module.name, prefix + node.name, kind, None, node.args, bool(prefix))


def _add_stub(module: Module, stub: ast.Module) -> None:
    """Adds the compiled functions that the stub of a module declares by their type."""
    for node in stub.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            kind = node.annotation.value if isinstance(node.annotation, ast.Subscript) else node.annotation
            if _STUB_FUNCTION.fullmatch(dotted(kind)):
                made = Definition(module.name, node.target.id, "function", None)
                module.definitions.setdefault(node.target.id, made)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    module.aliases.setdefault(target.id, node.value.id)


def _add_wrapped(module: Module, tree: ast.Module) -> None:
    for names, _ in wrapped(tree):
        made = Definition(module.name, names[0], "function", None)
        for name in names:
            module.definitions.setdefault(name, made)


def wrapped(tree: ast.Module) -> Iterator[tuple[list[str], str]]:
    """The names that a module gives to functions made by ``WRAPPERS``, and the expression of what each is made of."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            made_of = dotted(node.value.args[0])
            if names and made_of and dotted(node.value.func) in WRAPPERS:
                yield names, made_of


def _ids(objects: Sequence[PublicObject]) -> dict[int, str]:
    """Ids by ``id()`` of the object: the full name, with the kind where another object has it."""
    taken: set[str] = set()
    ids: dict[int, str] = {}
    for one in objects:
        key = one.name if one.name not in taken else f"{one.name}:{one.kind}"
        if key not in taken:
            taken.add(key)
            ids[id(one)] = key
    return ids


def _object(key: str, one: PublicObject) -> CodeObject:
    row = document(one, package="") or {"text": "", "signature": ""}
    text, _ = split_see_also(row["text"])
    definition = one.definition
    known = definition is not None and signature(definition.arguments, bound=definition.bound)
    written = known or row["signature"]
    # A default is the same value, however the package that has it is imported.
    written = _PREFIX.sub("", written)
    summary = split_sentence(text)[0]
    name = one.name.rpartition(".")[2]
    return CodeObject(key, one.kind, name, summary, written, one.aliases, _parameters(one, written))


def _parameters(one: PublicObject, written: str) -> tuple[str, ...]:
    arguments = one.definition.arguments if one.definition is not None else None
    if arguments is None:
        parts = _split(re.sub(r"[\[\]]", "", written).strip()[1:-1])
        found = [match[1] for part in parts if (match := _PARAMETER.fullmatch(part))]
        return tuple(dict.fromkeys(found))
    positional = [*arguments.posonlyargs, *arguments.args]
    if one.definition is not None and one.definition.bound:
        positional = positional[1:]
    return tuple(argument.arg for argument in (*positional, *arguments.kwonlyargs))


def _split(text: str) -> list[str]:
    """The parts of a text between commas that are in no parentheses."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _members(objects: Sequence[CodeObject]) -> Iterator[tuple[str, str, str]]:
    """What modules and classes have, by names: modules have modules, classes and functions, classes have methods."""
    named = {name: one.id for one in reversed(objects) for name in (one.id.partition(":")[0],)}
    for one in objects:
        holder = named.get(one.id.partition(":")[0].rpartition(".")[0])
        if holder is not None and holder != one.id:
            yield holder, f"has {one.kind}", one.id


def _taken(objects: Sequence[CodeObject]) -> Iterator[tuple[str, str, str]]:
    for one in objects:
        for name in one.parameters:
            yield one.id, "takes", name


def _called(
    package: Package, spaces: Namespaces, known: dict[tuple[str, str], str], named: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """The public objects of the package that public functions of it call."""
    for name, file in package.files.items():
        if file.path.suffix != ".py":
            continue
        for one in calls_in_tree(package.trees[name], file):
            caller = known.get((name, one.function))
            for call in one.calls if caller is not None else ():
                called = _resolved(call, spaces, known) or named.get(call)
                if caller is not None and called is not None and called != caller:
                    yield caller, "calls", called


def _resolved(call: str, spaces: Namespaces, known: dict[tuple[str, str], str]) -> str | None:
    """The id of what a full name stands for, by the longest module that begins it."""
    parts = call.split(".")
    for stop in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:stop])
        if module in spaces.modules:
            found = spaces.expression(module, ".".join(parts[stop:]))
            if isinstance(found, ModuleName) or found is None:
                return None
            return known.get((found.module, found.qualname))
    return None


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions of a module and the methods of its classes, with their names."""
    waiting: list[tuple[str, Sequence[ast.stmt]]] = [("", tree.body)]
    while waiting:
        prefix, body = waiting.pop()
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + node.name, node
            elif isinstance(node, ast.ClassDef):
                waiting.append((f"{prefix}{node.name}.", node.body))
            elif isinstance(node, ast.If | ast.With | ast.Try):
                waiting.append((prefix, node.body))


def _within(package: Package, known: dict[tuple[str, str], str]) -> Iterator[tuple[str, str, str]]:
    """The public objects of its own module that a public function calls, and the names of the exceptions that it raises."""
    for module, tree in package.trees.items():
        for name, node in _functions(tree):
            owner = known.get((module, name))
            for one in ast.walk(node) if owner is not None else ():
                if owner is None:
                    continue
                if isinstance(one, ast.Call) and isinstance(one.func, ast.Name):
                    called = known.get((module, one.func.id))
                    if called is not None and called != owner:
                        yield owner, "calls", called
                elif isinstance(one, ast.Raise) and one.exc is not None:
                    target = one.exc.func if isinstance(one.exc, ast.Call) else one.exc
                    raised = dotted(target).rpartition(".")[2]
                    if raised and raised[0].isupper():
                        yield owner, "raises", raised


def _extended(
    objects: Sequence[PublicObject], ids: dict[int, str], spaces: Namespaces, known: dict[tuple[str, str], str]
) -> Iterator[tuple[str, str, str]]:
    for one in objects:
        if one.definition is None or one.kind != "class" or id(one) not in ids:
            continue
        for base in one.definition.bases:
            found = spaces.expression(one.definition.module, base)
            target = known.get((found.module, found.qualname)) if isinstance(found, Definition) else None
            if target is not None and target != ids[id(one)]:
                yield ids[id(one)], "extends", target
