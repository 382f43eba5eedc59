"""Search with a surrogate: zero-shot scores of many candidates, a regression on them and on what was trained, and training of
those from which the most is expected.

Combines the families of search as the outlook of "Optimizing neural networks for special-purpose hardware" (Amazon Science,
2023) asks; Bayesian optimisation of architectures: White et al., "BANANAS" (AAAI 2021).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fingerpost.tasks.nas.genomes import Space
from fingerpost.tasks.nas.history import History
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.search_scores import Scores, aggregated, rewards, score_columns
from fingerpost.tasks.nas.surrogate import Surrogate, acquisition, choose, fit_surrogate

Rows = NDArray[np.int64]


def promising(
    space: Space, history: History, params: SearchParams, random: np.random.Generator, count: int
) -> list[int]:
    """The rows of at most ``count`` scored candidates to train next: those with the greatest expected improvement.

    Before two were trained: one half with the best aggregates of scores, the other drawn from the rest.
    """
    scored = _scored(history)
    open_ones = scored[[history.evaluated[row].feasible and not history.evaluated[row].trained for row in scored]]
    trained = scored[[history.evaluated[row].trained for row in scored]]
    count = min(count, len(open_ones))
    if not count:
        return []
    if len(trained) < 2:
        order = open_ones[np.argsort(-aggregated(history, params)[open_ones], kind="stable")]
        best, rest = np.split(order, [-(-count // 2)])
        return [int(row) for row in (*best, *random.choice(rest, size=count - len(best), replace=False))]
    surrogate, features = _fitted(space, history, params, trained)
    mean, spread = surrogate.predict(features[open_ones])
    acquired = acquisition(mean, spread, float(rewards(history, params)[trained].max()))
    places = choose(acquired, count, np.zeros(len(open_ones), dtype=bool))
    return [int(row) for row in open_ones[places]]


def predicted(space: Space, history: History, params: SearchParams) -> Scores:
    """What the surrogate expects of each scored candidate, float64 (n,).

    The aggregate of scores before two were trained; -1 for candidates without scores.
    """
    scored = _scored(history)
    trained = scored[[history.evaluated[row].trained for row in scored]]
    found = aggregated(history, params)
    if len(trained) >= 2:
        surrogate, features = _fitted(space, history, params, trained)
        found[scored] = surrogate.predict(features[scored])[0]
    return found


def _scored(history: History) -> Rows:
    """The rows of candidates of the space that have zero-shot scores."""
    have = [one.genome is not None and "scores" in one.measures for one in history.evaluated]
    return np.flatnonzero(have)


def _fitted(space: Space, history: History, params: SearchParams, trained: Rows) -> tuple[Surrogate, Scores]:
    """A surrogate of the rewards of trained candidates, and the features (n, d) of all candidates, 0 without scores."""
    scored = _scored(history)
    genomes = np.array([history.evaluated[row].genome for row in scored], dtype=np.int64)
    costs = [history.evaluated[row].costs for row in scored]
    columns = {
        **score_columns(history, params, scored),
        "macs": np.array([one.macs for one in costs], dtype=np.float64),
        "parameters": np.array([one.parameters for one in costs], dtype=np.float64),
    }
    ranked = [_normal(values) for values in columns.values()]
    known = np.column_stack([space.encode(genomes), *ranked])
    features = np.zeros((len(history.evaluated), known.shape[1]))
    features[scored] = known
    rewarded = rewards(history, params)[trained]
    return fit_surrogate(features[trained], rewarded, among=known), features


def _normal(values: Scores) -> Scores:
    """Values replaced by the normal quantiles of their ranks, so that their scale and outliers do not matter."""
    # Loading it takes a fifth of a program's start, and every flow loads this module.
    from scipy.stats import rankdata

    found: Scores = ndtri(rankdata(values) / (len(values) + 1))
    return found
