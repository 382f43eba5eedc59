"""Baselines beside plain definitions, and the judging of candidates."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.corpus.bm25 import Bm25Params
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.svd import SvdParams, factorize, project, projection
from fingerpost.tasks.corpus.tfidf import TfidfParams
from fingerpost.tasks.xmr.baselines import Bm25Labels, DenseLabels, DenseParams, featurizer_of
from fingerpost.tasks.xmr.evaluation import (
    Candidate,
    Evaluation,
    FeaturizedTexts,
    JudgeParams,
    evaluate_all,
    evaluate_candidate,
)
from fingerpost.tasks.xmr.frequent import FrequentLabels
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.metrics import evaluate, hits, recall_at
from fingerpost.tasks.xmr.ranking import NONE
from fingerpost.tasks.xmr.sparse_rows import MatrixError
from tests.unit.xmr.worlds import topic_problem

TEXTS = [
    "red apples and green apples",
    "green pears",
    "",
    "a long story about pears, plums and one apples tree in the green garden",
    "plums",
]


def test_frequent_labels_come_by_count_then_label() -> None:
    ranking = FrequentLabels(np.array([2, 5, 0, 5, 1])).rank(["anything", ""], 6)
    assert ranking.ids.tolist() == [[1, 3, 0, 4, NONE, NONE]] * 2
    assert ranking.scores[0].tolist() == pytest.approx([5 / 13, 5 / 13, 2 / 13, 1 / 13, 0, 0])
    assert (
        FrequentLabels(np.array([1, 2])).rank(sparse.csr_array((3, 7), dtype=np.float32), 1).ids.tolist() == [[1]] * 3
    )
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        FrequentLabels(np.array([1])).rank(["x"], 0)


def plain_bm25(query: str, texts: list[str], k1: float, b: float) -> list[float]:
    tokens = [re.findall(r"(?u)\b\w\w+\b", text.lower()) for text in texts]
    mean = sum(map(len, tokens)) / len(tokens)
    scores = []
    for document in tokens:
        count, total = Counter(document), 0.0
        for word in re.findall(r"(?u)\b\w\w+\b", query.lower()):
            df = sum(word in other for other in tokens)
            idf = math.log(1 + (len(tokens) - df + 0.5) / (df + 0.5))
            total += idf * count[word] * (k1 + 1) / (count[word] + k1 * (1 - b + b * len(document) / mean))
        scores.append(total)
    return scores


def test_bm25_equals_its_definition() -> None:
    queries = ["Green apples", "plums plums", "unknown words only", "pears in a garden"]
    ranking = Bm25Labels(TEXTS, Bm25Params(k1=1.5, b=0.6)).rank(queries, 5)
    for row, query in enumerate(queries):
        expected = plain_bm25(query, TEXTS, 1.5, 0.6)
        order = sorted((label for label in range(5) if expected[label] > 0), key=lambda x: (-expected[x], x))
        assert ranking.ids[row].tolist() == order + [NONE] * (5 - len(order)), query
        assert ranking.scores[row, : len(order)].tolist() == pytest.approx([expected[x] for x in order], rel=1e-5)
        assert (ranking.scores[row, len(order) :] == 0).all()


@pytest.mark.parametrize("texts", [["", ""], []])
def test_bm25_without_words_answers_nothing(texts: list[str]) -> None:
    assert (Bm25Labels(texts).rank(["a word", ""], 3).ids == NONE).all()


def test_dense_labels_equal_all_cosines() -> None:
    features, targets = topic_problem(3, rows=500, labels=50)
    model = factorize([features], SvdParams(rank=20), energy=features.shape[0])
    components = projection(model, whitening=0.5)
    label_features = embed_labels(features, targets)
    vectors = project(label_features, components)
    vectors[7] = 0
    cosine = project(features, components) @ vectors.T
    cosine[:, 7] = -2
    for params in (DenseParams(exact=True), DenseParams(ef=60)):
        dense = DenseLabels(components, vectors, params)
        ranking = dense.rank(features, 5)
        best = np.sort(cosine, axis=1)[:, ::-1][:, :5]
        np.testing.assert_allclose(ranking.scores, best, atol=2e-6)
        assert dense.nbytes > components.nbytes + 49 * 20 * 4
        assert 7 not in ranking.ids
    assert (DenseLabels.of_features(components, label_features).rank(features, 50).ids != NONE).all()
    assert recall_at(hits(ranking, targets), np.diff(targets.indptr), 5) > 0.4


def test_dense_labels_without_direction() -> None:
    nowhere = sparse.csr_array((2, 4), dtype=np.float32)
    dense = DenseLabels(np.ones((4, 2), np.float32), np.ones((3, 2), np.float32))
    assert (dense.rank(nowhere, 3).ids == NONE).all()
    none = DenseLabels(np.ones((4, 2), np.float32), np.zeros((3, 2), np.float32))
    assert (none.rank(sparse.csr_array(np.ones((1, 4), np.float32)), 2).ids == NONE).all()
    with pytest.raises(MatrixError, match="label vectors: expected 2 columns, got 3"):
        DenseLabels(np.ones((4, 2), np.float32), np.ones((5, 3), np.float32))


class Ticks:
    """A clock that goes on by one millisecond a look, and by ten more in every tenth query."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return (self.looks + 10 * (self.looks // 20)) / 1000


def test_candidates_are_judged_on_the_same_rows() -> None:
    truth = sparse.csr_array(np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1]], np.float32))
    counts = np.array([5, 40, 0, 2, 1])
    queries = ["red apples", "green pears", "plums in a story"]
    test = Evaluation(queries, truth, counts, rows=48)
    bm25, often = Bm25Labels(TEXTS), FrequentLabels(counts)
    candidates = [Candidate("bm25", bm25, 0.5, bm25.nbytes), Candidate("frequent", often, 0.0, often.nbytes)]
    cards = evaluate_all(candidates, test, JudgeParams(k=5, band_k=3), clock=Ticks())
    for card, ranker in zip(cards, (bm25, often), strict=True):
        assert card.metrics == evaluate(ranker.rank(queries, 5), truth, counts=counts, rows=48)
        assert sum(bucket.recall * bucket.occurrences for bucket in card.buckets) == pytest.approx(
            hits(ranker.rank(queries, 3), truth).sum()
        )
        assert card.measured()["bytes"] == ranker.nbytes
        assert ("recall_at_5" in card.metrics, "recall_at_10" in card.metrics) == (True, False)
    named = {(method, setting, metric) for card in cards for method, setting, metric, _ in card.figures()}
    assert len(named) == sum(len(card.figures()) for card in cards)
    assert ("bm25", "seen 30-99", "recall") in named
    assert cards[0].metrics["precision_at_1"] == 1.0
    assert cards[0].unanswered == 0.0
    with pytest.raises(ValueError, match="candidates: expected different names"):
        evaluate_all([candidates[0]] * 2, test, clock=Ticks())
    with pytest.raises(MatrixError, match=r"truth: expected \(3, 4\), got \(3, 5\)"):
        Evaluation(queries, truth, counts[:4], rows=48)


def test_latency_is_that_of_single_queries() -> None:
    class Counting:
        def __init__(self) -> None:
            self.calls: list[int] = []

        def rank(self, queries: list[str], k: int = 10):
            self.calls.append(len(queries))
            return FrequentLabels(np.array([1, 1])).rank(queries, k)

    answers, count = Counting(), 200
    truth = sparse.csr_array((count, 2), dtype=np.float32)
    test = Evaluation([str(row) for row in range(count)], truth, np.array([1, 1]), rows=3)
    card = evaluate_candidate(
        Candidate("it", answers), test, JudgeParams(k=2, band_k=2, timed=100, warm_up=7), clock=Ticks()
    )
    assert answers.calls == [count] + [1] * 107
    assert card.latency["p50_ms"] == 1.0
    assert card.latency["p95_ms"] == pytest.approx(11.0)
    assert card.unanswered == 0.0


def test_texts_are_featurized_for_rankers_of_rows() -> None:
    ngrams = NgramParams((FamilyParams("word", 1, 1),), name_weight=0, first_weight=0)
    featurizer = featurizer_of(TEXTS, ngrams, TfidfParams(family_weights=(1.0,)))
    rows = featurizer.transform(TEXTS)
    components = np.eye(rows.shape[1], dtype=np.float32)
    dense = DenseLabels.of_features(components, rows, DenseParams(exact=True))
    assert FeaturizedTexts(featurizer, dense).rank(["plums", "green pears"], 1).ids.tolist() == [[4], [1]]
