"""Combined rankings beside dictionaries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.xmr.ensembles import COMBINATIONS, combine
from tasks.xmr.ranking import NONE, Ranking


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


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="combination: expected one of"):
        combine(random_rankings(1, 2), 3, "mean")
    with pytest.raises(ValueError, match="rankings: expected at least one"):
        combine([], 3)
