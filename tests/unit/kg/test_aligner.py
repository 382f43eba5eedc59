"""What an aligner computes: attention that sums to one, neighbours in any order or none, the same bits for a pair in any company."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.aligner import Aligner
from fingerpost.tasks.kg.aligner_graphs import (
    NONE,
    SHARED,
    AlignerGraph,
    EntityFacts,
    EntityValues,
    Matrix,
    aligner_graph,
    matrices_of,
)
from fingerpost.tasks.kg.aligner_hops import hop
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.neighborhoods import Neighborhoods
from tests.unit.kg.aligner_graphs import INPUTS, MATRICES, graph_of, random_aligner, random_graph, random_net

torch = pytest.importorskip("torch")

ATTENTION = ("none", "cross", "self", "both")
SCORES = ("product", "distance")
PARAMS = AlignerParams(hidden=8)


def some_pairs(seed: int, left: AlignerGraph, right: AlignerGraph, count: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, left.entities, count), rng.integers(0, right.entities, count)], axis=1)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("score", SCORES)
def test_logits_are_those_that_are_trained(attention: str, score: str) -> None:
    """Two implementations of one formula, numpy's for answers and torch's for gradients."""
    from fingerpost.tasks.kg.aligner_net import batch_of
    from fingerpost.tasks.kg.aligner_training import joined

    for seed in range(5):
        params = replace(PARAMS, attention=attention, score=score, seed=seed)
        left, right = random_graph(seed), random_graph(100 + seed, entities=20)
        net, pairs = random_net(params, seed=seed), some_pairs(seed, left, right)
        batch = batch_of(joined(left, right), pairs + np.array([0, left.entities]), np.zeros((len(pairs), 0)))
        with torch.no_grad():
            expected = net(batch).numpy()
        found = Aligner(net.arrays(), left, right).logits(pairs)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
        assert np.ptp(found) > 0.1


def slow_logit(net: "torch.nn.Module", left: AlignerGraph, right: AlignerGraph, pair: tuple[int, int]) -> float:
    """The formulas of the paper for one pair, node by node, with cross-graph and self-attention and distances."""
    weights = {name: np.asarray(values, np.float64) for name, values in net.arrays().items()}

    def around(graph: AlignerGraph, node: int) -> list[tuple[int, int]]:
        if node >= graph.entities:
            return []
        return [
            (n, m)
            for n, m in zip(graph.neighbors[node].tolist(), graph.matrices[node].tolist(), strict=True)
            if n != NONE
        ]

    def through(layer: str, matrix: int, vector: np.ndarray) -> np.ndarray:
        return vector @ weights[f"{layer}.matrices"][matrix] + weights[f"{layer}.biases"][matrix]

    def inner(graph: AlignerGraph, node: int) -> np.ndarray:
        vector = graph.rows(np.array([node]))[0].astype(np.float64)
        own = vector @ weights["inner.self"] + weights["inner.self_bias"]
        found = [through("inner", m, graph.rows(np.array([n]))[0].astype(np.float64)) for n, m in around(graph, node)]
        mean = np.mean(found, axis=0) if found else np.zeros_like(own)
        return np.maximum(np.concatenate([own, mean]), 0)

    def outer(graph: AlignerGraph, node: int) -> tuple[np.ndarray, list[np.ndarray], list[float]]:
        own = inner(graph, node) @ weights["outer.self"] + weights["outer.self_bias"]
        found, logits = [], []
        for neighbor, matrix in around(graph, node):
            found.append(through("outer", matrix, inner(graph, neighbor)))
            raw = weights["attention"][matrix] @ np.concatenate([found[-1], own]) + weights["priority"][matrix]
            alike = sum(other == matrix for _, other in around(graph, node))
            logits.append((raw if raw > 0 else 0.2 * raw) - np.log(alike))
        return own, found, logits

    sides = [outer(graph, node) for graph, node in zip((left, right), pair, strict=True)]
    ends = []
    for (own, found, logits), (_, others, _) in (sides, sides[::-1]):
        mixed = np.zeros_like(own)
        if found:
            b = np.exp(logits) / np.exp(logits).sum()
            a = np.ones(len(found)) / len(found)
            if others:
                near = np.exp(
                    -weights["sharpness"][0] * np.array([[np.linalg.norm(z - y) for y in others] for z in found])
                )
                a = near.sum(axis=1) / near.sum()
            mixed = (a * b / (a * b).sum()) @ np.array(found)
        ends.append(np.maximum(np.concatenate([own, mixed]), 0))
    return float(-np.linalg.norm(ends[0] - ends[1]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_logits_are_those_of_the_formulas(seed: int) -> None:
    left, right = random_graph(seed, entities=8, texts=3), random_graph(seed + 1, entities=7, texts=2)
    net = random_net(replace(PARAMS, attention="both", score="distance"), seed=seed)
    pairs = some_pairs(seed, left, right, 6)
    found = Aligner(net.arrays(), left, right).logits(pairs)
    expected = [slow_logit(net, left, right, tuple(pair)) for pair in pairs.tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), attention=st.sampled_from(ATTENTION), score=st.sampled_from(SCORES))
def test_a_pair_has_the_same_logit_in_any_company(seed: int, attention: str, score: str) -> None:
    left, right = random_graph(seed, entities=200), random_graph(seed + 1, entities=150)
    aligner = random_aligner(replace(PARAMS, attention=attention, score=score), left, right, seed=seed)
    pairs = some_pairs(seed, left, right, 3000)
    whole = aligner.logits(pairs)
    order = np.random.default_rng(seed).permutation(len(pairs))
    np.testing.assert_array_equal(aligner.logits(pairs[order]), whole[order])
    for some in (order[:1], order[:7], order[:1500]):
        np.testing.assert_array_equal(aligner.logits(pairs[some]), whole[some])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), attention=st.sampled_from(ATTENTION), score=st.sampled_from(SCORES))
def test_the_order_of_neighbours_says_nothing(seed: int, attention: str, score: str) -> None:
    left, right = random_graph(seed), random_graph(seed + 1)
    params = replace(PARAMS, attention=attention, score=score)
    rng = np.random.default_rng(seed)
    turned = []
    for graph in (left, right):
        orders = np.argsort(rng.random(graph.neighbors.shape), axis=1)
        neighbors, matrices = (np.take_along_axis(rows, orders, axis=1) for rows in (graph.neighbors, graph.matrices))
        turned.append(replace(graph, neighbors=neighbors, matrices=matrices))
    pairs = some_pairs(seed, left, right)
    expected = random_aligner(params, left, right, seed=seed).logits(pairs)
    found = random_aligner(params, turned[0], turned[1], seed=seed).logits(pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("score", SCORES)
def test_entities_without_neighbours_have_a_logit(attention: str, score: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, INPUTS)).astype(np.float32)
    alone, related = graph_of(vectors, [[], [], []]), graph_of(vectors, [[(1, 0)], [(2, 3), (0, 4)], []])
    params = replace(PARAMS, attention=attention, score=score)
    for left, right in ((alone, alone), (alone, related), (related, alone), (related, related)):
        aligner = random_aligner(params, left, right)
        found = aligner.logits(np.array([(one, other) for one in range(3) for other in range(3)]))
        assert np.all(np.isfinite(found))
        assert len(aligner.explain(2, 2)[0].nodes) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), attention=st.sampled_from(ATTENTION))
def test_attention_sums_to_one(seed: int, attention: str) -> None:
    left, right = random_graph(seed), random_graph(seed + 1)
    aligner = random_aligner(replace(PARAMS, attention=attention), left, right, seed=seed)
    for one, other in some_pairs(seed, left, right, 10).tolist():
        for graph, entity, found in (
            (left, one, aligner.explain(one, other)[0]),
            (right, other, aligner.explain(one, other)[1]),
        ):
            own = graph.neighbors[entity]
            assert sorted(found.nodes.tolist()) == sorted(own[own != NONE].tolist())
            assert np.all(np.diff(found.weights) <= 0)
            if len(found.weights):
                assert found.weights.sum() == pytest.approx(1, abs=1e-5)
                if attention == "none":
                    assert np.ptp(found.weights) < 1e-6


def spread_out(count: int) -> np.ndarray:
    """Vectors far from each other."""
    return 20 * np.eye(max(count, INPUTS), dtype=np.float32)[:count, :INPUTS]


def crossing(left: AlignerGraph, right: AlignerGraph) -> Aligner:
    """An aligner with cross-graph attention, before training, whose matrices keep what is different apart."""
    return Aligner(random_net(replace(PARAMS, hidden=INPUTS, attention="cross"), seed=1).arrays(), left, right)


def test_what_both_sides_have_weighs_most() -> None:
    """Of one common neighbour among many the weight is nearly all; of the same neighbours all weigh about the same."""
    vectors = spread_out(9)
    left = graph_of(vectors, [[(2, 0), (3, 0), (4, 0), (5, 0)], *[[]] * 8])
    right = graph_of(vectors, [[(2, 0), (6, 0), (7, 0), (8, 0)], [(node, 0) for node in (2, 3, 4, 5)], *[[]] * 7])
    aligner = crossing(left, right)
    for found in aligner.explain(0, 0):
        assert found.nodes[0] == 2
        assert found.weights[0] > 0.9
    for found in aligner.explain(0, 1):
        assert set(found.nodes.tolist()) == {2, 3, 4, 5}
        assert found.weights == pytest.approx(np.full(4, 0.25), abs=0.02)


def facts(
    relations: list[tuple[int, int, int]], names: list[str], values: list[tuple[int, int, int]], keys: list[str]
) -> EntityFacts:
    """Three entities with sampled neighbours (entity, relation, neighbour) and values (entity, key, text)."""
    relations = sorted(relations)
    indptr = np.searchsorted([one for one, _, _ in relations], np.arange(4))
    sampled = Neighborhoods(
        np.arange(3, dtype=np.uint32),
        indptr.astype(np.int64),
        np.array([other for _, _, other in relations], np.uint32),
        np.array([relation for _, relation, _ in relations], np.uint32),
    )
    columns = np.array(values, np.int64).reshape(-1, 3).T
    texts = EntityValues(keys, columns[0], columns[1], columns[2], int(columns[2].max(initial=-1)) + 1)
    return EntityFacts(np.zeros((3, INPUTS), np.float32), sampled, names, texts)


def test_relations_of_one_name_are_one_on_both_sides_and_rare_ones_share() -> None:
    left = facts([(0, 0, 1), (0, 1, 2), (1, 2, 0), (2, 3, 0)], ["by", "on"], [(0, 0, 0), (1, 0, 1)], ["price"])
    right = facts([(0, 1, 1), (1, 3, 0), (2, 1, 0)], ["of", "by"], [(2, 0, 0)], ["size"])
    by, price = (Matrix("relation", "by"), Matrix("relation", "by", True)), Matrix("attribute", "price")
    assert matrices_of(left, right, most=0) == SHARED
    assert matrices_of(left, right, most=1) == (*SHARED, *by)
    assert matrices_of(left, right, most=2) == (*SHARED, price, *by)
    everything = matrices_of(left, right, most=9)
    # "of" leads nowhere in the sample.
    assert {matrix.name for matrix in everything} == {"", "by", "on", "price", "size"}
    graph = aligner_graph(
        right,
        matrices_of(left, right, most=2),
        lambda numbers: np.zeros((len(numbers), INPUTS)),
        cap=1,
        attribute_cap=2,
    )
    assert graph.neighbors.tolist() == [[1, NONE, NONE], [0, NONE, NONE], [0, 3, NONE]]
    assert graph.matrices[:, 0].tolist() == [4, 5, 4]
    # A size has the matrix of all rare attributes.
    assert graph.matrices[2, 1] == 2
    assert graph.nodes == 4


def test_packed_hops_have_the_same_neighbours_first() -> None:
    graph = random_graph(4)
    rng = np.random.default_rng(4)
    order = np.argsort(rng.random(graph.neighbors.shape), axis=1)
    spread = replace(graph, neighbors=np.take_along_axis(graph.neighbors, order, axis=1))
    nodes = np.array([0, 3, 7, graph.entities + 1])
    step = hop(spread, nodes)
    packed = step.packed()
    sizes = (step.slots != NONE).sum(axis=1)
    assert packed.slots.shape == packed.matrices.shape == (4, sizes.max())
    for row, size in enumerate(sizes.tolist()):
        kept = step.slots[row] != NONE
        assert packed.slots[row, :size].tolist() == step.slots[row][kept].tolist()
        assert packed.matrices[row, :size].tolist() == step.matrices[row][kept].tolist()
        assert np.all(packed.slots[row, size:] == NONE)
    assert hop(spread, nodes[3:]).packed().slots.tolist() == [[NONE]]


def test_more_neighbours_than_slots_are_left_out() -> None:
    side = facts([(0, 0, 1), (0, 0, 2), (0, 1, 1)], ["by", "on"], [(0, 0, 0), (0, 0, 1), (0, 1, 2)], ["a", "b"])
    graph = aligner_graph(side, SHARED, lambda numbers: np.zeros((len(numbers), INPUTS)), cap=2, attribute_cap=1)
    assert graph.neighbors.tolist() == [[1, 2, 3], [NONE] * 3, [NONE] * 3]


def test_features_stand_beside_and_their_number_is_checked() -> None:
    left, right = random_graph(0), random_graph(1)
    net = random_net(PARAMS, features=2)
    scales = {"features.middle": np.array([0.5, 1.0]), "features.spread": np.array([2.0, 1.0])}
    aligner = Aligner(net.arrays() | scales, left, right)
    pairs, weights = some_pairs(0, left, right, 3), net.arrays()["head.features"].astype(np.float64)
    features = np.array([[0.5, 1.0], [2.5, np.nan], [np.nan, 0.0]])
    bare = Aligner(random_net(PARAMS).arrays(), left, right)
    with pytest.raises(ValueError, match="features: expected 0 per pair, got 2"):
        bare.logits(pairs, features)
    with pytest.raises(ValueError, match="features: expected 2 per pair, got 0; give those"):
        aligner.logits(pairs)
    found = aligner.logits(pairs, features)
    nothing = aligner.logits(pairs, np.tile([0.5, 1.0], (3, 1)))
    assert found - nothing == pytest.approx([0, weights[0] + weights[3], weights[2] - weights[1]])


def test_weights_are_those_of_the_graphs() -> None:
    assert random_net(PARAMS).arrays()["inner.matrices"].shape == (MATRICES, INPUTS, PARAMS.hidden)


def test_parameters_are_checked() -> None:
    for wrong, words in (
        ({"hidden": 0}, "hidden: expected at least 1, got 0"),
        ({"attention": "some"}, "expected attention none, cross, self or both"),
        ({"rate": 0.0}, "expected rate, margin and gain above 0"),
        ({"relations": -1}, "relations, attributes, patience"),
    ):
        with pytest.raises(ValueError, match=words):
            AlignerParams(**wrong)
