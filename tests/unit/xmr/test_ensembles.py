"""Combined rankings beside dictionaries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.ensembles import COMBINATIONS, Ensemble, EnsembleParams, combine
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Ranking


def random_rankings(seed: int, models: int, labels: int = 9, k: int = 5) -> list[Ranking]:
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(models):
        ids = np.stack([rng.permutation(labels)[:k] for _ in range(3)]).astype(np.uint32)
        scores = -np.sort(-rng.integers(1, 9, (3, k)) / 8, axis=1).astype(np.float32)
        short = rng.integers(0, k + 1)
        ids[0, short:], scores[0, short:] = NONE, 0
        out.append(Ranking(ids, scores))
    return out


@pytest.mark.parametrize("method", COMBINATIONS)
@given(seed=st.integers(0, 10**6), models=st.integers(1, 4), k=st.sampled_from([1, 4, 12]))
def test_equals_dictionaries(method, seed: int, models: int, k: int) -> None:
    rankings = random_rankings(seed, models)
    found = combine(rankings, k, method)
    for query in range(3):
        votes: dict[int, float] = {}
        for ranking in rankings:
            listed = [
                (i, float(s))
                for i, s in zip(ranking.ids[query].tolist(), ranking.scores[query], strict=True)
                if i != NONE
            ]
            whole = sum(math.exp(score) for _, score in listed)
            for rank, (label, score) in enumerate(listed, start=1):
                vote = {
                    "average": score,
                    "rank": 1 / rank,
                    "sigmoid": 1 / (1 + math.exp(-score)),
                    "softmax": math.exp(score) / (whole or 1),
                }
                votes[label] = votes.get(label, 0.0) + vote[method] / models
        expected = sorted(votes.items(), key=lambda item: (-round(item[1], 6), item[0]))[:k]
        scores = found.scores[query][: len(expected)]
        np.testing.assert_allclose(scores, [score for _, score in expected], atol=1e-6)
        mine = found.ids[query][: len(expected)]
        assert all(abs(votes[int(label)] - score) < 1e-6 for label, score in zip(mine, scores, strict=True))
        assert len(set(mine.tolist())) == len(expected)
        assert (found.ids[query][len(expected) :] == NONE).all()


def test_one_model_stays_as_it_is() -> None:
    (ranking,) = random_rankings(1, 1)
    found = combine([ranking], 5)
    assert np.array_equal(found.scores, ranking.scores)


def test_a_member_for_each_combination_of_seed_and_shape() -> None:
    clusters = ClusterParams(branching=8, max_leaf_size=50, seed=3)
    assert EnsembleParams().clusterings(clusters) == [clusters]
    found = EnsembleParams(seeds=(0, 1), leaf_sizes=(20, 50)).clusterings(clusters)
    assert [(one.seed, one.max_leaf_size, one.branching) for one in found] == [
        (0, 20, 8),
        (0, 50, 8),
        (1, 20, 8),
        (1, 50, 8),
    ]
    assert EnsembleParams(branchings=(2, 16)).clusterings(clusters)[1] == ClusterParams(
        branching=16, max_leaf_size=50, seed=3
    )
    with pytest.raises(ValueError, match=r"seeds: expected different numbers, got \(1, 1\)"):
        EnsembleParams(seeds=(1, 1))
    with pytest.raises(ValueError, match="combination: expected one of"):
        EnsembleParams(combination="mean")
    EnsembleParams(combination="rank").check(BeamParams(post_processor="log-sigmoid"))
    with pytest.raises(ValueError, match=r"expected rank, sigmoid or softmax for scores below 0 \(noop\)"):
        EnsembleParams().check(BeamParams(post_processor="noop"))


class Fixed:
    """A ranker that lists the first labels of a ranking."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking, self.labels = ranking, 9

    def rank(self, queries: object, k: int, *, threads: int = 1) -> Ranking:
        return Ranking(self.ranking.ids[:, :k], self.ranking.scores[:, :k])


def test_members_are_asked_for_more_than_is_wanted() -> None:
    rankings = random_rankings(4, 3)
    members = [Fixed(ranking) for ranking in rankings]
    deep = Ensemble(members, "softmax", depth=5).rank(None, 2)
    assert np.array_equal(deep.ids, combine(rankings, 5, "softmax").ids[:, :2])
    assert np.array_equal(deep.scores, combine(rankings, 5, "softmax").scores[:, :2])
    shallow = Ensemble(members, "softmax").rank(None, 2)
    assert not np.array_equal(deep.scores, shallow.scores)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="combination: expected one of"):
        combine(random_rankings(1, 2), 3, "mean")
    with pytest.raises(ValueError, match="rankings: expected at least one"):
        combine([], 3)
