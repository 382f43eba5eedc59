"""One source file as a module: its definitions, imports, aliases, ``__all__``, and docstrings given from outside."""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fingerpost.schemas.inputs.python_docs.distributions import SourceFile
from fingerpost.schemas.inputs.python_docs.expressions import Import, dotted, exported_parts
from fingerpost.schemas.python_source import parsed


@dataclass(eq=False)
class Definition:
    """A class, function or method where it is defined; ``kind`` is "class", "function" or "method".

    ``bound`` says that the first argument is not given by the caller. ``accessors`` are attributes of a class that
    give an object of another one (``Series.str``). ``instance_of`` is the class of an object that is documented by it.
    """

    module: str
    qualname: str
    kind: str
    docstring: str | None
    arguments: ast.arguments | None = None
    bound: bool = False
    bases: tuple[str, ...] = ()
    members: dict[str, "Definition"] = field(default_factory=dict, repr=False)
    accessors: dict[str, str] = field(default_factory=dict)
    instance_of: "Definition | None" = None

    @property
    def name(self) -> str:
        """The last part of the name, without the enclosing classes."""
        return self.qualname.rpartition(".")[2]


@dataclass(frozen=True)
class GivenDocstring:
    """A docstring attached by ``add_newdoc(place, name, doc)``; ``member`` is that of a class, or empty."""

    place: str
    name: str
    member: str
    docstring: str


@dataclass
class Module:
    """A parsed source. ``exported`` holds the parts of ``__all__`` (names, or references to another module's
    ``__all__`` as ``Import``); None if there is none or it is computed. ``calls`` maps names to what was called
    to make them.
    """

    name: str
    is_package: bool
    docstring: str | None = None
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, list[Import]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    exported: list[str | Import] | None = None
    given: list[GivenDocstring] = field(default_factory=list)


def parsed_module(file: SourceFile) -> Module:
    """The module of a source file. Raises OSError, SyntaxError or ValueError if it cannot be read or parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        tree = parsed(file.path.read_bytes())
    return module_of(tree, file)


def module_of(tree: ast.Module, file: SourceFile) -> Module:
    """The module of a source file that was parsed."""
    module = Module(file.module, file.is_package, ast.get_docstring(tree, clean=False))
    computed = False
    for statement in _statements(tree.body):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                _define(module.definitions, _definition(statement, module.name, prefix="", kind="function"), statement)
            case ast.Import():
                for name in statement.names:
                    target = name.name if name.asname else name.name.partition(".")[0]
                    _bind(module.imports, name.asname or target, Import(target))
            case ast.ImportFrom():
                _import_from(module, statement)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                names = [t.id for t in targets if isinstance(t, ast.Name)]
                if names == ["__all__"] and statement.value is not None:
                    computed |= not _export(module, statement.value, more=isinstance(statement, ast.AugAssign))
                elif names and not isinstance(statement, ast.AugAssign):
                    _assign(module, names, statement.value)
            case ast.Expr(value=ast.Call() as call):
                computed |= not _call(module, call)
    if computed:
        module.exported = None
    return module


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run on import, those of every branch included."""
    for statement in body:
        match statement:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                continue
            case ast.If() | ast.For():
                yield from _statements([*statement.body, *statement.orelse])
            case ast.Try():
                handlers = [s for handler in statement.handlers for s in handler.body]
                yield from _statements([*statement.body, *handlers, *statement.orelse, *statement.finalbody])
            case ast.With():
                yield from _statements(statement.body)
            case _:
                yield statement


def _definition(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, module: str, *, prefix: str, kind: str
) -> Definition:
    docstring = ast.get_docstring(node, clean=False)
    qualname = prefix + node.name
    decorators = {_decorator(d) for d in node.decorator_list}
    if not isinstance(node, ast.ClassDef):
        is_property = any(d.endswith("property") for d in decorators)
        bound = kind == "method" and "staticmethod" not in decorators
        return Definition(module, qualname, kind, docstring, None if is_property else node.args, bound)
    bases = tuple(filter(None, (dotted(b.value if isinstance(b, ast.Subscript) else b) for b in node.bases)))
    found = Definition(module, qualname, "class", docstring, None, True, bases)
    for statement in _statements(node.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            member = _definition(statement, module, prefix=qualname + ".", kind="method")
            _define(found.members, member, statement)
            if member.name == "__init__" or (member.name == "__new__" and found.arguments is None):
                found.arguments = member.arguments
        elif isinstance(statement, ast.Assign) and (target := _accessor(statement.value)):
            found.accessors.update({t.id: target for t in statement.targets if isinstance(t, ast.Name)})
    return found


def _decorator(node: ast.expr) -> str:
    return dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def _accessor(value: ast.expr) -> str:
    """``StringMethods`` of ``Accessor("str", StringMethods)``; an empty string of anything else."""
    is_accessor = isinstance(value, ast.Call) and dotted(value.func).endswith("Accessor") and len(value.args) == 2
    return dotted(value.args[1]) if is_accessor and isinstance(value, ast.Call) else ""


def _define(scope: dict[str, Definition], found: Definition, node: ast.stmt) -> None:
    """Adds a definition; overloads, setters and later ones without a docstring do not replace a documented one."""
    decorators = {_decorator(d) for d in getattr(node, "decorator_list", [])}
    if decorators & {"overload", "setter", "deleter"}:
        return
    known = scope.get(found.name)
    if known is None or found.docstring or not known.docstring:
        scope[found.name] = found


def _bind(imports: dict[str, list[Import]], name: str, found: Import) -> None:
    imports.setdefault(name, []).append(found)


def _import_from(module: Module, statement: ast.ImportFrom) -> None:
    source = statement.module or ""
    if statement.level:
        parts = module.name.split(".")
        up = statement.level - 1 if module.is_package else statement.level
        source = ".".join([*parts[: len(parts) - up], *([source] if source else [])])
    for name in statement.names:
        if name.name == "*":
            module.stars.append(source)
        else:
            _bind(module.imports, name.asname or name.name, Import(source, name.name))


def _assign(module: Module, names: list[str], value: ast.expr | None) -> None:
    if target := dotted(value):
        module.aliases.update(dict.fromkeys(names, target))
    elif isinstance(value, ast.Call) and (target := dotted(value.func)):
        module.calls.update(dict.fromkeys(names, target))


def _export(module: Module, value: ast.expr, *, more: bool) -> bool:
    """Whether the value of ``__all__`` could be read; its parts replace the former ones, or are added."""
    parts = exported_parts(value)
    if parts is None:
        return False
    module.exported = [*(module.exported or []), *parts] if more else parts
    return True


def _call(module: Module, call: ast.Call) -> bool:
    """Reads ``__all__.extend(...)``, ``__all__.append(...)`` and ``add_newdoc(...)``; False if the first cannot be."""
    name = dotted(call.func)
    if name == "__all__.extend" and call.args:
        return _export(module, call.args[0], more=True)
    if name == "__all__.append" and call.args:
        return _export(module, ast.List(elts=[call.args[0]]), more=True)
    if name.rpartition(".")[2] == "add_newdoc":
        _add_newdoc(module, call.args)
    elif name == "_array_method_doc" and len(call.args) == 3:  # numpy: (name, parameters, doc)
        place, owner = ast.Constant("numpy._core.multiarray"), ast.Constant("ndarray")
        _add_newdoc(module, [place, owner, ast.Tuple(elts=[call.args[0], call.args[2]])])
    return True


def _add_newdoc(module: Module, arguments: list[ast.expr]) -> None:
    if len(arguments) == 2:  # those of the package's compiled functions: (name, doc)
        place, (name, doc) = module.name.rpartition(".")[0] + "._ufuncs", arguments
    elif len(arguments) == 3 and isinstance(arguments[0], ast.Constant):
        place, name, doc = str(arguments[0].value), arguments[1], arguments[2]
    else:
        return
    member = ""
    if isinstance(doc, ast.Tuple) and len(doc.elts) == 2 and isinstance(doc.elts[0], ast.Constant):
        member, doc = str(doc.elts[0].value), doc.elts[1]
    while isinstance(doc, ast.Call) and isinstance(doc.func, ast.Attribute):  # textwrap.dedent(doc), doc.format(...)
        of_literal = not dotted(doc.func) or not doc.args
        doc = doc.func.value if of_literal else doc.args[0]
    if isinstance(doc, ast.Constant) and isinstance(doc.value, str) and isinstance(name, ast.Constant):
        module.given.append(GivenDocstring(place, str(name.value), member, doc.value))
