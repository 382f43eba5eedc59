"""Certificates: what they promise holds on queries that nobody has asked yet."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from fingerpost.tasks.ann.certificate import Certificate, CertifiedWidth, UnreachedRecallError, certify
from fingerpost.tasks.ann.codes import CodeParams, fit_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.held_out import asked, given_queries, held_out_documents, recalls, rows_to_hold_out
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.planned import HeldSearches, PlanOpener
from fingerpost.tasks.ann.search import SearchCounters, SearchResult
from fingerpost.tasks.ann.search_plan import PLAIN, SearchPlan, plans_to_try
from fingerpost.tasks.ann.search_tuning import CertificateParams, Speeds, choose, measure, search_widths
from tests.data import data_folder
from tests.support.vectors import decaying

NONE_REMOVED = np.empty(0, dtype=np.int64)


def descriptors(rows: int) -> tuple[np.ndarray, np.ndarray]:
    archive = np.load(data_folder("sift128") / "sift128.npz")
    return archive["train"][:rows].astype(np.float32), archive["test"].astype(np.float32)


class Kept:
    """What an index found once for all queries of a population, so that samples of it cost no search."""

    metric = "l2"

    def __init__(self, index: HnswIndex, population: np.ndarray, k: int, widths: list[int]) -> None:
        self.vectors, self._rows = index.vectors, {row.tobytes(): place for place, row in enumerate(population)}
        self._found = {ef: index.search(population, k, ef=ef) for ef in widths}

    def search(self, queries: np.ndarray, k: int, *, ef: int, threads: int = 1) -> SearchResult:
        places, found = [self._rows[row.tobytes()] for row in queries], self._found[ef]
        return SearchResult(found.ids[places], found.distances[places], SearchCounters(1, 1, 0))


def test_intervals_hold_on_fresh_queries_in_at_least_95_of_100_repetitions() -> None:
    """All widths of the curve at once, and the width that the certificate chose on it, with other samples each time."""
    vectors, population = descriptors(8_000)
    population = np.unique(population, axis=0)
    graph, _ = build(vectors, HnswParams(8, 60, "l2"))
    params = CertificateParams(target_recall=0.95, widest=160, confidence=0.95)
    index = Kept(HnswIndex(vectors, graph, "l2"), population, 10, search_widths(10, 160))
    whole = asked(population, vectors, NONE_REMOVED, "l2", k=10)
    every = {ef: recalls(index.search(population, 10, ef=ef), whole, vectors, "l2") for ef in search_widths(10, 160)}
    curves = chosen = fresh = 0
    for number in range(100):
        order = np.random.default_rng(number).permutation(len(population))
        sample, others = order[:600], order[600:]
        part = replace(
            whole,
            vectors=population[sample],
            exact=SearchResult(whole.exact.ids[sample], whole.exact.distances[sample], SearchCounters()),
        )
        found = certify(index, PLAIN, part, vectors, "l2", params, population="queries")  # type: ignore[arg-type]
        assert found.reached
        curves += all(point.low <= every[point.ef].mean() <= point.high for point in found.curve)
        chosen += found.at.low <= every[found.ef][others].mean() <= found.at.high
        # As many queries as were certified: their own mean varies too.
        fresh += found.at.low <= every[found.ef][others[:600]].mean() <= found.at.high
    assert min(curves, chosen, fresh) >= 95, (curves, chosen, fresh)


def test_the_target_sets_the_width_and_a_recall_beyond_the_curve_is_named() -> None:
    vectors = np.random.default_rng(0).normal(size=(3_000, 16)).astype(np.float32)
    queries = np.random.default_rng(1).normal(size=(1_000, 16)).astype(np.float32)
    graph, _ = build(vectors, HnswParams(8, 60, "l2"))
    part = asked(queries, vectors, NONE_REMOVED, "l2", k=10)
    params = CertificateParams(target_recall=0.95)
    found = certify(HnswIndex(vectors, graph, "l2"), PLAIN, part, vectors, "l2", params, population="queries")
    assert found.reached
    assert found.ef == found.ef_for(0.95)
    assert all(point.low < 0.95 for point in found.curve if point.ef < found.ef)
    assert found.ef_for(0.5) <= found.ef
    with pytest.raises(UnreachedRecallError, match=r"expected at most 0\.9\d+, which .* with ef \d+"):
        found.ef_for(0.9999)
    assert Certificate.of(found.settings(), found.curve) == found


def test_a_certificate_is_printed_as_a_table() -> None:
    curve = (CertifiedWidth(10, 0.94251, 0.9109, 0.961, 10.0, 90.0), CertifiedWidth(400, 1.0, 0.9676, 1.0, 50.0, 450.0))
    printed = str(Certificate(PLAIN, 10, 0.95, 400, "documents", 2400, 0.95, curve))
    assert printed.splitlines() == [
        "plain: recall@10 on 2,400 documents; between the bounds with a confidence of 95 %, target 0.95",
        "    ef    recall  at least  at most",
        "    10    0.9425    0.9109   0.9610",
        "   400 ←  1.0000    0.9676   1.0000",
    ]


def test_few_documents_are_all_compared() -> None:
    """Nobody can show a recall of 0.98 by five queries: plain search then compares every vector."""
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    graph, _ = build(vectors, HnswParams(metric="l2"))
    params = CertificateParams()
    rows = rows_to_hold_out(graph, params.asked, share=params.held_share, seed=0)
    held = held_out_documents(vectors, rows, choosing=params.choosing)
    plans = plans_to_try("fast", codes=("bits4",), finger=False, reordered=False)
    index = HnswIndex(vectors, graph, "l2")
    first = asked(held.choosing, vectors, NONE_REMOVED, "l2", k=10)
    speeds = measure(lambda plan: index, plans, first, vectors, "l2", params, clock=iter(range(10_000)).__next__)
    tried = choose(speeds, plans, params, certifying=len(held.certifying))
    assert [one.plan for one in tried if one.chosen] == [PLAIN]
    second = asked(held.certifying, vectors, NONE_REMOVED, "l2", k=10)
    found = certify(index, PLAIN, second, vectors, "l2", params, population="documents")
    assert found.ef == 50
    assert max(point.ef for point in found.curve) == 50
    assert all("cannot be certified at any width with so few queries" in one.reason for one in tried)
    assert found.reached
    assert found.at.low == 1.0


@pytest.mark.parametrize("outlier", [1.0, 1e6])
@pytest.mark.parametrize("codes", ["bits4", "bits8"])
def test_few_documents_are_all_compared_exactly_where_codes_find_them(
    codes: Literal["bits4", "bits8"], outlier: float
) -> None:
    vectors = decaying(200, 100, seed=1)
    vectors[0, 0] = outlier
    graph, fitted = (
        build(vectors, HnswParams(8, 60, "l2"))[0],
        fit_codes(vectors, "l2", CodeParams(bits=int(codes[-1]))),
    )
    plan = SearchPlan("fast", "bits8" if fitted.bits == 8 else "bits4")
    opener = PlanOpener(vectors, graph, "l2", {plan.codes: fitted})
    params = CertificateParams(queries=100, plan=plan)
    held = HeldSearches.of(opener, params)
    made = certify(held.opener(plan), plan, held.certifying(), vectors, "l2", params, population="documents")
    assert made.at.low == 1.0
    queries = decaying(100, 100, seed=2)
    found = opener.packed(plan).search(queries, 10, ef=made.ef)
    assert np.array_equal(found.ids, ExactIndex(vectors, "l2").search(queries, 10).ids)


def test_few_documents_are_no_proof_where_their_vectors_are_kept_with_loss() -> None:
    vectors = decaying(20, 100, seed=1)
    graph, fitted = build(vectors, HnswParams(8, 60, "l2"))[0], fit_codes(vectors, "l2")
    plan = SearchPlan("compact", "bits4" if fitted.bits == 4 else "bits8")
    params = CertificateParams(queries=100, plan=plan)
    held = HeldSearches.of(PlanOpener(vectors, graph, "l2", {plan.codes: fitted}), params)
    made = certify(held.opener(plan), plan, held.certifying(), vectors, "l2", params, population="documents")
    assert made.at.low < 0.5


def speeds_of(seconds: dict[str, float], recall: float = 0.999) -> Speeds:
    """The same recall for all, at one width, at these seconds a query."""
    figures = [
        (name, "ef=40", metric, value)
        for name in seconds
        for metric, value in (("recall", recall), ("deviation", 0.01))
    ]
    return Speeds(figures, {name: {"ef=40": value} for name, value in seconds.items()})


FAST, ORDERED = SearchPlan("fast", "bits4"), SearchPlan("fast", "bits4", reordered=True)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"plain": 1.0, "fast bits4": 0.5, "fast bits4 reordered": 0.49}, FAST),
        ({"plain": 1.0, "fast bits4": 0.5, "fast bits4 reordered": 0.4}, ORDERED),
        ({"plain": 1.0, "fast bits4": 0.97, "fast bits4 reordered": 1.2}, PLAIN),
        ({"plain": 1.0, "fast bits4": 1.4, "fast bits4 reordered": 1.2}, PLAIN),
    ],
)
def test_the_simplest_plan_that_none_beats_by_the_margin_is_chosen(
    seconds: dict[str, float], chosen: SearchPlan
) -> None:
    tried = choose(speeds_of(seconds), (PLAIN, FAST, ORDERED), CertificateParams(), certifying=2_000)
    assert [one.plan for one in tried if one.chosen] == [chosen]
    assert all(one.reason for one in tried)


def test_a_plan_that_is_set_is_not_chosen() -> None:
    params = CertificateParams(plan=ORDERED)
    tried = choose(speeds_of({"plain": 1.0}), (PLAIN, ORDERED), params, certifying=2_000)
    assert [one.chosen for one in tried] == [False, True]


def test_no_query_is_in_both_parts_and_equal_ones_count_once() -> None:
    queries = np.repeat(np.random.default_rng(0).normal(size=(100, 4)), 3, axis=0)
    held = given_queries(queries, columns=4, count=1_000, choosing=0.2, seed=0)
    parts = [{row.tobytes() for row in part} for part in (held.choosing, held.certifying)]
    assert (len(parts[0]), len(parts[1]), parts[0] & parts[1]) == (20, 80, set())


def test_recalls_do_not_believe_the_distances_of_an_index() -> None:
    vectors = np.arange(20, dtype=np.float32)[:, None]
    part = asked(np.array([[3.1]], np.float32), vectors, np.array([3]), "l2", k=2)
    assert part.exact.ids.tolist() == [[4, 2]]
    claimed = SearchResult(np.array([[4, 9]], np.uint32), np.zeros((1, 2), np.float32), SearchCounters())
    assert recalls(claimed, part, vectors, "l2").tolist() == [0.5]


def test_parameters_out_of_range_are_refused() -> None:
    for name, value in (("target_recall", 1.0), ("margin", -0.1), ("repeats", 0), ("widest", 5)):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            CertificateParams(**{name: value})
    with pytest.raises(ValueError, match="plan: expected no codes"):
        SearchPlan("plain", "bits4")
    with pytest.raises(ValueError, match="plan: expected no codes and no other order with FINGER"):
        SearchPlan("fast", "bits4", finger=True)
