"""Results as callers use them: sequences that are tables, too."""

import types
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from fingerpost.schemas.control_characters import visible

Row = TypeVar("Row")
#: Rows that the text of a table shows, and letters of a cell.
_SHOWN, _WIDE = 10, 48


class Tabular(ABC):
    """What is a table: ``to_arrow()``, ``to_pandas()``, and a text of its first rows."""

    @abstractmethod
    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``."""

    def to_pandas(self) -> Any:
        """The table as a ``pandas.DataFrame``."""
        return self.to_arrow().to_pandas()

    #: The columns that the text of the table shows; all where none are named.
    _columns_shown: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        table = self.to_arrow()
        return drawn(table.select(list(self._columns_shown) or table.column_names))

    def _repr_html_(self) -> str:
        """The table as notebooks show it."""
        made: str = self.to_pandas()._repr_html_()
        return made


class Listing(Tabular, Sequence[Row]):
    """What answers one question, best first: a sequence of rows, each a dataclass.

    Its table has the column ``rank``, from 1, and the fields of a row that are texts, numbers or truth values; a number that
    a row lacks is null.
    """

    @abstractmethod
    def _listed(self) -> tuple[type[Row], Sequence[Row]]:
        """The dataclass of a row, and the rows."""

    def __len__(self) -> int:
        return len(self._listed()[1])

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        return self._listed()[1][place]

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with a line for each row."""
        row_type, rows = self._listed()
        table = table_of(row_type, [("", rows)])
        return table.drop_columns(table.column_names[:1])


@dataclass(frozen=True, repr=False)
class Rows(Listing[Row]):
    """Rows of one dataclass, best first."""

    rows: Sequence[Row]
    row_type: type[Row]

    def _listed(self) -> tuple[type[Row], Sequence[Row]]:
        return self.row_type, self.rows


@dataclass(frozen=True, repr=False)
class Batch(Tabular, Sequence[Listing[Row]]):
    """What answers several questions, in their order: a sequence of listings.

    queries: a name for each question. row_type: the dataclass of all rows. Its table has the columns ``query`` (``request``
    where rows have a query) and ``rank`` before the others of a listing.
    """

    queries: Sequence[str]
    listings: Sequence[Listing[Row]]
    row_type: type[Row]

    def __len__(self) -> int:
        return len(self.listings)

    @overload
    def __getitem__(self, place: int) -> Listing[Row]: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Listing[Row] | Self:
        if isinstance(place, slice):
            return type(self)(self.queries[place], self.listings[place], self.row_type)
        return self.listings[place]

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with a line for each row of each question."""
        return table_of(self.row_type, list(zip(self.queries, self.listings, strict=True)))

    def __repr__(self) -> str:
        shown = self.listings[0]._columns_shown if self.listings else ()
        table = self.to_arrow()
        return drawn(table.select([table.column_names[0], *shown] if shown else table.column_names))


def table_of(row_type: type[Any], answers: Sequence[tuple[str, Sequence[Any]]]) -> Any:
    """A ``pyarrow.Table`` of (query, rows) pairs: query, rank, and the plain fields of a row's dataclass.

    The first column is ``request`` where rows have a field ``query``.
    """
    import pyarrow as pa  # imported here: pure modules use this one, and most callers want no table

    kinds: dict[type, Any] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    plain = {name: kinds[kind] for name, kind in plain_fields(row_type)}
    asked = "request" if "query" in plain else "query"
    columns: dict[str, list[Any]] = {name: [] for name in (asked, "rank", *plain)}
    for query, rows in answers:
        columns[asked] += [query] * len(rows)
        columns["rank"] += range(1, len(rows) + 1)
        for name in plain:
            columns[name] += [getattr(row, name) for row in rows]
    schema = pa.schema([(asked, pa.string()), ("rank", pa.int64()), *plain.items()])
    return pa.table(columns, schema=schema)


def arrow_table(columns: Mapping[str, Any]) -> Any:
    """A ``pyarrow.Table`` of arrays by name; arrays of objects hold texts."""
    import pyarrow as pa

    made = {name: pa.array(values, pa.string() if values.dtype == object else None) for name, values in columns.items()}
    return pa.table(made)


def plain_fields(row_type: type[Any]) -> tuple[tuple[str, type], ...]:
    """The fields of a dataclass that are texts, numbers or truth values, or lack them, with their types."""
    hints = get_type_hints(row_type)
    kinds = ((field.name, _plain(hints[field.name])) for field in fields(row_type))
    return tuple((name, kind) for name, kind in kinds if kind is not None)


def _plain(hint: Any) -> type | None:
    if get_origin(hint) in (Union, types.UnionType):
        given = [one for one in get_args(hint) if one is not type(None)]
        hint = given[0] if len(given) == 1 else None
    if get_origin(hint) is Literal:
        hint = type(get_args(hint)[0])
    return hint if hint in (str, int, float, bool) else None


def drawn(table: Any, *, rows: int = _SHOWN) -> str:
    """The first rows of a ``pyarrow.Table`` as text, in columns, and how many more there are."""
    head = table.slice(0, rows).to_pydict()
    columns = [[visible(name), *map(_cell, values)] for name, values in head.items()]
    right = [all(isinstance(value, int | float | None) for value in values) for values in head.values()]
    drawn_columns = [_aligned(column, right=number) for column, number in zip(columns, right, strict=True)]
    lines = ["  ".join(line).rstrip() for line in zip(*drawn_columns, strict=True)]
    more = table.num_rows - rows
    return "\n".join([*lines, *([f"… {more:,} more"] if more > 0 else [])])


def _aligned(cells: Sequence[str], *, right: bool) -> list[str]:
    """Cells with blanks up to the widest of them."""
    widths = [_width(cell) for cell in cells]
    blanks = [" " * (max(widths) - width) for width in widths]
    return [blank + cell if right else cell + blank for cell, blank in zip(cells, blanks, strict=True)]


def _width(text: str) -> int:
    """The places of a terminal's line that a text takes: two for a wide letter, none for a mark on the one before."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = visible(" ".join(str(value).split()))
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


class Opened(ABC):
    """A published product that is open: what it holds is a table, and its text names the version."""

    store: Any
    ref: Any

    @classmethod
    def of(cls, store: Any, ref: Any, collection: str) -> Self:
        """The product of a release in a store; its parts are read when they are used."""
        return cls(store, ref)  # type: ignore[call-arg]

    @abstractmethod
    def to_arrow(self) -> Any:
        """What it holds as a ``pyarrow.Table``."""

    def to_pandas(self) -> Any:
        """What it holds as a ``pandas.DataFrame``."""
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.ref}"
