"""Metrics of completions: reciprocal ranks, BLEU by rank, success, coverage; with intervals over sessions.

Source: Yadav et al., KDD 2021 (arXiv 2012.07654), section 5.2, and the published code (``examples/qp2q``).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Ranks at which success is measured.
SUCCESS = (1, 3, 10)


@dataclass(frozen=True)
class WeakParams:
    """Which prefixes count as without a good answer.

    pairs: minimum number of test pairs of a prefix that is listed.
    users: minimum number of distinct users of the next queries that count, so that no prefix of one user's queries is
        shown.
    success: fraction of its pairs that a listed prefix succeeds in, at most.
    most: maximum number of prefixes listed, those with the most failures.
    """

    pairs: int = 5
    users: int = 2
    success: float = 0.2
    most: int = 500

    def __post_init__(self) -> None:
        if min(self.pairs, self.users, self.most) < 1 or not 0 <= self.success <= 1:
            raise ValueError(
                f"pairs, users, most and success: expected at least 1, and 0 to 1, got {self.pairs}, {self.users},"
                f" {self.most} and {self.success}; correct them"
            )


@dataclass(frozen=True)
class EvaluationParams:
    """How completions are evaluated.

    prefixes: lengths of prefixes in characters; the average is over those above 0.
    suggestions: number of completions that are looked at.
    pairs: maximum number of test pairs, taken evenly.
    resamples: number of resamples of sessions for the intervals; 0 for none.
    timed: maximum number of single completions that are timed; 0 for none.
    seed: seed of the resamples and of the timed completions.
    weak: prefixes without a good answer.
    """

    prefixes: tuple[int, ...] = (0, 1, 2, 3)
    suggestions: int = 10
    pairs: int = 20_000
    resamples: int = 1_000
    timed: int = 500
    seed: int = 0
    weak: WeakParams = field(default_factory=WeakParams)

    def __post_init__(self) -> None:
        if not self.prefixes or min(self.prefixes) < 0 or not any(self.prefixes):
            raise ValueError(f"prefixes: expected lengths, one above 0, got {self.prefixes}; give some")
        if self.suggestions < max(SUCCESS):
            raise ValueError(f"suggestions: expected at least {max(SUCCESS)}, got {self.suggestions}; raise it")
        if self.pairs < 1 or self.resamples < 0 or self.timed < 0:
            raise ValueError(
                f"pairs, resamples and timed: expected at least 1, 0 and 0, got {self.pairs}, {self.resamples} and"
                f" {self.timed}; raise them"
            )


def positions(ranked: Sequence[NDArray[np.uint32]], truth: NDArray[np.int32]) -> NDArray[np.int64]:
    """The rank of each true suggestion among those of its row, from 1; 0 where it is not among them, int64 (n,).

    truth: int32 (n,), rows of suggestions; -1 for a query that is none.
    """
    found = np.zeros(len(truth), dtype=np.int64)
    for i, (rows, wanted) in enumerate(zip(ranked, truth.tolist(), strict=True)):
        if wanted >= 0:
            at = np.flatnonzero(rows == wanted)
            found[i] = at[0] + 1 if len(at) else 0
    return found


def reciprocal(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Reciprocal ranks; 0 for rank 0."""
    return np.where(ranks > 0, 1.0 / np.maximum(ranks, 1), 0.0)


@lru_cache(maxsize=200_000)
def sentence_bleu(candidate: str, truth: str) -> float:
    """BLEU-4 of white-space tokens, with 0.1 matches in place of none (Chen and Cherry 2014, smoothing 1; as NLTK)."""
    one, other = candidate.split(), truth.split()
    precisions = []
    for size in range(1, 5):
        mine, theirs = (Counter(zip(*(tokens[i:] for i in range(size)), strict=False)) for tokens in (one, other))
        matches, total = sum((mine & theirs).values()), max(len(one) - size + 1, 1)
        if size == 1 and matches == 0:
            return 0.0
        precisions.append((matches or 0.1) / total)
    brevity = 1.0 if len(one) > len(other) else math.exp(1 - len(other) / len(one))
    return brevity * math.exp(sum(map(math.log, precisions)) / 4)


def bleu_by_rank(candidates: Sequence[str], truth: str) -> float:
    """The mean BLEU of completions, the i-th, from 1, with weight 1 / i; 0 without any."""
    if not candidates:
        return 0.0
    weights = [1 / rank for rank in range(1, len(candidates) + 1)]
    scores = (sentence_bleu(text, truth) for text in candidates)
    return sum(weight * score for weight, score in zip(weights, scores, strict=True)) / sum(weights)


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of n requests.

    ranks: int64 (n,), of the true query, 0 for none. bleu: float64 (n,). answered: bool (n,), whether there was any completion.
    sessions: int64 (n,).
    """

    ranks: NDArray[np.int64]
    bleu: NDArray[np.float64]
    answered: NDArray[np.bool_]
    sessions: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> "Outcomes":
        """Some of the requests."""
        return Outcomes(self.ranks[chosen], self.bleu[chosen], self.answered[chosen], self.sessions[chosen])


def joined_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of several sets of requests."""
    return Outcomes(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("ranks", "bleu", "answered", "sessions"))
    )


def metrics(outcomes: Outcomes, params: EvaluationParams = EvaluationParams()) -> dict[str, float]:
    """MRR with its interval over sessions (95 %), BLEU by rank, success, coverage, and the number of pairs."""
    if not len(outcomes.ranks):
        return {"pairs": 0.0}
    values = reciprocal(outcomes.ranks)
    low, high = interval(values, outcomes.sessions, params)
    return {
        "mrr": float(values.mean()),
        "mrr_low": low,
        "mrr_high": high,
        "bleu_rr": float(outcomes.bleu.mean()),
        **{f"success_at_{k}": float(((outcomes.ranks > 0) & (outcomes.ranks <= k)).mean()) for k in SUCCESS},
        "coverage": float(outcomes.answered.mean()),
        "pairs": float(len(values)),
    }


def interval(values: NDArray[np.float64], sessions: NDArray[np.int64], params: EvaluationParams) -> tuple[float, float]:
    """The 95 % interval of a mean over requests, by resampling sessions (Efron 1979); the mean twice for no resamples.

    Requests of one session depend on each other, so that those of a session are drawn together.
    """
    _, place = np.unique(sessions, return_inverse=True)
    sums, counts = np.bincount(place, weights=values), np.bincount(place)
    if not params.resamples:
        mean = float(values.mean())
        return mean, mean
    random, means = np.random.default_rng(params.seed), np.empty(params.resamples)
    for i in range(params.resamples):
        drawn = random.integers(0, len(sums), len(sums))
        means[i] = sums[drawn].sum() / counts[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def by_setting(
    outcomes: Mapping[int, Outcomes], seen: NDArray[np.bool_], params: EvaluationParams
) -> dict[str, dict[str, float]]:
    """Metrics by setting: "all" over the prefixes above 0, "prefix N", and of these where the previous query was seen.

    outcomes: of all test pairs, by length of the prefix. seen: bool (pairs,), whether training pairs follow the previous
    query.
    """
    typed = [outcomes[length] for length in params.prefixes if length]
    found = {"all": metrics(joined_outcomes(typed), params)}
    for length in params.prefixes:
        found[f"prefix {length}"] = metrics(outcomes[length], params)
        for word, chosen in (("seen", seen), ("unseen", ~seen)):
            found[f"prefix {length} {word}"] = metrics(outcomes[length].where(chosen), params)
    return found
