"""Contracts: the tables of an artifact, their columns, and the check of every table that is read or written."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from fingerpost.schemas.errors import ContractError
from fingerpost.schemas.fields import Field
from fingerpost.schemas.refs import checked_name

#: Rows of tables that are checked in Python: importing Arrow's functions takes longer, which commands would wait for. They
#: are imported where they are called.
_FEW = 2_000


@dataclass(frozen=True)
class Table:
    """A named table: its columns in order, its key, and a check across columns if it needs one.

    key: columns that are unique within a file. rule: returns the violation found, or an empty string. compression: of
    the stored file: "zstd" for text, "none" for numbers that do not compress. holds_keys: columns that may hold a
    user's key to be forgotten, if these are not ``id`` alone. spelled: those of them whose texts are the same key in
    every spelling. forms: columns with the form in which such texts are compared. parts: columns with parts of users'
    texts, such as words, which remain of a forgotten text where no other has them. terms: columns with what was made of
    texts, such as stems, of which the same holds. own_words: whether its texts are the program's, such as reasons and
    names of metrics, so that a single word in them is no user's. form: of the stored file; "arrow" is an uncompressed Arrow
    file, which can be opened without reading it.
    """

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()
    rule: Callable[[pa.Table], str] | None = None
    compression: str = "zstd"
    holds_keys: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    own_words: bool = False
    form: Literal["parquet", "arrow"] = "parquet"

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns in which a user's key stands that can be forgotten."""
        return self.holds_keys or tuple(column.name for column in self.fields if column.name == "id")

    def check(self, table: pa.Table, *, where: str) -> pa.Table:
        """The table itself if it satisfies the contract; otherwise ContractError naming ``where`` and the column."""
        self.check_schema(table, where=where)
        for column in self.fields:
            _check_column(column, table.column(column.name), where=where)
        if self.key and table.num_rows and not _distinct(table, self.key):
            import pyarrow.compute as pc

            groups = table.select(list(self.key)).group_by(list(self.key)).aggregate([([], "count_all")])
            twice = groups.filter(pc.greater(groups["count_all"], 1)).slice(0, 1).to_pylist()[0]
            _fail(where, f"unique {', '.join(self.key)}", f"{twice.pop('count_all')} rows with {twice}")
        if self.rule is not None and (wrong := self.rule(table)):
            _fail(where, "consistent columns", wrong)
        return table

    def check_schema(self, table: pa.Table, *, where: str) -> None:
        """ContractError unless names and types of the columns are as expected; reads no value."""
        expected, found = [f.name for f in self.fields], table.column_names
        if found != expected:
            _fail(where, f"columns {expected}", f"columns {found}")
        for column in self.fields:
            kind = table.column(column.name).type
            if not column.accepts(kind):
                _fail(f"{where}, column '{column.name}'", f"type {column.expected}", f"type {kind}")


@dataclass(frozen=True)
class Contract:
    """The type of an artifact: name, version, tables, description, and the oldest version that is still readable."""

    name: str
    version: int
    tables: tuple[Table, ...]
    about: str
    readable_from: int = field(default=1)

    def __post_init__(self) -> None:
        checked_name(self.name, what="contract")

    def table(self, name: str) -> Table:
        """The table of that name; ContractError if the contract has none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise ContractError(
            f"{self.name}: expected one of the tables {[t.name for t in self.tables]}, got {name!r}; use one of them"
        )

    def schema(self) -> dict[str, dict[str, str]]:
        """The types of the columns by table, as recorded in the manifest."""
        return {t.name: {f.name: f.expected for f in t.fields} for t in self.tables}


def _distinct(table: pa.Table, key: tuple[str, ...]) -> bool:
    """Whether a key has other values in each row; without grouping, for which Arrow imports pandas."""
    columns = [table[name] for name in key]
    if table.num_rows <= _FEW:
        return len(set(zip(*(column.to_pylist() for column in columns), strict=True))) == table.num_rows
    import pyarrow.compute as pc

    numbers = columns[0].unique() if len(columns) == 1 else _numbered(columns[0])
    for column in columns[1:]:
        # Below 2^31 rows, the product of two numbers of rows fits into 64 bits.
        both = pc.add(pc.multiply(numbers, table.num_rows), _numbered(column))
        numbers = both.unique() if column is columns[-1] else _numbered(both)
    return len(numbers) == table.num_rows


def _numbered(column: "pa.ChunkedArray") -> "pa.Array":
    """The values of a column, nulls too, as numbers that are equal where these are: int64."""
    import pyarrow.compute as pc

    joined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pc.dictionary_encode(joined, null_encoding="encode").indices.cast(pa.int64())


def _fail(where: str, expected: str, found: str) -> None:
    raise ContractError(f"{where}: expected {expected}, found {found}; fix the producer, or rebuild the artifact")


def _check_column(column: Field, data: pa.ChunkedArray, *, where: str) -> None:
    here = f"{where}, column '{column.name}'"
    if data.null_count and not column.nullable:
        _fail(here, "no nulls", f"{data.null_count} nulls")
    if not len(data) or not (column.nonempty or column.finite):
        return
    empty, bad = _few_wrong(column, data) if len(data) <= _FEW and not column.vector else _many_wrong(column, data)
    if empty:
        _fail(here, "no empty strings", f"{empty} of them")
    if bad:
        _fail(here, "finite numbers", f"{bad} that are NaN or infinite")


def _few_wrong(column: Field, data: pa.ChunkedArray) -> tuple[int, int]:
    """The number of empty texts, where none may be, and of numbers that are not finite, where all have to be."""
    values = data.to_pylist()
    empty = sum(value is not None and not len(value) for value in values) if column.nonempty else 0
    return empty, sum(value is not None and not math.isfinite(value) for value in values) if column.finite else 0


def _many_wrong(column: Field, data: pa.ChunkedArray) -> tuple[int, int]:
    """The same of many rows, and of vectors, in which a null is a missing number."""
    import pyarrow.compute as pc

    empty = bad = 0
    # Found by the minimum: comparing with a Python number would import pandas, which takes longer than most reading.
    if column.nonempty and pc.min(pc.binary_length(data)).as_py() == 0:
        empty = pc.sum(pc.equal(pc.binary_length(data), 0)).as_py()
    for chunk in data.chunks if column.finite else ():
        values = chunk.flatten() if column.vector else chunk.drop_null()
        bad += len(values) - (pc.sum(pc.is_finite(values)).as_py() or 0)
    return empty, bad


def same_lengths(first: str, second: str) -> Callable[[pa.Table], str]:
    """A rule: the lists of two columns have the same length in every row."""

    def rule(table: pa.Table) -> str:
        import pyarrow.compute as pc

        unequal = pc.not_equal(pc.list_value_length(table[first]), pc.list_value_length(table[second]))
        count = pc.sum(unequal).as_py() or 0
        return f"{count} rows in which '{first}' and '{second}' differ in length" if count else ""

    return rule


def all_same_lengths(first: str, *others: str) -> Callable[[pa.Table], str]:
    """A rule: the lists of all these columns have the same length in every row."""
    rules = [same_lengths(first, other) for other in others]
    return lambda table: next((wrong for rule in rules if (wrong := rule(table))), "")


def ascending(name: str) -> Callable[[pa.Table], str]:
    """A rule: the values of a column ascend, each greater than the one before; texts by their UTF-8 bytes."""

    def rule(table: pa.Table) -> str:
        import pyarrow.compute as pc

        column = table[name].combine_chunks()
        if len(column) < 2:
            return ""
        count = pc.sum(pc.less_equal(column.slice(1), column.slice(0, len(column) - 1))).as_py() or 0
        return f"{count} rows whose '{name}' is not greater than the one before" if count else ""

    return rule
