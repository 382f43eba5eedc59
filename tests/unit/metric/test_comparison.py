"""Which margins are tried and chosen, and which embedder is taken."""

import numpy as np
import pytest

from fingerpost.tasks.metric.assessment import AssessmentParams
from fingerpost.tasks.metric.comparison import ComparisonParams, histograms, on_validation, scored, selected_embedder
from fingerpost.tasks.metric.margin_search import MarginParams, Trial, candidates, chosen, is_acceptable
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.opis import OpisParams
from fingerpost.tasks.metric.thresholds import Target
from tests.unit.metric.worlds import embeddings

PARAMS = ComparisonParams(AssessmentParams(Target("far", 0.02), opis=OpisParams(draws=20)))
TCM = TcmParams(0.8, 0.4)


def trial(
    opis: float, recall: float = 0.8, frr: float = 0.1, tcm: TcmParams | None = TCM, map_at_r: float = 0.5
) -> Trial:
    return Trial(tcm, opis, opis, frr, recall, map_at_r)


def test_candidates_are_read_off_the_model_without_tcm() -> None:
    vectors, labels = embeddings(20, 600, 8, 0)
    pairs = histograms(vectors, labels, 2048)
    params = MarginParams(positive_frr=(0.2, 0.6), negative_far=(0.1,), weights=(1.0, 2.0))
    found = candidates(pairs, params)
    assert found[0] == TcmParams()
    assert len(found) == 5
    accepted, wrong = pairs.accepted(
        [tcm.positive_margin for tcm in found[1:]] + [tcm.negative_margin for tcm in found[1:]]
    )
    refused = 1 - accepted[:, :4].sum(axis=0) / pairs.positives.sum()
    assert refused == pytest.approx([0.2, 0.2, 0.6, 0.6], abs=0.005)
    assert wrong[:, 4:].sum(axis=0) / pairs.negatives.sum() == pytest.approx([0.1] * 4, abs=0.005)
    assert [tcm.positive_weight for tcm in found[1:]] == [1, 2, 1, 2]
    assert all(tcm.positive_weight == tcm.negative_weight for tcm in found)


def test_the_lowest_opis_is_chosen_among_margins_that_keep_recall_and_frr() -> None:
    params = MarginParams(recall_loss=0.01, frr_loss=0.02)
    without = trial(0.010, tcm=None)
    few = trial(0.001, recall=0.78)
    many = trial(0.002, frr=0.13)
    good, better, worse = trial(0.008), trial(0.006, recall=0.791, frr=0.119), trial(0.011)
    assert [is_acceptable(one, without, params) for one in (few, many, good, better, worse)] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert chosen([without, few, many, good, better, worse], params) == 4
    # None will do: the one that loses least recall.
    assert chosen([without, few, many, worse], params) == 2
    with pytest.raises(ValueError, match="margins: expected a trial with TCM, got none"):
        chosen([without], params)


def test_the_embedder_with_tcm_is_taken_where_it_is_more_consistent_and_as_accurate() -> None:
    without = [trial(0.010, tcm=None, map_at_r=0.5), trial(0.012, tcm=None, map_at_r=0.6)]
    with_tcm = [trial(0.008, map_at_r=0.55), trial(0.009, map_at_r=0.52)]
    assert selected_embedder([*without, *with_tcm], ComparisonParams()) == 2
    assert selected_embedder([*without, *with_tcm], ComparisonParams(taken="without")) == 1
    assert selected_embedder([*without, trial(0.008, recall=0.79)], ComparisonParams()) == 1
    assert selected_embedder([*without, trial(0.013)], ComparisonParams()) == 1
    assert selected_embedder([*without, trial(0.013)], ComparisonParams(taken="with")) == 2
    assert selected_embedder(with_tcm, ComparisonParams()) == 0
    with pytest.raises(ValueError, match="comparison: expected an embedder with TCM, got none"):
        selected_embedder(without, ComparisonParams(taken="with"))


def test_scores_are_those_of_threshold_and_range_of_validation_classes() -> None:
    validation, test = embeddings(20, 600, 8, 0), embeddings(24, 700, 8, 1)
    found = scored(validation, test, TCM, PARAMS)
    own, _ = on_validation(*validation, TCM, PARAMS)
    assert found.validation == own
    assert own.tcm == TCM
    again = scored(validation, validation, None, PARAMS)
    assert again.test["opis"] == own.opis
    assert 0.95 * 0.02 <= again.test["far"] <= 0.02
    assert found.test["opis"] != own.opis
    far = np.array(found.assessment.classes["far"])
    assert found.test["far_spread"] == pytest.approx(far.std())
    assert found.test["far_p90"] == pytest.approx(np.quantile(far, 0.9))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"positive_frr": ()}, "margins: expected rates between 0 and 1 and one weight or more"),
        ({"negative_far": (1.0,)}, "margins: expected rates between 0 and 1"),
        ({"weights": (0.0,)}, "margins: expected steps of at least 1, losses of at least 0 and weights above 0"),
    ],
)
def test_margins_that_cannot_be_tried_are_refused(wrong: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MarginParams(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="comparison: expected auto, with or without"):
        ComparisonParams(taken="best")  # type: ignore[arg-type]
