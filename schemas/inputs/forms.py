"""The columns of an input's rows, their mapping to the file's columns, and the result of reading."""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fingerpost.schemas.errors import ColumnMappingError, InputError
from fingerpost.schemas.wording import cut, listed, shown

TEXT_COLUMNS = ("id", "title", "text", "kind", "package", "signature", "day")
COLUMNS = (*TEXT_COLUMNS, "vector")


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """The schema of rows: texts, and a list of float32 in the last column."""
    *texts, vector = columns
    return pa.schema([*((name, pa.string()) for name in texts), (vector, pa.list_(pa.float32()))])


#: What ``id`` is mapped to where the position of each row, from 0, is to be its id.
ROW_NUMBER = "(row number)"
#: The longest id in a message about a row.
ID_SHOWN = 40
DOCUMENT_SCHEMA = schema_of(COLUMNS)
QUARANTINE_SCHEMA = pa.schema(
    [("row", pa.int64()), ("id", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)


@dataclass(frozen=True)
class Form:
    """The columns of an input's rows.

    names: all columns. needed: required columns. some: columns of which at least one is required. instead: empty column
    to the column whose value it gets. option: the command-line option that maps a column, "" if there is none. keys:
    columns in which a key to be forgotten may occur. vectors: columns of lists, in texts as JSON arrays. numbers: columns
    that a CSV holds as numbers in text. texts: columns with a text of the row's key, beside those that are so in every form.
    is_row: each file is one row, whose id is the file's path. spelled: columns of keys that are texts, and
    may be spelled in several ways. private: no value of a row is quoted anywhere, since rows are about people. rewriter: of
    inputs that are no tables, ``"module:function"`` of ``(path, suppressed, *, write) -> int``, the number of lines with
    suppressed keys, which it removes to ``write``. other_names: what other tools call a column, where neither its name nor a
    mapping says it.
    """

    names: tuple[str, ...]
    needed: tuple[str, ...]
    some: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    option: str = "--map "
    keys: tuple[str, ...] = ("id",)
    vectors: tuple[str, ...] = ("vector",)
    numbers: tuple[str, ...] = ("weight",)
    texts: tuple[str, ...] = ()
    is_row: bool = False
    spelled: tuple[str, ...] = ()
    private: bool = False
    rewriter: str = ""
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def mapped(self, mapping: Mapping[str, str], found: Collection[str]) -> dict[str, str]:
        """A mapping, with the other names that an input of the columns ``found`` has for ours."""
        missing = [ours for ours in self.other_names if ours not in mapping and ours not in found]
        named = {ours: [name for name in self.other_names[ours] if name in found] for ours in missing}
        return {**{ours: names[0] for ours, names in named.items() if names}, **mapping}

    def keys_of(self, column: str) -> tuple[str, ...]:
        """The columns in which keys of a column may occur: ids in all of ``keys``."""
        return self.keys if column == "id" else (column,)


DOCUMENTS = Form(COLUMNS, needed=("id",), some=("title", "text", "vector"))


@dataclass(frozen=True)
class DocumentBatch:
    """The accepted rows in their columns, the quarantined ones with a reason each, and their number by reason."""

    accepted: pa.Table
    quarantined: pa.Table
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class Quarantine:
    """The bad rows found so far; a row is recorded once, with its first reason, after ``prefix``."""

    found: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    prefix: str = ""

    def add(self, row: int, key: object, reason: str, detail: str) -> None:
        """Quarantines a row; ``row`` is its position in the input, from 0."""
        if row not in self.found:
            self.found[row] = ("" if key is None else _storable(str(key)), self.prefix + reason, _storable(detail))

    def table(self) -> pa.Table:
        """The rows in the columns of the quarantine, in order."""
        rows = sorted(self.found)
        entries = [self.found[row] for row in rows]
        columns = [pa.array(rows, pa.int64())] + [
            pa.array([entry[i] for entry in entries], pa.string()) for i in range(3)
        ]
        return pa.Table.from_arrays(columns, schema=QUARANTINE_SCHEMA)

    def reasons(self) -> dict[str, int]:
        """The number of rows by reason, sorted by reason."""
        return dict(sorted(Counter(reason for _, reason, _ in self.found.values()).items()))


def first_rows(quarantined: pa.Table, most: int = 3) -> str:
    """A line about the first quarantined rows: position, id, reason and what was found."""
    words = []
    for row in quarantined.slice(0, most).to_pylist():
        named = f" ({shown(row['id'], ID_SHOWN)})" if row["id"] else ""
        words.append(f"row {row['row']}{named}: {row['reason']}, {cut(row['detail'], 120)}")
    return "; ".join(words) or "none"


def checked_mapping(mapping: Mapping[str, str], form: Form = DOCUMENTS) -> dict[str, str]:
    """The mapping of our columns to an input's; ColumnMappingError for a column that its rows do not have."""
    for ours in mapping:
        if ours not in form.names:
            guess = _closest(ours, form.names) or (form.some or form.needed)[0]
            raise ColumnMappingError(
                f"{form.option.strip(' .')}: expected one of {', '.join(form.names)} before '=', got {shown(ours)}; "
                f"write ours first, for example {form.option}{guess}={cut(mapping[ours], 60)}"
            )
        if mapping[ours] == ROW_NUMBER and ours != "id":
            raise ColumnMappingError(
                f"{form.option.strip(' .')}: expected a column for {ours!r}, got the number of the row, which only 'id' can"
                " be; name a column"
            )
    return dict(mapping)


def chosen_columns(
    where: str,
    found: Sequence[str],
    mapping: Mapping[str, str],
    form: Form = DOCUMENTS,
    *,
    distinct: Callable[[], Sequence[str] | None] | None = None,
    headed: bool = True,
) -> dict[str, str]:
    """Our columns to the input's, for all of ours that it has.

    InputError, beginning with ``where``, if a mapped or required column is missing, if all of ``form.some`` are
    missing, or if a chosen column occurs twice. distinct: the input's columns that could be ids, to advise one of them.
    headed: whether ``found`` are names for certain; else they may be a row, of which a private form quotes nothing.
    """
    try:
        return _chosen_columns(where, found, mapping, form, distinct)
    except InputError:
        missing = _missing(found, mapping, form)
        if headed or not form.private or not missing:
            raise
        raise InputError(f"{where}: {_unheaded(found, mapping, form)}{missing[0]}=<column>") from None


def _missing(found: Sequence[str], mapping: Mapping[str, str], form: Form) -> list[str]:
    """Our columns of which at least one has to be in an input that has none of them."""
    one = [ours for ours in (*mapping, *form.needed) if mapping.get(ours, ours) not in found]
    some = [ours for ours in form.some if mapping.get(ours, ours) not in found]
    return one or (some if len(some) == len(form.some) else [])


def _unheaded(found: Sequence[str], mapping: Mapping[str, str], form: Form) -> str:
    """That columns are missing, quoting none that is not expected."""
    *others, last = (mapping.get(ours, ours) for ours in dict.fromkeys((*form.needed, *form.some, *mapping)))
    names = f"{', '.join(others)} or {last}" if others else last
    there = [theirs for theirs in (*others, last) if theirs in found]
    more = len(found) - len(there)
    return (
        f"expected a first line with the columns' names, {names} among them, found"
        f" {' and '.join([*there, f'{more} others'] if more else there)}; add such a line, or map the columns, for"
        f" example {form.option}"
    )


def _chosen_columns(
    where: str,
    found: Sequence[str],
    mapping: Mapping[str, str],
    form: Form,
    distinct: Callable[[], Sequence[str] | None] | None,
) -> dict[str, str]:
    mapping = form.mapped(mapping, found)
    numbered = mapping.get("id") == ROW_NUMBER
    mapping = {ours: theirs for ours, theirs in mapping.items() if not (numbered and ours == "id")}
    seen = listed(found)
    for ours, theirs in mapping.items():
        if theirs not in found:
            raise InputError(
                f"{where}: expected a column {shown(theirs)} for {ours}, found {seen};"
                f" {_advice(ours, theirs, found, form)}"
            )
    chosen = {
        ours: mapping.get(ours, ours)
        for ours in form.names
        if mapping.get(ours, ours) in found and not (numbered and ours == "id")
    }
    for ours in form.needed:
        if ours not in chosen and not (numbered and ours == "id"):
            advice = _advice(ours, ours, found, form)
            columns = (
                distinct() if ours == "id" and distinct is not None and not advice.startswith("separate") else None
            )
            if columns is not None:
                advice = _advice_for_id(columns, form)
            raise InputError(f"{where}: expected a column {ours!r}, found {seen}; {advice}")
    if form.some and chosen.keys().isdisjoint(form.some):
        *others, last = map(repr, form.some)
        raise InputError(
            f"{where}: expected a column {', '.join(others)} or {last}, found {seen};"
            f" {_advice('text', 'text', found, form)}"
        )
    counts = Counter(found)
    for theirs in chosen.values():
        if counts[theirs] > 1:
            raise InputError(
                f"{where}: expected one column {shown(theirs)}, found {counts[theirs]} of that name; rename all but one"
            )
    return chosen


def _advice(ours: str, wanted: str, found: Sequence[str], form: Form) -> str:
    if len(found) == 1 and (mark := next((mark for mark in ";\t|" if mark in found[0]), "")):
        return f"separate the columns by commas, not by {mark!r}"
    first = found[0] if found and (not form.needed or ours == form.needed[0]) else "<column>"
    guess = cut(_closest(wanted, found) or _closest(ours, found) or first, 60)
    if not form.option:
        return f"rename the one that is meant, for example {guess!r}"
    return f"map it, for example {form.option}{ours}={guess}"


def _advice_for_id(distinct: Sequence[str], form: Form) -> str:
    """Which column to take for the ids: one whose values are distinct."""
    numbers = (
        f"number the rows: {'--number-rows' if form.option == '--map ' else f'{form.option}id={ROW_NUMBER!r}'}"
        if form.option
        else "add one"
    )
    if not distinct:
        return f"no column has another value in every row, so {numbers}"
    guess = cut(_closest("id", distinct) or distinct[0], 60)
    if not form.option:
        return f"rename the one that is meant, for example {guess!r}"
    return f"map it, for example {form.option}id={guess}, whose values are distinct, or {numbers}"


def _closest(wanted: str, found: Sequence[str]) -> str:
    """The name most similar to ``wanted``, ignoring case; empty if none is similar."""
    # Comparing very long names takes very long, and nobody means them.
    found = [name for name in found if len(name) <= 200]
    lower = {name.lower(): name for name in reversed(found)}
    close = difflib.get_close_matches(wanted.lower(), list(lower), n=1, cutoff=0.5)
    return lower[close[0]] if close else next((name for name in found if wanted.lower() in name.lower()), "")


def _storable(text: str) -> str:
    """At most 200 characters that UTF-8 can hold."""
    return text[:200].encode("utf-8", "backslashreplace").decode("utf-8")
