"""Files of labels that were not wanted, beside the interactions that they belong to."""

from pathlib import Path

import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.interactions import InteractionBatch, InteractionFile
from fingerpost.schemas.inputs.suppression import Suppressed


def source(folder: Path, negatives: str, suppressed: Suppressed | None = None) -> InteractionFile:
    (folder / "rows.csv").write_text("query,query_id,label\nred shirt,u1,a\nblue shirt,u2,b\ngreen hat,,a\n")
    (folder / "negatives.csv").write_text(negatives)
    return InteractionFile(
        str(folder / "rows.csv"), suppressed=suppressed, negatives_path=str(folder / "negatives.csv")
    )


def named(batch: InteractionBatch) -> list[tuple[str, str]]:
    queries, labels = batch.queries["id"].to_pylist(), batch.labels["id"].to_pylist()
    assert batch.negatives is not None
    return [(queries[row["query"]], labels[row["label"]]) for row in batch.negatives.to_pylist()]


def test_a_query_is_named_by_its_id_or_its_text(tmp_path: Path) -> None:
    rows = "query_id,query,label\nu2,,a\nu1,whatever,b\n,green hat,b\nu2,,a\n"
    batch = source(tmp_path, rows).read()
    assert named(batch) == [("u1", "b"), ("u2", "a"), ("green hat", "b")]
    assert batch.reasons == {}
    texts = source(tmp_path, "query,label\ngreen hat,b\n").read()
    assert named(texts) == [("green hat", "b")]


def test_bad_rows_are_set_aside_with_a_reason(tmp_path: Path) -> None:
    rows = "query_id,label\nu1,b\n,b\nu1,\nu9,b\nu1,z\n"
    batch = source(tmp_path, rows).read()
    assert named(batch) == [("u1", "b")]
    assert batch.reasons == {
        "negative: no label": 1,
        "negative: no query": 1,
        "negative: unknown label": 1,
        "negative: unknown query": 1,
    }
    assert batch.quarantined["row"].to_pylist() == [1, 2, 3, 4]
    assert batch.quarantined["id"].to_pylist()[1:] == ["u1", "u9", "u1"]


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a column 'label', found query"):
        source(tmp_path, "query\nred shirt\n").read()
    with pytest.raises(InputError, match="expected a column 'query' or 'query_id', found label"):
        source(tmp_path, "label\nb\n").read()


def test_what_they_say_is_part_of_the_identity_and_what_is_forgotten_is_left_out(tmp_path: Path) -> None:
    rows = "query_id,label\nu1,b\nu2,a\n"
    plain = source(tmp_path, rows)
    before = plain.identity()
    assert before != InteractionFile(plain.path).identity()
    assert before != source(tmp_path, rows + "u2,b\n").identity()
    forgotten = source(tmp_path, rows, Suppressed.of(["u1"], b"salt"))
    assert named(forgotten.read()) == [("u2", "a")]
    assert forgotten.identity() != before
    assert source(tmp_path, rows, Suppressed.of(["u7"], b"salt")).identity() == before
