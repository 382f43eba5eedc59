"""Signatures as text: from the arguments of a definition, or from the first line of a docstring."""

import ast
import copy
import inspect
import re

_LONGEST = 300
_WRITTEN = re.compile(r"(?P<name>[\w.]+)(?P<signature>\(.*\))(?:\s*->.*|\s*--)?", re.DOTALL)
_PLACEHOLDER = re.compile(r"^[ \t]*%\([\w:]+\)s[ \t]*\n?", re.MULTILINE)  # filled in by decorators at run time


_ORNAMENT = re.compile(r"(?:[=\-~*#]{3,}[ ]*\n|!!! .*\n(?:[ ]{4}.*\n|[ ]*\n)+)+")  # above a heading, or an admonition


def signature(arguments: ast.arguments | None, *, bound: bool) -> str:
    """``(a, axis=-1)``: names and defaults, no annotations; without the first argument if ``bound``.

    A long one is without the values of its defaults. Empty if there are no arguments to know.
    """
    if arguments is None:
        return ""
    plain = _without_annotations(arguments, bound=bound)
    text = f"({ast.unparse(plain)})"
    if len(text) > _LONGEST:
        dots = ast.Constant(...)
        plain.defaults = [dots for _ in plain.defaults]
        plain.kw_defaults = [d and dots for d in plain.kw_defaults]
        text = f"({ast.unparse(plain)})"
    return text


def split_docstring(docstring: str, name: str) -> tuple[str, str]:
    """Written signature and cleaned rest of a docstring; no signature if the first paragraph is something else."""
    text = inspect.cleandoc(docstring).encode(errors="ignore").decode()
    text = _PLACEHOLDER.sub("", text).strip()
    text = text[ornament.end() :] if (ornament := _ORNAMENT.match(text)) else text
    written = ""
    while True:
        first, _, rest = text.partition("\n\n")
        found = _WRITTEN.fullmatch(first.strip())
        if found is None or found["name"].rpartition(".")[2] != name or not rest.strip():
            return written, text
        written = re.sub(r"\s+", " ", found["signature"])
        written = re.sub(r"[,\s]+\)$", ")", re.sub(r"^\(\s+", "(", written))
        text = rest.strip()


def _without_annotations(arguments: ast.arguments, *, bound: bool) -> ast.arguments:
    plain = copy.copy(arguments)
    plain.posonlyargs = [ast.arg(a.arg) for a in arguments.posonlyargs]
    plain.args = [ast.arg(a.arg) for a in arguments.args]
    plain.kwonlyargs = [ast.arg(a.arg) for a in arguments.kwonlyargs]
    plain.vararg = arguments.vararg and ast.arg(arguments.vararg.arg)
    plain.kwarg = arguments.kwarg and ast.arg(arguments.kwarg.arg)
    if bound:
        first = plain.posonlyargs or plain.args
        del first[:1]
        plain.defaults = plain.defaults[max(0, len(plain.defaults) - len(plain.posonlyargs) - len(plain.args)) :]
    return plain
