"""Comparison of embedders: measured on validation classes, one selected, and evaluated on test classes.

Source: Zhang et al., ICLR 2024 (arXiv 2307.04047): recall@1, OPIS and ε-OPIS with and without TCM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fingerpost.tasks.metric.assessment import Assessment, AssessmentParams, assess
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.margin_search import Trial
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.opis import opis
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.recount import recounting
from fingerpost.tasks.metric.retrieval import retrieval
from fingerpost.tasks.metric.scores import ScoreBins
from fingerpost.tasks.metric.thresholds import estimated_rates

Taken = Literal["auto", "with", "without"]


@dataclass(frozen=True)
class ComparisonParams:
    """How embedders are measured and selected.

    taken: ``with`` or ``without`` TCM, or ``auto``: with TCM if the mean over seeds of OPIS on validation classes is
        lower and that of recall@1 at most ``recall_loss`` lower. Of the seeds, the one with the best mAP@R on
        validation classes is selected.
    bins: number of bins of the histograms.
    queries: maximum number of query rows of the retrieval metrics, evenly by class.
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
    """Metrics of an embedder on validation classes, metrics by name on test classes, and the assessment behind them."""

    validation: Trial
    test: dict[str, float]
    assessment: Assessment


def histograms(vectors: ArrayLike, labels: ArrayLike, bins: int) -> PairHistograms:
    """Cosine histograms of all pairs of unit-length embeddings (n, d) with labels (n,)."""
    return pair_histograms(vectors, labels, ScoreBins.cosine(bins))


def on_validation(
    vectors: ArrayLike, labels: ArrayLike, tcm: TcmParams | None, params: ComparisonParams
) -> tuple[Trial, PairHistograms]:
    """Metrics of an embedder on validation classes, with calibration range and threshold chosen on the same classes.

    They compare embedders with each other: FRR is an estimate, for a target between the ends of bins.
    """
    pairs, assessed = histograms(vectors, labels, params.bins), params.assessment
    report = opis(pairs, assessed.over.fixed(pairs), assessed.opis)
    frr = estimated_rates(pairs, assessed.target).global_frr
    ranked = retrieval(vectors, labels, "cosine", queries=params.queries)
    return Trial(tcm, report.opis, report.worst_opis, frr, ranked.recall_at_1, ranked.map_at_r), pairs


def scored(
    validation: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    tcm: TcmParams | None,
    params: ComparisonParams,
) -> Scored:
    """Metrics of an embedder on validation and test classes; threshold and range are chosen on the former.

    validation, test: vectors (n, d) and labels (n,) of each.
    """
    trial, pairs = on_validation(*validation, tcm, params)
    recounts = recounting(*validation, "cosine"), recounting(*test, "cosine")
    result = assess(pairs, histograms(*test, params.bins), params.assessment, recounts=recounts)
    ranked = retrieval(*test, "cosine", queries=params.queries)
    far = np.array(result.classes["far"], dtype=np.float64)
    values = {
        name: float(result.quality[name]) for name in ("opis", "worst_opis", "far", "frr", "equal_error", "threshold")
    }
    values |= {"recall_at_1": ranked.recall_at_1, "map_at_r": ranked.map_at_r}
    values |= {"far_spread": float(np.nanstd(far)), "far_p90": float(np.nanquantile(far, 0.9))}
    return Scored(trial, values, result)


def selected_embedder(trials: Sequence[Trial], params: ComparisonParams) -> int:
    """The index of the selected embedder among those without and with TCM, several seeds each.

    ValueError if there is none on the side to select from.
    """
    sides = {
        "without": [index for index, trial in enumerate(trials) if trial.tcm is None],
        "with": [index for index, trial in enumerate(trials) if trial.tcm is not None],
    }
    side = params.taken
    if side == "auto":
        side = "with" if sides["with"] and (not sides["without"] or _better(trials, sides, params)) else "without"
    if not sides[side]:
        raise ValueError(f"comparison: expected an embedder {side} TCM, got none; train one, or select auto")
    return max(sides[side], key=lambda index: trials[index].map_at_r)


def _better(trials: Sequence[Trial], sides: dict[str, list[int]], params: ComparisonParams) -> bool:
    def mean(side: str, name: str) -> float:
        return float(np.mean([getattr(trials[index], name) for index in sides[side]]))

    keeps = mean("with", "recall_at_1") >= mean("without", "recall_at_1") - params.recall_loss
    return keeps and mean("with", "opis") < mean("without", "opis")
