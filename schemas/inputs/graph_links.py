"""Known pairs of entities of two graphs from users' files: given ones, and those that a reviewer decided."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.interaction_rows import RowReport
from fingerpost.schemas.inputs.keyed_files import check_columns, columns_of, keyed_identity, read_files
from fingerpost.schemas.inputs.suppression import Suppressed

#: Where links come from.
GIVEN, REVIEWED = "given", "reviewed"
#: What tools for matching call the columns of a pair.
_OTHER_NAMES = {"left": ("left_id", "ltable_id"), "right": ("right_id", "rtable_id")}
LINKS = Form(
    ("left", "right", "label", "split"),
    needed=("left", "right"),
    option="--set kg.columns.",
    keys=("left", "right"),
    numbers=(),
    other_names=_OTHER_NAMES,
)
#: What `fingerpost review` writes, with its label filled.
REVIEWED_LINKS = Form(
    ("left", "right", "label"), needed=("left", "right", "label"), option="", keys=("left", "right"), numbers=()
)
LABELS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
DECISIONS = LABELS | {"yes": 1, "y": 1, "same": 1, "no": 0, "n": 0, "different": 0}
SPLITS = {
    "": "",
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("valid", "validation", "dev"), "validation"),
    "test": "test",
}
_FLOAT, _WHOLE = r"^(-?[0-9]+)\.0$", r"^-?[0-9]+$"
#: Rows of links with their positions in an input.
LINK_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("left", pa.string()),
        ("right", pa.string()),
        ("label", pa.int8()),
        ("split", pa.string()),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True)
class LinkBatch:
    """Links by the ids of their entities, in the columns of ``LINK_SCHEMA``, and the rows that were quarantined."""

    links: pa.Table
    quarantine: Quarantine


class LinkSource(Protocol):
    """Links from outside the store; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of its content."""
        ...

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        ...

    def read(self) -> LinkBatch:
        """The links, bad rows quarantined."""
        ...


@dataclass(frozen=True)
class LinkFile:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) of left, right, label and split.

    Without such columns left and right are also read from left_id and right_id, or ltable_id and rtable_id.
    label: 1 or true for the same entity, 0 or false for two, 1 without the column. split: training, validation or test,
    also as train, valid and dev; empty for none. mapping: pairs (our column, the file's) where they differ. suppressed: ids
    to leave out.
    """

    path: str
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over contents, mapping and the digests of suppressed ids in them; InputError if it cannot be read."""
        return keyed_identity(self.path, self._reading(keys_only=True))

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        check_columns(self.path, self._reading())

    def read(self) -> LinkBatch:
        """The links, and the quarantined rows.

        Reasons: no left, no right, unknown label, unknown split. InputError if the file cannot be read.
        """
        return _read(self.path, self._reading(), LABELS, GIVEN)

    def _reading(self, *, keys_only: bool = False) -> Reading:
        mapping = checked_mapping(dict(self.mapping), LINKS)
        return Reading(mapping, suppressed=self.suppressed, keys_only=keys_only, form=LINKS)


@dataclass(frozen=True)
class ReviewedLinks:
    """A file of pairs that a reviewer decided: left, right, label; rows without a label are undecided and left out.

    label: 1, true, yes, y or same; 0, false, no, n or different. suppressed: ids to leave out.
    """

    path: str
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over contents and the digests of suppressed ids in them; InputError if it cannot be read."""
        return keyed_identity(self.path, self._reading(keys_only=True))

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        check_columns(self.path, self._reading())

    def read(self) -> LinkBatch:
        """The links, and the quarantined rows: no left, no right, unknown label. InputError if it cannot be read."""
        return _read(self.path, self._reading(), DECISIONS, REVIEWED)

    def _reading(self, *, keys_only: bool = False) -> Reading:
        bad = Quarantine(prefix="reviewed: ")
        return Reading({}, bad, suppressed=self.suppressed, keys_only=keys_only, form=REVIEWED_LINKS)


def _read(path: str, reading: Reading, labels: Mapping[str, int], source: str) -> LinkBatch:
    # JSON Lines have a cell of every column that is looked for.
    names = {name for file in input_files(path) for name in columns_of(file)}
    labelled = reading.mapping.get("label", "label") in names
    batches = read_files(path, reading)
    tables = [_links(batch, reading, labels, source, labelled=labelled) for batch in batches]
    return LinkBatch(pa.concat_tables([LINK_SCHEMA.empty_table(), *tables]), reading.quarantine)


def _links(batch: RawBatch, reading: Reading, labels: Mapping[str, int], source: str, *, labelled: bool) -> pa.Table:
    report = RowReport(batch, reading.quarantine, batch.columns["left"])
    empty = pa.array([""] * len(batch.rows), pa.string())
    left, right, label, split = (_texts(batch.columns.get(name, empty), name, report) for name in LINKS.names)
    report.every(pc.equal(left, ""), "no left", "the cell is empty")
    report.every(pc.equal(right, ""), "no right", "the cell is empty")
    values = _known(label, labels, "label", report, given=labelled, undecided=source == REVIEWED)
    splits = _known(split, SPLITS, "split", report)
    rows = np.asarray(batch.rows, dtype=np.int64)
    bad = np.fromiter(reading.quarantine.found, dtype=np.int64, count=len(reading.quarantine.found))
    good = ~np.isin(rows, bad) & values.is_valid().to_numpy(zero_copy_only=False)
    columns = [pa.array(rows), left, right, values.cast(pa.int8()), splits, pa.array([source] * len(rows), pa.string())]
    return pa.Table.from_arrays(columns, schema=LINK_SCHEMA).filter(pa.array(good))


def _known(
    cells: pa.Array,
    values: Mapping[str, object],
    name: str,
    report: RowReport,
    *,
    given: bool = True,
    undecided: bool = False,
) -> pa.Array:
    """The value of each cell, whatever its case; others are reported, but for empty ones of what may be undecided."""
    if not given:
        return pa.array([1] * len(cells))
    places = pc.index_in(pc.utf8_lower(cells), value_set=pa.array(list(values), pa.string()))
    wrong = places.is_null()
    if undecided:
        wrong = pc.and_(wrong, pc.not_equal(cells, ""))
    for i in np.flatnonzero(wrong.to_numpy(zero_copy_only=False)).tolist():
        report(i, f"unknown {name}", f"{cells[i].as_py()!r} is none of {', '.join(filter(None, values))}")
    known = pa.array(list(values.values())).take(places)
    return known.fill_null("") if pa.types.is_string(known.type) else known


def _texts(cells: "pa.Array | list[object]", name: str, report: RowReport) -> pa.Array:
    if isinstance(cells, pa.Array) and pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.string())
    elif not isinstance(cells, pa.Array):
        cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
    return pc.utf8_trim_whitespace(text_cells(name, cells, report, keys=LINKS.names))


@dataclass(frozen=True)
class KnownLinks:
    """Links between the entities of two graphs, one a pair, sorted by both.

    left, right: uint32, rows of the graphs. labels: int8. splits: names, empty for none. reviewed: bool. listed: bool, whether
    a file of given links has the pair. gone: number of reviewed pairs with an entity that is no more. repeated: number of
    rows that said again what another does.
    """

    left: np.ndarray
    right: np.ndarray
    labels: np.ndarray
    splits: list[str]
    reviewed: np.ndarray
    listed: np.ndarray
    gone: int = 0
    repeated: int = 0


def known_links(batches: list[LinkBatch], left: pa.ChunkedArray, right: pa.ChunkedArray, *, within: bool) -> KnownLinks:
    """The links of all sources as rows of two graphs with these ids; those that cannot be are quarantined in their batch.

    within: both are one graph, whose pairs have left < right. What a reviewer decided wins over what is given, a later
    decision over an earlier one. Reasons: unknown entity (of given links), one entity (a pair of an entity with itself),
    contradicting link (another label or split than an earlier row).
    """
    found: dict[tuple[int, int], _Said] = {}
    gone = repeated = 0
    for batch in batches:
        rows = [_rows(batch.links[name], keys) for name, keys in (("left", left), ("right", right))]
        for link, one, other in zip(batch.links.to_pylist(), *rows, strict=True):
            by_reviewer = link["source"] == REVIEWED
            if one < 0 or other < 0:
                gone += by_reviewer
                if not by_reviewer:
                    key = link["left"] if one < 0 else link["right"]
                    batch.quarantine.add(link["row"], key, "unknown entity", "the graph of its side has no such id")
                continue
            if within and one == other:
                batch.quarantine.add(link["row"], link["left"], "one entity", "a pair of an entity with itself")
                continue
            pair = (other, one) if within and one > other else (one, other)
            said = _Said(link["label"], link["split"], by_reviewer, not by_reviewer)
            before = found.get(pair)
            if before is None:
                found[pair] = said
            elif by_reviewer:
                found[pair] = _Said(said.label, before.split or said.split, True, before.listed)
            elif before.reviewed or before.label == said.label:
                repeated += not before.reviewed
                found[pair] = _Said(before.label, _earliest(before.split, said.split), before.reviewed, True)
            else:
                detail = f"{link['left']} and {link['right']} are linked before, with another label"
                batch.quarantine.add(link["row"], link["left"], "contradicting link", detail)
    pairs = sorted(found)
    said_of = [found[pair] for pair in pairs]
    columns = np.array(pairs, dtype=np.uint32).reshape(-1, 2)
    return KnownLinks(
        columns[:, 0],
        columns[:, 1],
        np.array([said.label for said in said_of], dtype=np.int8),
        [said.split for said in said_of],
        np.array([said.reviewed for said in said_of], dtype=bool),
        np.array([said.listed for said in said_of], dtype=bool),
        gone,
        repeated,
    )


@dataclass(frozen=True)
class _Said:
    """What is said of a pair."""

    label: int
    split: str
    reviewed: bool
    listed: bool


def _earliest(one: str, other: str) -> str:
    """Of two splits the one that is used first; an empty one is none."""
    order = [split for split in dict.fromkeys(SPLITS.values()) if split in (one, other) and split]
    return order[0] if order else ""


def _rows(ids: pa.ChunkedArray, keys: pa.ChunkedArray) -> Iterator[int]:
    """The row of each id among the keys; -1 for one that is not among them.

    A whole number may be written with ".0" on one side alone, as tools do for columns in which some numbers are missing.
    """
    known = keys.combine_chunks()
    places = pc.index_in(ids, value_set=known)
    if places.null_count:
        short = pc.replace_substring_regex(ids, _FLOAT, "\\1")
        longer = pc.if_else(pc.match_substring_regex(ids, _WHOLE), pc.binary_join_element_wise(ids, "0", "."), ids)
        for spelled in (short, longer):
            places = pc.coalesce(places, pc.index_in(spelled, value_set=known))
    yield from places.fill_null(-1).to_pylist()
