"""Conditions on the columns of a table, written as expressions: ``kind == "function" and package in ("numpy", "scipy")``.

An expression is parsed, never run: only comparisons of columns with values, and their combinations, are understood.
"""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.errors import UsageError

#: How deep an expression may be nested, and how many characters it may have.
_DEPTH, _CHARACTERS = 50, 10_000

_ORDER: dict[type[ast.cmpop], tuple[Callable[..., Any], type[ast.cmpop]]] = {
    ast.Eq: (pc.equal, ast.Eq),
    ast.NotEq: (pc.not_equal, ast.NotEq),
    ast.Lt: (pc.less, ast.Gt),
    ast.LtE: (pc.less_equal, ast.GtE),
    ast.Gt: (pc.greater, ast.Lt),
    ast.GtE: (pc.greater_equal, ast.LtE),
}
_METHODS: dict[str, Callable[..., Any]] = {"startswith": pc.starts_with, "endswith": pc.ends_with}

_HELP = 'write for example kind == "function" and package in ("numpy", "scipy"), or "sort" in title'


class PredicateError(UsageError):
    """A condition that cannot be understood or does not fit the table."""


@dataclass(frozen=True)
class Predicate:
    """A condition on rows.

    Understood are ``==  !=  <  <=  >  >=``, ``in`` and ``not in`` a list of values, text ``in`` a column of texts,
    ``column.startswith("...")`` and ``.endswith``, and ``and``, ``or``, ``not`` and parentheses around these. A row in
    which a column is null has no value there: it passes no comparison, also not one with ``!=`` or ``not in``.
    """

    text: str
    _tree: ast.expr

    @classmethod
    def of(cls, text: str) -> "Predicate":
        """The condition that an expression states; PredicateError for anything else."""
        if len(text) > _CHARACTERS:
            raise PredicateError(f"filter: expected at most {_CHARACTERS} characters, got {len(text)}; shorten it")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _misread(text) from None
        predicate = cls(text, tree)
        predicate._walk(tree, lambda name: None, 0)
        return predicate

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the condition is about."""
        return frozenset(node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name))

    def mask(self, table: pa.Table) -> np.ndarray:
        """The rows that pass, bool (n,); PredicateError for unknown columns and values of another type."""

        def column(name: str) -> pa.ChunkedArray:
            if name not in table.column_names:
                raise PredicateError(
                    f"filter {self.text!r}: expected a column, got {name!r}; choose from {', '.join(table.column_names)}"
                )
            return table[name]

        found = self._walk(self._tree, column, 0)
        return np.asarray(pc.fill_null(found, False).to_numpy(), dtype=np.bool_)

    def _walk(self, node: ast.expr, column: Callable[[str], Any], depth: int) -> Any:
        """The value of a condition, a nullable boolean column; with columns that are None only what can be understood."""
        if depth > _DEPTH:
            raise PredicateError(f"filter {self.text[:60]!r}...: expected at most {_DEPTH} levels; simplify it")
        if isinstance(node, ast.BoolOp):
            parts = [self._walk(part, column, depth + 1) for part in node.values]
            joined = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
            return None if parts[0] is None else _folded(joined, parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._walk(node.operand, column, depth + 1)
            return None if inner is None else pc.invert(inner)
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            pairs = zip(operands, node.ops, operands[1:], strict=False)
            parts = [self._compared(left, op, right, column) for left, op, right in pairs]
            return None if parts[0] is None else _folded(pc.and_kleene, parts)
        if isinstance(node, ast.Call):
            return self._called(node, column)
        raise _misread(self.text)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, column: Callable[[str], Any]) -> Any:
        if isinstance(op, ast.In | ast.NotIn):
            found = self._member(left, right, column)
            return found if found is None or isinstance(op, ast.In) else pc.invert(found)
        if type(op) not in _ORDER:
            raise _misread(self.text)
        compare, turned = _ORDER[type(op)]
        if isinstance(right, ast.Name):
            left, right, compare = right, left, _ORDER[turned][0]
        value = self._value(right)
        if not isinstance(left, ast.Name):
            raise _misread(self.text)
        values = column(left.id)
        return None if values is None else self._applied(compare, left.id, values, value)

    def _member(self, left: ast.expr, right: ast.expr, column: Callable[[str], Any]) -> Any:
        """A column's value among others, or a text within a column of texts."""
        if isinstance(left, ast.Name) and isinstance(right, ast.Tuple | ast.List | ast.Set):
            listed = [self._value(item) for item in right.elts]
            values = column(left.id)
            if values is None:
                return None
            # Compared one kind with another, a list would pass nothing without a word.
            for value in listed:
                self._scalar(left.id, values, value)
            if any(isinstance(value, float) for value in listed):
                values = values.cast(pa.float64())
            among = pc.is_in(values, value_set=pa.array(listed, values.type))
            return pc.if_else(pc.is_valid(values), among, pa.scalar(None, pa.bool_()))
        if isinstance(right, ast.Name) and isinstance(left, ast.Constant) and isinstance(left.value, str):
            values = column(right.id)
            return None if values is None else self._applied(pc.match_substring, right.id, values, left.value)
        raise _misread(self.text)

    def _called(self, node: ast.Call, column: Callable[[str], Any]) -> Any:
        function = node.func
        if (
            not isinstance(function, ast.Attribute)
            or function.attr not in _METHODS
            or not isinstance(function.value, ast.Name)
            or len(node.args) != 1
            or node.keywords
        ):
            raise _misread(self.text)
        text = self._value(node.args[0])
        if not isinstance(text, str):
            raise _misread(self.text)
        values = column(function.value.id)
        return None if values is None else self._applied(_METHODS[function.attr], function.value.id, values, text)

    def _value(self, node: ast.expr) -> str | int | float | bool:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._value(node.operand)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
            return node.value
        raise _misread(self.text)

    def _applied(self, compare: Callable[..., Any], name: str, values: pa.ChunkedArray, value: Any) -> Any:
        scalar = self._scalar(name, values, value)
        if compare in (pc.match_substring, *_METHODS.values()):
            return compare(values, pattern=value)
        return compare(values, scalar)

    def _scalar(self, name: str, values: pa.ChunkedArray, value: Any) -> pa.Scalar:
        """A value of the column's kind; PredicateError for another kind."""
        texts, truths = isinstance(value, str), isinstance(value, bool)
        kind = values.type
        of_texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        of_numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (of_texts if texts else pa.types.is_boolean(kind) if truths else of_numbers):
            raise PredicateError(
                f"filter {self.text!r}: expected a value of {name}'s type {kind}, got {value!r}; {_HELP}"
            )
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise PredicateError(
                f"filter {self.text!r}: expected a number of 64 bits, got {value}; choose a smaller one"
            )
        return pa.scalar(value)


def combined(texts: Iterable[str]) -> Callable[[pa.Table], np.ndarray | None]:
    """What finds the rows that pass all of several conditions: bool (n,), None where there are no conditions."""
    predicates = [Predicate.of(text) for text in texts]

    def mask(table: pa.Table) -> np.ndarray | None:
        masks = [predicate.mask(table) for predicate in predicates]
        return np.logical_and.reduce(masks) if masks else None

    return mask


def _folded(joined: Callable[..., Any], parts: list[Any]) -> Any:
    found = parts[0]
    for part in parts[1:]:
        found = joined(found, part)
    return found


def _misread(text: str) -> PredicateError:
    return PredicateError(f"filter: expected a condition on columns, got {text[:200]!r}; {_HELP}")
