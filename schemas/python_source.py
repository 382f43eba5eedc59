"""Python sources as syntax trees."""

import ast
from contextlib import suppress


def parsed(source: str | bytes) -> ast.Module:
    """The syntax tree of a source; SyntaxError or ValueError if it cannot be parsed.

    CPython up to 3.11.7 counts the recursion depth of all threads' parsers together and may raise SystemError if
    several parse concurrently (python/cpython#106905); parsing is retried then.
    """
    for _ in range(99):
        with suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)
