"""Embedders side by side: what each is worth on validation classes, which one is taken, and what unseen classes get by it.

Source: the article's "Measuring consistency" (accuracy against inconsistency); algorithms.md 3.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tasks.metric.assessment import Assessment, AssessmentParams, assess
from tasks.metric.histograms import pair_histograms
from tasks.metric.margin_search import Trial
from tasks.metric.margins import TcmParams
from tasks.metric.pairs import PairHistograms
from tasks.metric.retrieval import retrieval
from tasks.metric.scores import ScoreBins

Taken = Literal["auto", "with", "without"]


@dataclass(frozen=True)
class ComparisonParams:
    """How embedders are measured and chosen.

    taken: ``with`` or ``without`` TCM, or ``auto``: with it where OPIS on validation classes is lower in the mean over
    seeds and recall@1 at most ``recall_loss`` lower. Of the seeds, the one with the best mAP@R on validation classes.
    bins: of the histograms; queries: most rows that ask for their nearest ones, evenly by class.
    """

    assessment: AssessmentParams = field(default_factory=AssessmentParams)
    taken: Taken = "auto"
    recall_loss: float = 0.005
    bins: int = 2048
    queries: int = 2000

    def __post_init__(self) -> None:
        if self.taken not in ("auto", "with", "without") or self.recall_loss < 0:
            raise ValueError(
                f"comparison: expected auto, with or without and a recall_loss of at least 0, got {self.taken!r} and "
                f"{self.recall_loss}; correct them"
            )


@dataclass(frozen=True)
class Scored:
    """An embedder on validation classes, and what it gives on test classes: figures by name, and curves of utility."""

    validation: Trial
    test: dict[str, float]
    assessment: Assessment


def histograms(vectors: ArrayLike, labels: ArrayLike, bins: int) -> PairHistograms:
    """The pairs of embeddings of length one (n, d) with labels (n,)."""
    return pair_histograms(vectors, labels, ScoreBins.cosine(bins))


def on_validation(
    vectors: ArrayLike, labels: ArrayLike, tcm: TcmParams | None, params: ComparisonParams
) -> tuple[Trial, PairHistograms]:
    """What an embedder is worth on validation classes, the calibration range and the threshold being theirs."""
    pairs = histograms(vectors, labels, params.bins)
    found = assess(pairs, pairs, params.assessment).quality
    ranked = retrieval(vectors, labels, "cosine", queries=params.queries)
    trial = Trial(tcm, found["opis"], found["worst_opis"], found["frr"], ranked.recall_at_1, ranked.map_at_r)
    return trial, pairs


def scored(
    validation: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    tcm: TcmParams | None,
    params: ComparisonParams,
) -> Scored:
    """An embedder's (vectors, labels) of validation and of test classes: threshold and range chosen on the former."""
    trial, pairs = on_validation(*validation, tcm, params)
    found = assess(pairs, histograms(*test, params.bins), params.assessment)
    ranked = retrieval(*test, "cosine", queries=params.queries)
    far = np.array(found.classes["far"], dtype=np.float64)
    values = {
        name: float(found.quality[name]) for name in ("opis", "worst_opis", "far", "frr", "equal_error", "threshold")
    }
    values |= {"recall_at_1": ranked.recall_at_1, "map_at_r": ranked.map_at_r}
    values |= {"far_spread": float(np.nanstd(far)), "far_p90": float(np.nanquantile(far, 0.9))}
    return Scored(trial, values, found)


def taken_embedder(trials: Sequence[Trial], params: ComparisonParams) -> int:
    """The place of the embedder that is taken, among those without TCM and those with it of several seeds."""
    sides = {
        "without": [place for place, trial in enumerate(trials) if trial.tcm is None],
        "with": [place for place, trial in enumerate(trials) if trial.tcm is not None],
    }
    side = params.taken
    if side == "auto":
        side = "with" if sides["with"] and (not sides["without"] or _better(trials, sides, params)) else "without"
    if not sides[side]:
        raise ValueError(f"comparison: expected an embedder {side} TCM, got none; train one, or take auto")
    return max(sides[side], key=lambda place: trials[place].map_at_r)


def _better(trials: Sequence[Trial], sides: dict[str, list[int]], params: ComparisonParams) -> bool:
    def mean(side: str, name: str) -> float:
        return float(np.mean([getattr(trials[place], name) for place in sides[side]]))

    keeps = mean("with", "recall_at_1") >= mean("without", "recall_at_1") - params.recall_loss
    return keeps and mean("with", "opis") < mean("without", "opis")
