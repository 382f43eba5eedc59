"""Search for the margins of TCM by short training runs, judged on validation classes.

Suitable margins depend on loss and backbone, so the candidates are quantiles of a model without TCM: the similarities
at which it has the configured false-reject and false-accept rates. Source: Zhang et al., ICLR 2024 (arXiv 2307.04047);
the authors recommend tuning the margins to the data because of the shift between training and test sets.
"""

from dataclasses import dataclass

from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.pairs import PairHistograms


@dataclass(frozen=True)
class MarginParams:
    """Candidate margins and how one is selected.

    search: whether margins are searched; otherwise those of the settings are used.
    positive_frr: candidates for m⁺ are the similarities at which the model without TCM has these FRRs on validation
        pairs.
    negative_far: candidates for m⁻ are those at which it has these FARs.
    weights: candidate weights of both terms. The defaults of pytorch-metric-learning are tried too.
    steps: training steps of a trial. A trial is acceptable if it lowers OPIS on validation classes, recall@1 is at
        most ``recall_loss`` lower and FRR at the target FAR at most ``frr_loss`` higher than without TCM; the
        acceptable trial with the lowest OPIS is selected.
    recall_loss: maximum fall of recall@1 by TCM for a trial to be acceptable.
    frr_loss: maximum rise of FRR at the target FAR by TCM for a trial to be acceptable.
    """

    search: bool = True
    positive_frr: tuple[float, ...] = (0.6, 0.95)
    negative_far: tuple[float, ...] = (0.01, 0.05)
    weights: tuple[float, ...] = (1.0,)
    steps: int = 400
    recall_loss: float = 0.005
    frr_loss: float = 0.02

    def __post_init__(self) -> None:
        rates = (*self.positive_frr, *self.negative_far)
        if not (self.positive_frr and self.negative_far and self.weights) or not all(0 < rate < 1 for rate in rates):
            raise ValueError(
                f"margins: expected rates between 0 and 1 and one weight or more, got {rates} and {self.weights}; add"
                " some"
            )
        if self.steps < 1 or min(self.recall_loss, self.frr_loss) < 0 or min(self.weights) <= 0:
            raise ValueError(
                f"margins: expected steps of at least 1, losses of at least 0 and weights above 0, got {self}; correct"
                " them"
            )


@dataclass(frozen=True)
class Trial:
    """Validation metrics of a model trained with margins (None: without TCM); frr: at the target FAR."""

    tcm: TcmParams | None
    opis: float
    worst_opis: float
    frr: float
    recall_at_1: float
    map_at_r: float


def candidates(pairs: PairHistograms, params: MarginParams) -> list[TcmParams]:
    """The distinct margins to try, from the validation pairs of a model without TCM."""
    positive = [pairs.score_at_frr(rate) for rate in params.positive_frr]
    negative = [pairs.score_at_far(rate) for rate in params.negative_far]
    tried = [
        TcmParams(round(float(above), 4), round(float(below), 4), weight, weight)
        for above in positive
        for below in negative
        for weight in params.weights
    ]
    return list(dict.fromkeys([TcmParams(), *tried]))


def is_acceptable(trial: Trial, without: Trial, params: MarginParams) -> bool:
    """Whether a trial keeps recall@1 and FRR and lowers OPIS."""
    return (
        trial.recall_at_1 >= without.recall_at_1 - params.recall_loss
        and trial.frr <= without.frr + params.frr_loss
        and trial.opis < without.opis
    )


def chosen(trials: list[Trial], params: MarginParams) -> int:
    """The index of the selected trial; trials[0] is the one without TCM.

    If no trial is acceptable: the one with the highest recall@1, which is compared with the model without TCM later.
    ValueError without a trial with TCM.
    """
    without, others = trials[0], range(1, len(trials))
    if not others:
        raise ValueError("margins: expected a trial with TCM, got none; configure candidates")
    acceptable = [index for index in others if is_acceptable(trials[index], without, params)]
    if acceptable:
        return min(acceptable, key=lambda index: trials[index].opis)
    return max(others, key=lambda index: trials[index].recall_at_1)
