"""Judged queries answered by several methods: metrics of each query, their means, and the methods compared in pairs."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.evaluation import Figure
from fingerpost.tasks.ann.judged import METRICS, IntervalParams, Judgements, mean_of, paired, query_metrics

#: The setting of the figures of a method alone.
JUDGED = "judged"
#: The methods of which the first that there is answers queries: without vectors made from texts, words alone do.
SERVED = ("fused", "lexical")


@dataclass(frozen=True)
class Judgement:
    """figures: means with the ends of their intervals (``_low``, ``_high``), and comparisons of two methods.

    metrics: by method, those of each query, float64 (queries,), NaN for a query without a relevant document.
    """

    figures: list[Figure]
    metrics: dict[str, dict[str, NDArray[np.float64]]]
    quality: dict[str, float]


def judge(rankings: Mapping[str, NDArray[np.int64]], judgements: Judgements, params: IntervalParams) -> Judgement:
    """The metrics of rankings of the same queries by several methods, the served one compared with each other.

    rankings: by method, int64 (queries, depth), rows of documents, best first, -1 where there are no more. ValueError where
    no query has a relevant document.
    """
    counted = judgements.relevant > 0
    if not counted.any():
        raise ValueError("judged: expected a query with a relevant document, found none; judge documents above 0")
    metrics = {method: query_metrics(ranked, judgements) for method, ranked in rankings.items()}
    served = served_of(metrics)
    figures: list[Figure] = []
    quality = {"judged_queries": float(counted.sum()), "judged_confidence": params.confidence}
    for method, values in metrics.items():
        for metric in METRICS:
            mean = mean_of(values[metric][counted], params)
            ends = {metric: mean.value, f"{metric}_low": mean.low, f"{metric}_high": mean.high}
            figures += [(method, JUDGED, name, round(value, 6)) for name, value in ends.items()]
            if method == served:
                quality[f"judged_{metric}"] = round(mean.value, 6)
        figures.append((method, JUDGED, "queries", float(counted.sum())))
    for method, values in metrics.items():
        if method != served:
            ours, theirs = metrics[served]["ndcg_at_10"][counted], values["ndcg_at_10"][counted]
            figures += compared(served, f"against_{method}", ours, theirs, seed=params.seed)
    return Judgement(figures, metrics, quality)


def served_of(methods: Collection[str]) -> str:
    """The method that answers queries, of those that were measured; ValueError where none of them does."""
    found = next((method for method in SERVED if method in methods), "")
    if not found:
        raise ValueError(
            f"methods: expected {' or '.join(SERVED)}, got {', '.join(sorted(methods))}; rank by one of them"
        )
    return found


def compared(
    method: str, setting: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], *, seed: int
) -> list[Figure]:
    """The mean difference of nDCG of the same queries, and the probability of one as large between equally good methods."""
    found = paired(ours, theirs, seed=seed)
    values = {
        "ndcg_at_10_difference": found.difference,
        "probability": found.probability,
        "better": float((ours > theirs).sum()),
        "worse": float((ours < theirs).sum()),
    }
    return [(method, setting, name, round(value, 6)) for name, value in values.items()]


def judged_by(texts: Sequence[str], ids: Sequence[str], judgements: Judgements) -> list[str]:
    """A digest of each query's text and judgements, the same wherever it is judged by the same.

    ids: those of all documents, by row.
    """
    digests = []
    for query, text in enumerate(texts):
        rows = range(judgements.indptr[query], judgements.indptr[query + 1])
        pairs = sorted((ids[judgements.documents[row]], float(judgements.grades[row])) for row in rows)
        said = repr((text, pairs)).encode("utf-8", "surrogatepass")
        digests.append(hashlib.blake2b(said, digest_size=16).hexdigest())
    return digests
