"""Interactions and labels from files: merged as a naive oracle does, bad rows set aside, whole files refused in one line."""

import csv
import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.interactions import (
    LABEL_SCHEMA,
    PAIR_SCHEMA,
    QUERY_SCHEMA,
    InteractionBatch,
    InteractionFile,
    InteractionSource,
    read_interactions,
)
from fingerpost.schemas.inputs.stored import rows_without
from fingerpost.schemas.inputs.suppression import Suppressed

Row = dict[str, Any]
once = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def lines(path: Path, rows: Sequence[Row | str]) -> Path:
    texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def read(
    folder: Path, rows: Sequence[Row | str], labels: Sequence[Row | str] | None = None, **options: Any
) -> InteractionBatch:
    where = lines(folder / "rows.jsonl", rows)
    known = lines(folder / "labels.jsonl", labels) if labels is not None else ""
    batch = read_interactions(where, known, **options)
    assert (batch.queries.schema, batch.labels.schema, batch.pairs.schema) == (QUERY_SCHEMA, LABEL_SCHEMA, PAIR_SCHEMA)
    return batch


def chosen(batch: InteractionBatch) -> dict[tuple[str, str], float]:
    """The weights by ids of query and label."""
    queries, labels = batch.queries["id"].to_pylist(), batch.labels["id"].to_pylist()
    return {(queries[p["query"]], labels[p["label"]]): p["weight"] for p in batch.pairs.to_pylist()}


def naive(rows: list[Row], labels: list[Row], *, only: bool) -> tuple[list[Row], list[Row], list[Row], list[int]]:
    """Queries, labels, pairs and the rows set aside, row by row with dicts."""
    queries: dict[str, Row] = {}
    known = {label["id"]: dict(label) for label in labels}
    weights: dict[tuple[str, str], float] = {}
    bad = []
    for place, row in enumerate(rows):
        text, label = row["query"].strip(), row["label"].strip()
        key = (row.get("query_id") or "").strip() or text
        first = queries.get(key)
        unknown = only and label not in known
        if not text or not label or unknown or (first is not None and first["text"] != text):
            bad.append(place)
            continue
        day = row.get("day") or ""
        query = queries.setdefault(key, {"id": key, "text": text, "day": day})
        query["day"] = max(query["day"], day)
        known.setdefault(label, {"id": label, "name": label, "text": ""})
        weights[key, label] = weights.get((key, label), 0.0) + (1.0 if row.get("weight") is None else row["weight"])
    places = {key: i for i, key in enumerate(queries)}, {key: i for i, key in enumerate(known)}
    pairs = sorted((places[0][q], places[1][k], float(np.float32(w))) for (q, k), w in weights.items())
    pair_rows = [dict(zip(PAIR_SCHEMA.names, pair, strict=True)) for pair in pairs]
    return list(queries.values()), list(known.values()), pair_rows, bad


def rows_of(texts: Sequence[str]) -> st.SearchStrategy[list[Row]]:
    maybe = st.sampled_from(["", "", "k1", "k2", texts[0]])
    weight = st.none() | st.floats(0.001, 1e6)
    day = st.sampled_from(["", "2026-01-01", "2026-01-03", "2025-12-31"])
    one = st.fixed_dictionaries(
        {"query": st.sampled_from(texts), "label": st.sampled_from(["a", "b ", "c", "ä", "7", ""])},
        optional={"weight": weight, "day": day, "query_id": maybe},
    )
    return st.lists(one, min_size=1, max_size=30)


LABELS = st.lists(st.sampled_from(["c", "z", "a"]), unique=True, max_size=3)


@once
@given(rows=rows_of(["shirt", " shirt", "red shirt", "käse", " "]), labels=LABELS, only=st.booleans())
def test_merging_is_what_a_dict_does(tmp_path: Path, rows: list[Row], labels: list[str], only: bool) -> None:
    known = [{"id": key, "name": f"the {key}", "text": key * 2} for key in labels]
    given_labels = [*known, {"id": "last", "name": "the last", "text": ""}]
    found = read(tmp_path, rows, given_labels, unknown_labels="quarantine" if only else "keep")
    queries, expected, pairs, bad = naive(rows, given_labels, only=only)
    assert found.queries.to_pylist() == queries
    assert found.labels.to_pylist() == expected
    assert found.pairs.to_pylist() == pairs
    assert found.quarantined["row"].to_pylist() == bad
    assert sum(found.reasons.values()) == len(bad)


@pytest.mark.parametrize(
    ("row", "key", "reason", "detail"),
    [
        ({"label": "a"}, "", "no query", "the query is empty"),
        ({"query": " ", "label": "a", "query_id": "k"}, "k", "no query", "the query is empty"),
        ({"query": "q"}, "q", "no label", "the label is empty"),
        ({"query": "q", "label": None}, "q", "no label", "the label is empty"),
        ({"query": 5, "label": "a"}, "5", "wrong type", "query is a whole number (5), not text"),
        ({"query": "q", "label": 1.5}, "q", "wrong type", "label is a number (1.5), not text or a whole number"),
        ({"query": "q", "label": ["a"]}, "q", "wrong type", "label is a list (['a']), not text or a whole number"),
        ({"query": "q", "label": "a", "weight": "2"}, "q", "wrong type", "weight is text ('2'), not a number"),
        (
            {"query": "q", "label": "a", "weight": True},
            "q",
            "wrong type",
            "weight is true or false (True), not a number",
        ),
        ({"query": "q", "label": "a", "weight": 0}, "q", "weight not positive", "weight is 0, expected one above 0"),
        ({"query": "q", "label": "a", "weight": -1.5}, "q", "weight not positive", "weight is -1.5"),
        ({"query": "q", "label": "a", "weight": 1e-60}, "q", "weight not positive", "weight is 1e-60"),
        ({"query": "q", "label": "a", "weight": math.nan}, "q", "weight not finite", "weight is nan"),
        ({"query": "q", "label": "a", "weight": math.inf}, "q", "weight not finite", "weight is inf"),
        ({"query": "q", "label": "a", "weight": 1e39}, "q", "weight not finite", "weight is 1e+39"),
        ({"query": "q", "label": "a", "weight": 10**400}, "q", "weight not finite", "weight is inf"),
        ({"query": "q", "label": "a", "day": "2026-02-30"}, "q", "wrong type", "day is '2026-02-30', not YYYY-MM-DD"),
        ({"query": "other", "label": "a", "query_id": "good"}, "good", "other text", "row 0 has another query of this"),
        ("not JSON", "", "invalid line", "line 2: not JSON"),
    ],
)
def test_bad_row(tmp_path: Path, row: Row | str, key: str, reason: str, detail: str) -> None:
    good = {"query": "good", "label": "a"}
    batch = read(tmp_path, [good, row, {**good, "weight": 2}])
    (bad,) = batch.quarantined.to_pylist()
    assert (bad["row"], bad["id"], bad["reason"]) == (1, key, reason)
    assert bad["detail"].startswith(detail)
    assert batch.reasons == {reason: 1}
    assert chosen(batch) == {("good", "a"): 3.0}


def test_bad_labels_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    labels: list[Row | str] = [
        {"id": 7, "name": "Seven"},
        {"id": "7", "name": "Also seven"},
        {"name": "nameless"},
        {"id": "8", "name": 8},
        {"id": " 9 "},
        "[]",
    ]
    batch = read(tmp_path, [{"query": "q", "label": 8}, {"query": "q", "label": 7}], labels)
    assert batch.labels.to_pylist() == [
        {"id": "7", "name": "Seven", "text": ""},
        {"id": "9", "name": "9", "text": ""},
        {"id": "8", "name": "8", "text": ""},
    ]
    assert chosen(batch) == {("q", "8"): 1.0, ("q", "7"): 1.0}
    assert batch.pairs["label"].to_pylist() == [0, 2]
    found = [(row["row"], row["id"], row["reason"]) for row in batch.quarantined.to_pylist()]
    assert found == [
        (1, "7", "label: duplicate id"),
        (2, "", "label: no id"),
        (3, "8", "label: wrong type"),
        (5, "", "label: invalid line"),
    ]


def test_a_label_that_the_labels_do_not_have_is_set_aside_if_asked(tmp_path: Path) -> None:
    rows: list[Row | str] = [{"query": "q", "label": "a"}, {"query": "r", "label": "b"}]
    assert chosen(read(tmp_path, rows, [{"id": "a"}])) == {("q", "a"): 1.0, ("r", "b"): 1.0}
    strict = read(tmp_path, rows, [{"id": "a"}], unknown_labels="quarantine")
    assert chosen(strict) == {("q", "a"): 1.0}
    assert strict.queries["id"].to_pylist() == ["q"]
    (bad,) = strict.quarantined.to_pylist()
    assert (bad["row"], bad["reason"], bad["detail"]) == (1, "unknown label", "'b' is not in the labels")
    # Without a labels input, no label is unknown.
    assert len(chosen(read(tmp_path, rows, unknown_labels="quarantine"))) == 2


def test_weights_add_up_beyond_float32_to_the_largest(tmp_path: Path) -> None:
    rows: list[Row | str] = [{"query": "q", "label": "a", "weight": 3e38}] * 2
    assert chosen(read(tmp_path, rows)) == {("q", "a"): float(np.finfo(np.float32).max)}


def test_nothing_but_bad_rows_is_an_empty_batch(tmp_path: Path) -> None:
    batch = read(tmp_path, [{"query": "", "label": "a"}])
    assert (batch.queries.num_rows, batch.labels.num_rows, batch.pairs.num_rows) == (0, 0, 0)
    assert batch.reasons == {"no query": 1}


ROWS: list[Row] = [
    {"q": "red shirt", "sku": "A1", "clicks": 2.0, "day": "2026-01-02", "query_id": "u1"},
    {"q": "shirt, blue", "sku": "B2", "clicks": 1.5, "day": "2026-01-03", "query_id": "u2"},
    {"q": "red shirt", "sku": "B2", "clicks": None, "day": None, "query_id": "u1"},
]
MAPPING = {"query": "q", "label": "sku", "weight": "clicks"}


def written(folder: Path, kind: str) -> Path:
    """ROWS in a file of some kind."""
    table = pa.Table.from_pylist(ROWS)
    if kind == "folder":
        (folder / "parts").mkdir()
        pq.write_table(table.slice(0, 2), folder / "parts" / "0.parquet")
        pq.write_table(table.slice(2), folder / "parts" / "1.parquet")
        return folder / "parts"
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        dates = pa.array(table["day"].to_pylist(), pa.string()).cast(pa.date32())
        pq.write_table(table.set_column(3, "day", dates), path)
    elif kind == "csv":
        with open(path, "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode()))
    return path


@pytest.mark.parametrize("kind", ["parquet", "folder", "csv", "jsonl.gz"])
def test_every_kind_of_file_reads_the_same(tmp_path: Path, kind: str) -> None:
    source: InteractionSource = InteractionFile(str(written(tmp_path, kind)), mapping=tuple(MAPPING.items()))
    batch = source.read()
    assert batch.queries.to_pylist() == [
        {"id": "u1", "text": "red shirt", "day": "2026-01-02"},
        {"id": "u2", "text": "shirt, blue", "day": "2026-01-03"},
    ]
    assert batch.labels["id"].to_pylist() == ["A1", "B2"]
    assert batch.pairs.to_pylist() == [
        {"query": 0, "label": 0, "weight": 2.0},
        {"query": 0, "label": 1, "weight": 1.0},
        {"query": 1, "label": 1, "weight": 1.5},
    ]
    assert batch.reasons == {}
    assert len(source.identity()) == 64


@pytest.mark.parametrize("kind", [pa.int32(), pa.float32(), pa.decimal128(6, 2)])
def test_weights_of_any_number_type(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"query": ["q", "r"], "label": pa.array([1, 2]), "weight": pa.array([2, None], kind)})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert chosen(read_interactions(tmp_path / "rows.parquet")) == {("q", "1"): 2.0, ("r", "2"): 1.0}


def test_numbers_of_a_csv_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("query,label,weight\nq,a,many\nq,b,\nq,c,nan\nq,d, 2 \n")
    batch = read_interactions(tmp_path / "rows.csv")
    assert chosen(batch) == {("q", "b"): 1.0, ("q", "d"): 2.0}
    assert batch.reasons == {"weight not finite": 1, "wrong type": 1}


@pytest.mark.parametrize(
    ("rows", "mapping", "message"),
    [
        (
            [{"query": "q", "sku": "a"}],
            {},
            (
                "rows.jsonl: expected a column 'label', found query, sku; map it, for example --set"
                " xmr.columns.label=<column>"
            ),
        ),
        (
            [{"text": "q", "label": "a"}],
            {},
            (
                "rows.jsonl: expected a column 'query', found text, label; map it, for example --set"
                " xmr.columns.query=text"
            ),
        ),
        (
            [{"query": "q", "label": "a"}],
            {"weight": "clicks"},
            "expected a column 'clicks' for weight, found query, label; map it",
        ),
        (
            [{"query": "q", "label": "a"}],
            {"wieght": "w"},
            (
                "--set xmr.columns: expected one of query, label, weight, day, query_id, id, name, text before '=', got"
                " 'wieght'; write ours first, for example --set xmr.columns.weight=w"
            ),
        ),
        ([], {}, "rows.jsonl: expected rows, found an empty file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, rows: list[Row | str], mapping: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, rows, [{"id": "a"}], mapping=mapping)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_column_of_labels_needs_a_labels_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of query, label, weight, day, query_id before '=', got 'name'"):
        read(tmp_path, [{"query": "q", "label": "a"}], mapping={"name": "title"})
    assert read(
        tmp_path, [{"query": "q", "label": "a"}], [{"sku": "a", "title": "A"}], mapping={"name": "title", "id": "sku"}
    ).labels.to_pylist() == [{"id": "a", "name": "A", "text": ""}]


def test_labels_without_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.jsonl: expected a column 'id', found sku"):
        read(tmp_path, [{"query": "q", "label": "a"}], [{"sku": "a"}])


def test_identity_is_that_of_the_contents(tmp_path: Path) -> None:
    where = str(lines(tmp_path / "rows.jsonl", [{"query": "q", "label": "a"}]))
    known = str(lines(tmp_path / "labels.jsonl", [{"id": "a"}]))
    moved = str(lines(tmp_path / "moved.jsonl", [{"query": "q", "label": "a"}]))
    sources = [
        InteractionFile(where),
        InteractionFile(where, known),
        InteractionFile(where, known, unknown_labels="quarantine"),
        InteractionFile(where, known, (("name", "id"),)),
        InteractionFile(where, moved),
    ]
    assert len({source.identity() for source in sources}) == len(sources)
    assert InteractionFile(moved).identity() == InteractionFile(where).identity()
    lines(tmp_path / "labels.jsonl", [{"id": "b"}])
    assert InteractionFile(where, known).identity() not in {source.identity() for source in sources[2:]}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_forgotten_queries_and_labels_are_left_out(tmp_path: Path, kind: str) -> None:
    rows = [
        {"query": "my illness", "query_id": "u1", "label": "a"},
        {"query": "shirt", "query_id": None, "label": "a"},
        {"query": "u1", "query_id": None, "label": "b"},
        {"query": "trousers", "query_id": "u2", "label": "a"},
    ]
    path = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        lines(path, rows)
    elif kind == "csv":
        path.write_text(
            "query,query_id,label\n" + "".join(f"{r['query']},{r['query_id'] or ''},{r['label']}\n" for r in rows)
        )
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    labels = str(lines(tmp_path / "labels.jsonl", [{"id": "a"}, {"id": "b"}]))

    def without(key: str, column: str) -> InteractionFile:
        return InteractionFile(str(path), labels, suppressed=Suppressed.of([key], b"salt", column=column))

    by_query, by_label, absent = without("u1", "query_id"), without("b", "label"), without("u9", "query_id")
    assert by_query.read().queries["id"].to_pylist() == ["shirt", "u2"]
    assert by_label.read().labels["id"].to_pylist() == ["a"]
    assert by_label.read().queries["id"].to_pylist() == ["u1", "shirt", "u2"]
    assert without("u1", "id").read().queries["id"].to_pylist() == ["shirt", "u2"]
    either = without("b", "id").read()
    assert (either.queries["id"].to_pylist(), either.labels["id"].to_pylist()) == (["u1", "shirt", "u2"], ["a"])
    plain = InteractionFile(str(path), labels).identity()
    assert absent.identity() == plain
    assert len({plain, by_query.identity(), by_label.identity()}) == 3


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_forgotten_text_of_a_file_without_query_ids(tmp_path: Path, kind: str) -> None:
    rows: list[Row] = [
        {"query": " mine ", "label": "a"},
        {"query": "shirt", "label": "a"},
        {"query": "mine", "label": ""},
    ]
    path = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        lines(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    gone = Suppressed.of(["mine"], b"salt", column="query_id")
    source = InteractionFile(str(path), suppressed=gone)
    assert source.read().queries["id"].to_pylist() == ["shirt"]
    assert source.identity() != InteractionFile(str(path)).identity()
    # What an older reading set aside can be left out as well.
    bad = read_interactions(path).quarantined
    assert (bad.num_rows, rows_without(bad, gone).num_rows) == (1, 0)


def test_many_batches_are_merged_as_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    size = 20_000  # more than a batch of Parquet has
    queries, labels = random.integers(0, 5000, size), random.integers(0, 700, size)
    weights, days = random.integers(1, 9, size), random.integers(1, 29, size)
    cells = zip(queries, labels, weights, days, strict=True)
    rows = [
        {"query": f"q {q}", "label": f"l{k}", "weight": float(w), "day": f"2026-01-{d:02d}"} for q, k, w, d in cells
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=7000)
    batch = read_interactions(tmp_path / "rows.parquet")
    expected = naive(rows, [], only=False)
    assert [table.to_pylist() for table in (batch.queries, batch.labels, batch.pairs)] == list(expected[:3])
