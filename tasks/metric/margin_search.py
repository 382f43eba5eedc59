"""Which margins of TCM to train with, by short trainings judged on validation classes.

Margins that suit one loss and backbone do not suit another (the article tunes both against the shift to unseen classes), so
candidates are read off a model without TCM: the similarities at which it has given false-reject and false-accept rates.
Source: the article's "Threshold-consistent margin loss"; algorithms.md 3.2.
"""

from dataclasses import dataclass

from tasks.metric.margins import TcmParams
from tasks.metric.pairs import PairHistograms


@dataclass(frozen=True)
class MarginParams:
    """Candidates and how one is chosen.

    m⁺ is each similarity at which the model without TCM refuses one of ``positive_frr`` of the validation pairs of one class,
    m⁻ each at which it accepts one of ``negative_far`` of the pairs of two; both terms weigh each of ``weights``. The margins
    that are the library's defaults are tried too. Trials take ``steps`` steps. A trial will do if recall@1 on validation classes is at most ``recall_loss``, and FRR at the target
    FAR at most ``frr_loss``, worse than without TCM; of those the one with the lowest OPIS is taken.
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
                f"margins: expected rates between 0 and 1 and a weight at least, got {rates} and {self.weights}; name"
                " some"
            )
        if self.steps < 1 or min(self.recall_loss, self.frr_loss) < 0 or min(self.weights) <= 0:
            raise ValueError(
                f"margins: expected steps of at least 1, losses of at least 0 and weights above 0, got {self}; correct"
                " them"
            )


@dataclass(frozen=True)
class Trial:
    """What a model is worth on validation classes, trained with margins (None: without TCM); ``frr`` at the target FAR."""

    tcm: TcmParams | None
    opis: float
    worst_opis: float
    frr: float
    recall_at_1: float
    map_at_r: float


def candidates(pairs: PairHistograms, params: MarginParams) -> list[TcmParams]:
    """The margins to try, read off the validation pairs of a model without TCM; equal ones once."""
    positive = [pairs.score_at_frr(rate) for rate in params.positive_frr]
    negative = [pairs.score_at_far(rate) for rate in params.negative_far]
    found = [
        TcmParams(round(float(above), 4), round(float(below), 4), weight, weight)
        for above in positive
        for below in negative
        for weight in params.weights
    ]
    return list(dict.fromkeys([TcmParams(), *found]))


def will_do(trial: Trial, without: Trial, params: MarginParams) -> bool:
    """Whether a trial keeps recall@1 and FRR and lowers OPIS."""
    return (
        trial.recall_at_1 >= without.recall_at_1 - params.recall_loss
        and trial.frr <= without.frr + params.frr_loss
        and trial.opis < without.opis
    )


def chosen(trials: list[Trial], params: MarginParams) -> int:
    """The place of the trial that is taken; the first is the one without TCM. Where none will do: the one that loses least
    recall@1, which then is compared with the model without TCM all the same.
    """
    without, others = trials[0], range(1, len(trials))
    if not others:
        raise ValueError("margins: expected a trial with TCM, got none; name candidates")
    good = [place for place in others if will_do(trials[place], without, params)]
    if good:
        return min(good, key=lambda place: trials[place].opis)
    return max(others, key=lambda place: trials[place].recall_at_1)
