"""The known-item task and its scores."""

import numpy as np
import pytest

from fingerpost.tasks.corpus.known_items import (
    KnownItemParams,
    question,
    score_ranking,
    select_known_items,
)
from tests.oracles import reciprocal_rank

TITLES = ["numpy.sort", "numpy.copy", "pandas.read_csv", "x.twin", "y.twin", "z.short"]
TEXTS = [
    "Return a sorted\n  copy of an array. Then more.\n\nThe body.",
    "Return an array copy of the given object.",
    "Read a CSV file into a DataFrame.\n\nMore.",
    "The same words stand in both of these. One.",
    "The same  words stand in both of THESE. Two.",
    "Too short.",
]


def test_a_question_leaves_out_the_names_words():
    assert question("pandas.read_csv", "Read a CSV file into a DataFrame, READ_CSV.") == "a file into a DataFrame"
    assert question("दिन", "आज का दिन अच्छा है।") == "आज का अच्छा है"


def test_objects_have_a_unique_sentence_of_enough_words():
    found = select_known_items(TITLES, TEXTS, KnownItemParams())
    assert found.rows.tolist() == [0, 1, 2]
    assert found.queries == [
        "Return a sorted copy of an array",
        "Return an array of the given object",
        "a file into a DataFrame",
    ]


def test_the_draw_is_seeded_and_bounded():
    titles = [f"m.f{number}" for number in range(50)]
    texts = [f"This is the function of number {number}." for number in range(50)]
    one = select_known_items(titles, texts, KnownItemParams(queries=10, seed=1))
    assert len(one.rows) == len(one.queries) == 10
    assert np.all(np.diff(one.rows) > 0)
    assert one.queries == [question(titles[row], texts[row]) for row in one.rows]
    assert np.array_equal(one.rows, select_known_items(titles, texts, KnownItemParams(queries=10, seed=1)).rows)
    assert not np.array_equal(one.rows, select_known_items(titles, texts, KnownItemParams(queries=10, seed=2)).rows)


def test_scores_equal_the_slow_version():
    rng = np.random.default_rng(0)
    ranked = np.array([rng.permutation(40)[:25] for _ in range(60)])
    wanted = rng.integers(0, 40, size=60)
    scores = score_ranking(ranked, wanted)
    expected = [reciprocal_rank(list(row), one) for row, one in zip(ranked, wanted, strict=True)]
    assert scores.mrr == pytest.approx(np.mean(expected))
    assert scores.recall_at_10 == np.mean([one in row[:10] for row, one in zip(ranked, wanted, strict=True)])
    assert scores.queries == 60


def test_no_queries_and_unequal_rows():
    assert score_ranking(np.empty((0, 10), dtype=np.int64), np.empty(0, dtype=np.int64)).mrr == 0
    with pytest.raises(ValueError, match="expected 2 rows, got 1"):
        score_ranking(np.zeros((1, 3), dtype=np.int64), np.zeros(2, dtype=np.int64))
