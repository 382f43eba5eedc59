"""The matches of an alignment as rows of ids, names, probability and the id of the joined entity. Imports no Prefect."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.rankings import FLAT, RowWriter
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store

SCHEMA = pa.schema(
    [
        ("left", pa.string()),
        ("right", pa.string()),
        ("left_name", pa.string()),
        ("right_name", pa.string()),
        ("probability", pa.float32()),
        ("joined", pa.string()),
    ]
)
#: Rows that are written together.
_TOGETHER = 65_536


def writer_of(output: Path) -> RowWriter:
    """The writer of a file of matches; InputError for another form, or a folder that does not exist."""
    return RowWriter(output, SCHEMA, forms=FLAT)


def match_table(store: Store, alignment: Ref) -> pa.Table:
    """The matches of a release in falling order of their probability, ties by the rows of their entities."""
    members = read_members(store, alignment)
    graphs = {side: members.get(side, members["left"]) for side in ("left", "right")}
    entities = {side: store.open(ref, kg.GRAPH).read("entities") for side, ref in graphs.items()}
    found = store.open(members["matches"], kg.MATCHES).read("matches")
    found = found.sort_by([("probability", "descending"), ("left", "ascending"), ("right", "ascending")])
    rows = {side: entities[side].take(found[side]) for side in graphs}
    columns = [
        *(rows[side]["id"] for side in graphs),
        *(rows[side]["name"] for side in graphs),
        found["probability"],
        _joined(store.open(members["clusters"], kg.CLUSTERS).read("members"), found["left"]),
    ]
    return pa.table(columns, schema=SCHEMA)


def _joined(members: pa.Table, left: pa.ChunkedArray) -> pa.ChunkedArray:
    """The id of the joined entity of each left entity."""
    mine = members.filter(pc.equal(members["side"], "left"))
    return mine["cluster"].take(pc.index_in(left, value_set=mine["entity"].combine_chunks()))


def write_matches(matches: pa.Table, writer: RowWriter) -> None:
    """Writes the rows of a table of matches to a file."""
    with writer:
        for batch in matches.to_batches(_TOGETHER):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                writer.add(*row)
