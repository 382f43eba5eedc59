"""Expressions that say something without being run: dotted names and lists of names."""

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class Import:
    """The target of an import: a module, or an attribute of one."""

    module: str
    attribute: str | None = None


def dotted(node: ast.expr | None) -> str:
    """``a.b.c`` of an expression of that form; an empty string of any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def exported_parts(value: ast.expr) -> list[str | Import] | None:
    """The parts of a value of ``__all__``: names, and others' ``__all__`` by reference; None if it is computed."""
    match value:
        case ast.List() | ast.Tuple():
            found: list[str | Import] = []
            for item in value.elts:
                inner = item.value if isinstance(item, ast.Starred) else None
                if isinstance(item, ast.Constant) and isinstance(item.value, str):
                    found.append(item.value)
                elif inner is not None and (parts := exported_parts(inner)) is not None:
                    found.extend(parts)
                else:
                    return None
            return found
        case ast.BinOp(op=ast.Add()):
            left, right = exported_parts(value.left), exported_parts(value.right)
            return None if left is None or right is None else left + right
        case ast.Attribute(attr="__all__"):
            return [Import(dotted(value.value), "__all__")]
        case ast.Call(func=ast.Attribute(value=copied, attr="copy")):
            return exported_parts(copied)
        case ast.Call(func=ast.Name(id="list" | "tuple" | "sorted"), args=[argument]):
            return exported_parts(argument)
        case ast.Name(id="__all__"):
            return []
    return None
