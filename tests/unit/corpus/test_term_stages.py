"""Terms from documents to postings and features as artifacts: read back as computed, whatever the shards."""

import csv
import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from fingerpost.schemas import corpus
from fingerpost.schemas.chosen_settings import chosen_to_arrow, settings_from_arrow, settings_to_arrow
from fingerpost.schemas.errors import ContractError, CorruptArtifactError, FingerpostError
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.matrices import sparse_from_arrow
from fingerpost.schemas.packed_texts import packed_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.field_weights import FieldWeightParams
from fingerpost.tasks.corpus.impacts import term_impacts
from fingerpost.tasks.corpus.lexicon import shard_lexicon
from fingerpost.tasks.corpus.open import (
    counts_table,
    read_all_counts,
    read_analyzer,
    read_counts,
    read_field_weights,
    read_lexicon,
    read_postings,
)
from fingerpost.tasks.corpus.stages import terms
from fingerpost.tasks.corpus.stages.documents import import_documents
from fingerpost.tasks.corpus.stemming import stemmer_version
from fingerpost.tasks.corpus.term_counts import TermCounts, count_terms
from fingerpost.tasks.corpus.term_weights import TermWeightParams, feature_columns, feature_rows
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import BLOCK_ROWS
from tests.worlds import DAY, texts

ROWS = BLOCK_ROWS + 40
PARAMS = TermWeightParams(max_terms=40)


class Made:
    """The artifacts of a file of documents."""

    def __init__(self, folder: Path, rows: list[dict[str, str]]) -> None:
        self.store = Store(str(folder / "store")).prepare()
        env, file = Environment(self.store, "toys", DAY), folder / "rows.csv"
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        self.refs: dict[str, Ref] = {}
        made = self.refs
        made["documents"] = import_documents.execute(env, FileSource(str(file)), params=ImportParams(BLOCK_ROWS))
        made["analyzer"] = terms.choose_analyzer.execute(
            env, made["documents"], params=AnalyzerParams("english"), stemmer=stemmer_version()
        )
        counts = made["term_counts"] = terms.count_terms.execute(env, made["documents"], made["analyzer"])
        lexicon = made["lexicon"] = terms.merge_lexicon.execute(env, counts, made["analyzer"])
        weights = made["field_weights"] = terms.choose_field_weights.execute(
            env, made["documents"], made["analyzer"], counts, lexicon, params=FieldWeightParams(questions=20)
        )
        made["postings"] = terms.build_postings.execute(env, counts, lexicon, weights)
        made["features"] = terms.weigh_documents.execute(env, counts, lexicon, weights, params=PARAMS)

    def open(self, role: str) -> Artifact:
        contract = next(one for one in corpus.CONTRACTS if one.name == self.refs[role].name)
        return self.store.open(self.refs[role], contract)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    found = list(texts(ROWS, 4))
    found[7]["text"], found[7]["title"] = "?", ""
    found[ROWS - 1]["title"] = "Ödön, the naïve 東京 日本 writer"
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> Made:
    return Made(tmp_path_factory.mktemp("terms"), rows)


@pytest.fixture(scope="module")
def counts(rows: list[dict[str, str]]) -> TermCounts:
    """The counts of all documents at once."""
    analyzer = Analyzer(AnalyzerParams("english"))
    return count_terms([row["title"] for row in rows], [row["text"] for row in rows], analyzer)


def same(one: TermCounts, other: TermCounts) -> None:
    assert one.terms == other.terms
    for name in ("indptr", "indices", "occurrences"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_counts_of_shards_are_those_of_all_documents(made: Made, counts: TermCounts) -> None:
    artifact = made.open("term_counts")
    assert [entry.shard for entry in artifact.entries("terms")] == [0, 1]
    same(read_all_counts(artifact), counts)
    assert artifact.quality["documents"] == ROWS
    assert artifact.quality["tokens"] == counts.occurrences.sum()
    assert artifact.quality["empty"] == 1


def test_the_lexicon_is_that_of_all_documents(made: Made, counts: TermCounts) -> None:
    artifact = made.open("lexicon")
    found = read_lexicon(artifact)
    expected = shard_lexicon(counts).with_stop(Analyzer(AnalyzerParams("english")).stop_words)
    assert found.terms == expected.terms == sorted(expected.terms)
    assert found.columns(["東京", "the", "absent"]).tolist() == expected.columns(["東京", "the", "absent"]).tolist()
    for name in ("offsets", "letters", "document_frequency", "occurrences", "stop"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.documents == ROWS
    assert artifact.quality["terms"] == found.size


def test_postings_and_features_are_those_of_all_documents(made: Made, counts: TermCounts) -> None:
    lexicon, weights = read_lexicon(made.open("lexicon")), read_field_weights(made.open("field_weights"))
    impacts = term_impacts(counts, lexicon, weights)
    postings = read_postings(made.open("postings"))
    assert (postings.forward != impacts).nnz == 0
    by_term = impacts.tocsc()
    for name, array in (("indptr", by_term.indptr), ("documents", by_term.indices), ("weights", by_term.data)):
        np.testing.assert_array_equal(getattr(postings, name), array)
    assert made.open("postings").quality["postings"] == impacts.nnz
    artifact = made.open("features")
    found = sparse_from_arrow(artifact.read("features"), columns=artifact.quality["columns"])
    expected_rows: sparse.csr_array = feature_rows(impacts, feature_columns(lexicon, PARAMS))
    assert (found != expected_rows).nnz == 0
    assert artifact.quality["empty_rows"] >= 1


def test_what_was_chosen_is_read_back(made: Made) -> None:
    assert read_analyzer(made.open("analyzer")) == Analyzer(AnalyzerParams("english"))
    artifact = made.open("field_weights")
    assert settings_from_arrow(artifact.read("settings")) == asdict(read_field_weights(artifact))
    assert all(row["reason"] for row in artifact.read("chosen").to_pylist())


def test_another_stemmer_makes_other_terms(made: Made) -> None:
    env = Environment(made.store, "toys", DAY)
    other = terms.choose_analyzer.execute(
        env, made.refs["documents"], params=AnalyzerParams("english"), stemmer="another version"
    )
    assert other != made.refs["analyzer"]


def test_documents_without_a_term_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FingerpostError, match=r"^texts: expected terms, found none in 2 texts; give texts with words"):
        Made(tmp_path, [{"id": "a", "title": "?", "text": "!"}, {"id": "b", "title": "…", "text": "-- / --"}])


def test_counts_whose_lists_differ_in_length_are_refused(counts: TermCounts) -> None:
    table = counts_table(counts)
    shorter = table.set_column(1, "name", pa.array([[] for _ in range(table.num_rows)], pa.list_(pa.uint32())))
    check = corpus.TERM_COUNTS.table("counts").check
    check(table, where="here")
    with pytest.raises(ContractError, match="'terms' and 'name' differ in length"):
        check(shorter, where="here")


def test_counts_of_no_document_are_read_back(tmp_path: Path, made: Made) -> None:
    none = count_terms([], [], Analyzer(AnalyzerParams("english")))

    class Empty:
        def read(self, table: str, shard: int) -> pa.Table:
            return counts_table(none) if table == "counts" else pa.table({"term": pa.array([], pa.string())})

    same(read_counts(Empty(), 0), none)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [{}, {"a": 0.1, "b": 1e-300, "c": True, "d": None, "e": "é", "f": {"g": [1, 2]}}, {"h": 2**60}]
)
def test_settings_are_read_back_as_written(values: dict[str, Any]) -> None:
    table = settings_to_arrow(values)
    assert settings_from_arrow(table) == values
    assert table["name"].to_pylist() == sorted(values)


def test_settings_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        settings_to_arrow({"a": float("nan")})
    with pytest.raises(CorruptArtifactError, match="settings: expected values as JSON"):
        settings_from_arrow(pa.table({"name": ["a"], "value": ["{"]}))


def test_choices_keep_their_order() -> None:
    rows = [("b", "1", True, "why"), ("a", "2", False, "why not")]
    assert [tuple(row.values()) for row in chosen_to_arrow(rows).to_pylist()] == rows
    assert chosen_to_arrow([]).num_rows == 0


@pytest.mark.parametrize("parts", [[], [[]], [["a"]], [["ä", ""], ["", "bb"]], [["x"], [], ["yy", "z"]]])
def test_packed_texts_are_those_of_the_column(parts: list[list[str]]) -> None:
    column = pa.chunked_array([pa.array(["cut", *part], pa.string()).slice(1) for part in parts], pa.string())
    offsets, letters = packed_from_arrow(column)
    content = letters.tobytes()
    found = [content[start:stop].decode() for start, stop in itertools.pairwise(offsets)]
    assert found == column.to_pylist()
    assert offsets[0] == 0
    assert offsets[-1] == len(letters)
