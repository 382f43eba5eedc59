"""Judged answers of several methods: means with intervals, comparisons in pairs, and what a query is judged by."""

import numpy as np
import pytest

from fingerpost.tasks.ann.judged import METRICS, IntervalParams, Judgements, mean_of, paired, query_metrics
from fingerpost.tasks.ann.judgement import JUDGED, judge, judged_by, served_of

QUERIES, DOCUMENTS = 30, 50


def world() -> tuple[dict[str, np.ndarray], Judgements]:
    """Rankings by four methods, the fused one with a relevant document more often first; one query has none."""
    rng = np.random.default_rng(0)
    relevant = rng.integers(0, DOCUMENTS, QUERIES)
    grades = np.full(QUERIES, 1.0)
    grades[7] = 0.0
    rankings = {
        name: np.stack([rng.permutation(DOCUMENTS) for _ in range(QUERIES)])
        for name in ("lexical", "dense", "fused", "bm25")
    }
    for query in range(0, QUERIES, 2):
        row = rankings["fused"][query]
        place = int(np.flatnonzero(row == relevant[query])[0])
        row[0], row[place] = row[place], row[0]
    return rankings, Judgements.of(np.arange(QUERIES), relevant, grades, count=QUERIES)


def test_figures_are_means_and_pairs_over_queries_with_a_relevant_document() -> None:
    rankings, judgements = world()
    params = IntervalParams(resamples=200)
    found = judge(rankings, judgements, params)
    values = {(method, setting, metric): value for method, setting, metric, value in found.figures}
    kept = np.arange(QUERIES) != 7
    for method, ranked in rankings.items():
        own = query_metrics(ranked, judgements)
        for metric in METRICS:
            mean = mean_of(own[metric][kept], params)
            ends = [values[method, JUDGED, f"{metric}{end}"] for end in ("", "_low", "_high")]
            assert ends == pytest.approx([mean.value, mean.low, mean.high], abs=1e-6)
        assert values[method, JUDGED, "queries"] == QUERIES - 1
    ours, theirs = (query_metrics(rankings[name], judgements)["ndcg_at_10"][kept] for name in ("fused", "bm25"))
    test = paired(ours, theirs)
    assert values["fused", "against_bm25", "ndcg_at_10_difference"] == pytest.approx(test.difference, abs=1e-6)
    assert values["fused", "against_bm25", "probability"] == pytest.approx(test.probability, abs=1e-6)
    assert test.probability < 0.01
    assert values["fused", "against_bm25", "better"] == (ours > theirs).sum()
    assert not [setting for _, setting, _, _ in found.figures if setting == "against_fused"]
    assert found.quality["judged_queries"] == QUERIES - 1
    assert found.quality["judged_ndcg_at_10"] == values["fused", JUDGED, "ndcg_at_10"]


def test_without_fused_answers_those_by_words_are_served() -> None:
    rankings, judgements = world()
    rest = {name: rankings[name] for name in ("lexical", "bm25")}
    found = judge(rest, judgements, IntervalParams(resamples=200))
    values = {(method, metric): value for method, setting, metric, value in found.figures if setting == JUDGED}
    assert found.quality["judged_ndcg_at_10"] == values["lexical", "ndcg_at_10"]
    with pytest.raises(ValueError, match="expected fused or lexical, got bm25"):
        served_of(["bm25"])


def test_nothing_relevant_is_refused() -> None:
    rankings, _ = world()
    nothing = Judgements.of(np.arange(QUERIES), np.arange(QUERIES), np.zeros(QUERIES), count=QUERIES)
    with pytest.raises(ValueError, match="expected a query with a relevant document"):
        judge(rankings, nothing, IntervalParams())


def test_a_query_is_judged_by_its_text_and_the_grades_of_ids() -> None:
    def digests(texts: list[str], rows: list[int], grades: list[float], ids: list[str]) -> list[str]:
        judgements = Judgements.of(np.array([0, 0, 1]), np.array(rows), np.array(grades), count=2)
        return judged_by(texts, ids, judgements)

    first = digests(["a", "b"], [0, 1, 2], [1.0, 2.0, 1.0], ["x", "y", "z"])
    assert first[0] != first[1]
    # The same documents in other rows.
    assert digests(["a", "b"], [2, 1, 0], [1.0, 2.0, 1.0], ["z", "y", "x"]) == first
    for other in (
        digests(["c", "b"], [0, 1, 2], [1.0, 2.0, 1.0], ["x", "y", "z"]),
        digests(["a", "b"], [0, 1, 2], [1.0, 3.0, 1.0], ["x", "y", "z"]),
        digests(["a", "b"], [0, 1, 2], [1.0, 2.0, 1.0], ["x", "w", "z"]),
    ):
        assert other[0] != first[0]
        assert other[1] == first[1]
