"""Which objects of a package say that they mirror one of another package: by decorators, and by what makes them.

``@derived_from(np.fft)`` above a function says that it mirrors that of its name in ``numpy.fft``; a function that is made
by a wrapper of another one, as ``add = ufunc(np.add)``, mirrors that one.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from fingerpost.schemas.inputs.python_docs.expressions import dotted
from fingerpost.schemas.inputs.python_docs.modules import Module
from fingerpost.schemas.inputs.python_docs.objects import Package, wrapped

#: The decorator, whose first argument is where the function is that another one is derived from.
DECORATOR = "derived_from"
#: Where an object is defined, and what it mirrors.
Mirror: TypeAlias = tuple[tuple[str, str], str]


def mirrored(package: Package) -> Iterator[Mirror]:
    """Where an object is defined (module, qualified name), and the full name of what it says to mirror."""
    for name, tree in package.trees.items():
        module = package.modules[name]
        for qualname, place in _decorated(tree.body, ""):
            if target := _full(place, module):
                yield (name, qualname), f"{target}.{qualname.rpartition('.')[2]}"
        for names, made_of in wrapped(tree):
            if target := _full(made_of, module):
                yield (name, names[0]), target


def _decorated(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    """The qualified names of decorated functions, and the expression in the decorator."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _decorated(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.With | ast.Try):
            yield from _decorated(node.body, prefix)
        elif isinstance(node, ast.FunctionDef):
            for one in node.decorator_list:
                if isinstance(one, ast.Call) and one.args and dotted(one.func).rpartition(".")[2] == DECORATOR:
                    yield prefix + node.name, dotted(one.args[0])


def _full(expression: str, module: Module) -> str:
    """The full name that an expression stands for by the imports of a module; empty if its first name is not imported."""
    first, dot, rest = expression.partition(".")
    for found in reversed(module.imports.get(first, [])):
        return ".".join(filter(None, (found.module, found.attribute))) + dot + rest
    return ""
