"""Python sources as syntax trees."""

import ast
from contextlib import suppress


def parsed(source: str | bytes) -> ast.Module:
    """The tree of a source; SyntaxError or ValueError if it is none.

    CPython up to 3.11.7 counts the depth of all threads' trees in one place and raises SystemError for a tree beside which
    another thread made one (python/cpython#106905); such a one is made again.
    """
    for _ in range(99):
        with suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)
