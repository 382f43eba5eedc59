"""One day's file: rows, what it deletes, and the days that there are files of."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.run.input_days import change_of_days
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.daily import (
    Catalogue,
    DailyDocuments,
    DailyEmbeddings,
    DailyInteractions,
    rows_of_days,
)
from fingerpost.schemas.inputs.days import files_by_day, unchanging_files
from fingerpost.schemas.inputs.suppression import Suppressed


def written(folder: Path, text: str, name: str = "day.csv") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_deletion_counts_for_the_rows_above_it(tmp_path: Path) -> None:
    rows = "a,first,\na,,true\na,second,no\nb,once,\nb,,1\nc,,Yes\n,,true\nd,text,maybe\n"
    batch = DailyDocuments(written(tmp_path, f"id,text,deleted\n{rows}")).read()
    assert list(zip(batch.accepted["id"].to_pylist(), batch.accepted["text"].to_pylist(), strict=True)) == [
        ("a", "second")
    ]
    assert batch.deleted["id"].to_pylist() == ["a", "b", "c"]
    assert batch.quarantined["reason"].to_pylist() == ["no id", "wrong type"]
    assert batch.quarantined["row"].to_pylist() == [6, 7]


@pytest.mark.parametrize(
    "flags",
    [
        pa.array([True, None, False]),
        pa.array([1, None, 0]),
        pa.array([1.0, float("nan"), 0.0]),
        pa.array(["TRUE", "", "f"]),
    ],
    ids=["bool", "int", "float", "text"],
)
def test_flags_may_be_of_any_type_that_says_yes_or_no(flags: pa.Array, tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    pq.write_table(pa.table({"sku": ["a", "b", "c"], "text": ["x", "y", "z"], "gone": flags}), path)
    batch = DailyDocuments(str(path), (("deleted", "gone"), ("id", "sku"))).read()
    assert (batch.accepted["id"].to_pylist(), batch.deleted["id"].to_pylist()) == (["b", "c"], ["a"])
    assert not batch.reasons


def test_a_file_of_deletions_alone_is_a_day(tmp_path: Path) -> None:
    for name, text in (("day.csv", "id,deleted\na,true\n"), ("day.jsonl", '{"id": "a", "deleted": true}\n')):
        batch = DailyDocuments(written(tmp_path, text, name)).read()
        assert (batch.accepted.num_rows, batch.deleted["id"].to_pylist(), batch.reasons) == (0, ["a"], {})


def test_a_file_without_deletions_is_read_as_ever(tmp_path: Path) -> None:
    path = written(tmp_path, "id,text\na,x\na,y\n,z\n")
    batch = DailyDocuments(path).read()
    assert batch.accepted["id"].to_pylist() == ["a"]
    assert batch.reasons == {"duplicate id": 1, "no id": 1}
    assert batch.deleted.num_rows == 0


def test_forgotten_keys_are_in_neither_rows_nor_deletions(tmp_path: Path) -> None:
    path = written(tmp_path, "id,text,deleted\na,x,\nb,y,\na,,true\n")
    plain, without = DailyDocuments(path), DailyDocuments(path, suppressed=Suppressed.of(["a"], b"salt"))
    assert plain.identity() != without.identity()
    assert DailyDocuments(path, suppressed=Suppressed.of(["z"], b"salt")).identity() == plain.identity()
    batch = without.read()
    assert (batch.accepted["id"].to_pylist(), batch.deleted.num_rows) == (["b"], 0)


def test_an_embedding_that_is_deleted_needs_no_vector(tmp_path: Path) -> None:
    batch = DailyEmbeddings(written(tmp_path, 'id,label,vector,deleted\na,x,"[1,2]",\nb,,,true\nc,x,,\n')).read()
    assert batch.accepted["id"].to_pylist() == ["a"]
    assert (batch.deleted["id"].to_pylist(), batch.reasons) == (["b"], {"no vector": 1})


def test_an_interaction_is_deleted_by_query_and_label(tmp_path: Path) -> None:
    rows = "red shoe,1,2,\nred shoe,2,,\nred shoe,1,,true\nblue hat,3,,\n"
    batch = DailyInteractions(written(tmp_path, f"query,label,weight,deleted\n{rows}")).read()
    assert list(zip(batch.accepted["id"].to_pylist(), batch.accepted["label"].to_pylist(), strict=True)) == [
        ("red shoe", "2"),
        ("blue hat", "3"),
    ]
    assert batch.deleted.to_pylist() == [{"id": "red shoe", "label": "1"}]


def test_days_of_interactions_are_as_one_file_with_the_newest_text_of_a_query(tmp_path: Path) -> None:
    first = written(tmp_path, "query_id,query,label,weight\n7,red shoe,a,1\n7,red shoe,b,1\n8,hat,a,1\n", "one.csv")
    second = written(tmp_path, "query_id,query,label,weight\n7,red shoes,a,2\n", "two.csv")
    days = [DailyInteractions(path).read().accepted for path in (first, second)]
    labels = written(tmp_path, "id,name\na,Apple\nc,Cherry\n", "labels.csv")
    batch = Catalogue(labels, unknown_labels="quarantine").batch(rows_of_days(days))
    assert batch.queries["text"].to_pylist() == ["red shoes", "hat"]
    assert batch.labels["name"].to_pylist() == ["Apple", "Cherry"]
    assert batch.pairs.to_pylist() == [
        {"query": 0, "label": 0, "weight": 3.0},
        {"query": 1, "label": 0, "weight": 1.0},
    ]
    assert batch.reasons == {"unknown label": 1}


def test_days_are_found_wherever_the_placeholder_stands(tmp_path: Path) -> None:
    folder = tmp_path / "data [1]"
    for day in ("2026-01-02", "2026-01-01", "2026-02-30"):
        (folder / day).mkdir(parents=True)
        (folder / day / f"news-{day}.csv").touch()
    (folder / "2026-01-02" / "news-2026-01-03.csv").touch()
    found = files_by_day(str(folder / "{day}" / "news-{day}.csv"))
    assert list(found) == ["2026-01-01", "2026-01-02"]
    assert found["2026-01-01"] == str(folder / "2026-01-01" / "news-2026-01-01.csv")
    assert files_by_day(str(folder / "news.csv")) == {}
    assert files_by_day(str(tmp_path / "nowhere" / "{day}.csv")) == {}


def test_the_identity_of_a_file_is_computed_anew_when_it_changes(tmp_path: Path) -> None:
    path = written(tmp_path, "id,text\na,x\n")
    with unchanging_files():
        before = DailyDocuments(path).identity()
        assert DailyDocuments(path).identity() == before
        assert DailyDocuments(path, (("text", "id"),)).identity() != before
        written(tmp_path, "id,text\na,longer\n")
        assert DailyDocuments(path).identity() != before
    with pytest.raises(InputError):
        DailyDocuments(str(tmp_path / "gone.csv")).identity()


def test_what_changed_between_two_merges_is_named_by_day() -> None:
    before = {"2026-01-01": "a", "2026-01-03": "c", "2026-01-04": "d"}
    now = {"2026-01-02": "b", "2026-01-03": "x", "2026-01-05": "e"}
    assert change_of_days(before, now) == (
        "late file of 2026-01-02, new day 2026-01-05, changed file of 2026-01-03, no longer read: 2026-01-01,"
        " no file any more of 2026-01-04"
    )
    assert change_of_days(now, now) == ""
