"""Training of an aligner: resumed to the same bits, the best epoch kept, negatives drawn, and what its parts are for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.aligner import Aligner
from fingerpost.tasks.kg.aligner_graphs import AlignerGraph
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.decisions import average_precision
from fingerpost.tasks.kg.labelled_pairs import LabelledPairs
from fingerpost.tasks.kg.negatives import PairSpace, hard_negatives, random_negatives
from tests.unit.kg.aligner_graphs import INPUTS, graph_of

pytest.importorskip("torch")

PARAMS = AlignerParams(hidden=16, epochs=6, patience=0, batch=32)
NO_CANDIDATES = np.zeros((0, 2), np.int64)


def space_of(left: AlignerGraph, right: AlignerGraph) -> PairSpace:
    """One type for all."""
    return PairSpace(np.zeros(left.entities, int), np.zeros(right.entities, int), NO_CANDIDATES)


def trained(left: AlignerGraph, right: AlignerGraph, labelled: LabelledPairs, params: AlignerParams) -> Aligner:
    from fingerpost.tasks.kg.aligner_training import AlignerTrainer, train_aligner

    space = space_of(left, right)
    return train_aligner(AlignerTrainer(left, right, labelled, params, matrices=6, space=space))


def songs(seed: int, count: int = 120) -> tuple[AlignerGraph, AlignerGraph, LabelledPairs]:
    """Songs without names that come in two versions: by the same ten writers, of whom a side names five, sung by others.

    Entities of a side: songs, then people. A negative is the other version of a match.
    """
    rng = np.random.default_rng(seed)
    people = 60
    vectors = rng.standard_normal((people, INPUTS))
    written, sung = rng.integers(0, people // 2, (count // 2, 10)), rng.integers(people // 2, people, count)
    sides = []
    for _ in range(2):
        noisy = vectors + 0.2 * rng.standard_normal(vectors.shape)
        neighbors = [
            [(count + int(one), 1) for one in rng.choice(written[song // 2], 5, replace=False)]
            + [(count + int(sung[song]), 3)]
            for song in range(count)
        ]
        rows = np.concatenate([np.zeros((count, INPUTS)), noisy]).astype(np.float32)
        sides.append(graph_of(rows, [*neighbors, *[[]] * people]))
    numbers = np.arange(count)
    same, versions = np.stack([numbers, numbers], axis=1), np.stack([numbers, numbers ^ 1], axis=1)
    pairs = np.concatenate([same, versions])
    parts = np.tile(numbers // 2 % 3, 2)
    splits = np.array(["training", "validation", "test"])[parts]
    labels = np.repeat([1, 0], count)
    return sides[0], sides[1], LabelledPairs.of(pairs, labels, splits.tolist(), seed=0)


def held_prauc(aligner: Aligner, labelled: LabelledPairs) -> float:
    """The PRAUC of the pairs that are neither for training nor for validation."""
    held = ~labelled.training & ~labelled.validation
    return average_precision(labelled.labels[held], aligner.logits(labelled.pairs[held]))


def test_versions_that_differ_in_one_relation_are_told_apart_by_self_attention() -> None:
    """What both sides share says little here, so that cross-graph attention alone is misled."""
    left, right, labelled = songs(0)
    params = replace(PARAMS, epochs=20, rate=3e-3)
    found = {
        attention: held_prauc(trained(left, right, labelled, replace(params, attention=attention)), labelled)
        for attention in ("none", "cross", "self", "both")
    }
    assert held_prauc(trained(left, right, labelled, replace(params, epochs=1, rate=1e-9)), labelled) < 0.85
    assert max(found["none"], found["cross"]) < 0.9 < found["self"]
    assert found["both"] > 0.95


def directors(seed: int, count: int = 90) -> tuple[AlignerGraph, AlignerGraph, LabelledPairs]:
    """Directors without names: of six films a side knows three, and says three that the other side does not have.

    Entities of a side: directors, then films. A negative is one of the next directors, who shares a film.
    """
    rng = np.random.default_rng(seed)
    films = 5 * count
    vectors = rng.standard_normal((2 * films, INPUTS))
    sides = []
    for _ in range(2):
        neighbors = []
        for director in range(count):
            own = rng.choice(6, 3, replace=False) + 5 * director
            other = rng.choice(films, 3, replace=False) + films
            neighbors.append([(count + int(film) % (2 * films), 1) for film in (*(own % films), *other)])
        noisy = vectors + 0.2 * rng.standard_normal(vectors.shape)
        rows = np.concatenate([np.zeros((count, INPUTS)), noisy]).astype(np.float32)
        sides.append(graph_of(rows, [*neighbors, *[[]] * (2 * films)]))
    numbers = np.arange(count)
    pairs = np.concatenate([np.stack([numbers, (numbers + step) % count], axis=1) for step in range(4)])
    splits = np.array(["training", "validation", "test"])[np.tile(numbers % 3, 4)]
    labels = np.repeat([1, 0, 0, 0], count)
    return sides[0], sides[1], LabelledPairs.of(pairs, labels, splits.tolist(), seed=0)


def test_what_only_one_side_has_is_left_aside_by_cross_graph_attention() -> None:
    left, right, labelled = directors(0)
    params = replace(PARAMS, epochs=12, rate=3e-3)
    found = {
        attention: held_prauc(trained(left, right, labelled, replace(params, attention=attention)), labelled)
        for attention in ("none", "self", "cross", "both")
    }
    assert max(found["none"], found["self"]) + 0.1 < min(found["cross"], found["both"]), found


@pytest.mark.parametrize("score", ["product", "distance"])
def test_resumed_training_is_the_same_to_the_bit(score: str) -> None:
    from fingerpost.tasks.kg.aligner_training import AlignerTrainer, train_aligner

    left, right, labelled = songs(1)
    params, space = replace(PARAMS, score=score, epochs=3), space_of(left, right)
    states: list[dict[str, np.ndarray]] = []

    def trainer(seed: int = 0) -> AlignerTrainer:
        return AlignerTrainer(left, right, labelled, replace(params, seed=seed), matrices=6, space=space)

    whole = train_aligner(trainer(), save=lambda _, state: states.append(state()))
    assert len(states) == 3
    for state in states:
        again = train_aligner(trainer(), state=state)
        assert again.weights.keys() == whole.weights.keys()
        for name in whole.weights:
            np.testing.assert_array_equal(again.weights[name], whole.weights[name])
    other = train_aligner(trainer(1))
    assert not np.array_equal(other.weights["outer.self"], whole.weights["outer.self"])
    with pytest.raises(ValueError, match="state: expected that of this network"):
        train_aligner(
            AlignerTrainer(left, right, labelled, replace(params, hidden=8), matrices=6, space=space), state=states[0]
        )


def test_the_best_epoch_is_kept_and_patience_ends_training() -> None:
    from fingerpost.tasks.kg.aligner_training import AlignerTrainer, train_aligner

    left, right, labelled = songs(2)
    trainer = AlignerTrainer(
        left, right, labelled, replace(PARAMS, rate=0.3, epochs=30, patience=3), matrices=6, space=space_of(left, right)
    )
    aligner = train_aligner(trainer)
    found = [epoch.validation for epoch in trainer.epochs]
    best = int(np.argmax(found))
    assert len(found) == best + 1 + 3 < 30
    held = labelled.validation
    assert average_precision(labelled.labels[held], aligner.logits(labelled.pairs[held])) == max(found)
    assert found[-1] < max(found)


def test_features_alone_can_decide() -> None:
    from fingerpost.tasks.kg.aligner_training import AlignerTrainer, train_aligner

    left, right, labelled = songs(3)
    truth = {tuple(pair): label for pair, label in zip(labelled.pairs.tolist(), labelled.labels.tolist(), strict=True)}

    def features(pairs: np.ndarray) -> np.ndarray:
        return np.array([[truth[tuple(pair)], np.nan] for pair in pairs.tolist()], np.float64)

    params = replace(PARAMS, rate=0.02, epochs=12)
    space = space_of(left, right)
    aligner = train_aligner(AlignerTrainer(left, right, labelled, params, matrices=6, space=space, features=features))
    held = ~labelled.training & ~labelled.validation
    logits = aligner.logits(labelled.pairs[held], features(labelled.pairs[held]))
    assert average_precision(labelled.labels[held], logits) > 0.95


def types(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 3, count)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), each=st.integers(1, 12), within=st.booleans())
def test_drawn_negatives_are_of_the_type_unknown_and_of_both_sides(seed: int, each: int, within: bool) -> None:
    rng = np.random.default_rng(seed)
    left = types(rng, 40)
    right = left if within else types(rng, 50)
    pairs = np.argwhere(left[:, None] == right[None])
    pairs = pairs[pairs[:, 0] < pairs[:, 1]] if within else pairs
    known = pairs[rng.random(len(pairs)) < 0.03]
    if not len(known):
        return
    matches = known[: max(len(known) // 2, 1)]
    candidates = pairs[rng.random(len(pairs)) < 0.2]
    space = PairSpace(left, right, candidates, within)

    def logits(some: np.ndarray) -> np.ndarray:
        return np.cos(some[:, 0] * 7.0 + some[:, 1])

    drawn = random_negatives(matches, known, space, each=each, rng=np.random.default_rng(seed))
    hard = hard_negatives(matches, known, space, each=each, logits=logits)
    for found in (drawn, hard):
        assert len(found) <= each * 2 * len(matches)
        assert len(np.unique(found, axis=0)) == len(found)
        assert not {tuple(pair) for pair in found.tolist()} & {tuple(pair) for pair in known.tolist()}
        assert np.all(left[found[:, 0]] == right[found[:, 1]])
        assert not within or np.all(found[:, 0] < found[:, 1])
    ends = [set(matches[:, 0].tolist()), set(matches[:, 1].tolist())]
    ends = [ends[0] | ends[1]] * 2 if within else ends
    for found in (drawn, hard):
        for pair in found.tolist():
            assert pair[0] in ends[0] or pair[1] in ends[1]
    assert len(drawn) <= each * len(matches)
    np.testing.assert_array_equal(
        drawn, random_negatives(matches, known, space, each=each, rng=np.random.default_rng(seed))
    )


def test_hard_negatives_are_the_candidates_with_the_highest_logits() -> None:
    space = PairSpace(np.zeros(4, int), np.zeros(6, int), np.array([(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 5)]))
    matches = np.array([(0, 0), (1, 1)])
    found = hard_negatives(matches, matches, space, each=1, logits=lambda pairs: pairs[:, 1] - 10.0 * pairs[:, 0])
    # Of entity 0 the last, of 1 its only one, of the right entity 0 what is no candidate of a left one.
    assert found.tolist() == [[0, 3], [1, 0], [2, 0]]


def test_splits_without_validation_are_made_and_folds_share_no_match() -> None:
    pairs = np.array([(row, row + shift) for row in range(60) for shift in (0, 1)])
    labels = np.tile([1, 0], 60)
    labelled = LabelledPairs.of(pairs, labels, ["training"] * 120, seed=3)
    assert 5 < labelled.labels[labelled.validation].sum() < 25
    assert not np.any(labelled.training & labelled.validation)
    assert not set(pairs[labelled.training, 0].tolist()) & set(pairs[labelled.validation, 0].tolist())
    covered = np.zeros(120, int)
    for fold in range(3):
        rest, held = labelled.without_fold(fold, 3, seed=3)
        covered += held
        np.testing.assert_array_equal(rest.training, labelled.training & ~held)
        assert not set(pairs[held, 0].tolist()) & set(pairs[rest.training, 0].tolist())
    np.testing.assert_array_equal(covered, labelled.training)
    with pytest.raises(ValueError, match="links: expected matches to train on, got none; give more links"):
        LabelledPairs.of(pairs, np.zeros(120, int), ["training"] * 120, seed=0)


@pytest.mark.parametrize("matches", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(12))
def test_few_matches_are_divided_as_long_as_there_are_two(matches: int, seed: int) -> None:
    pairs = np.array([(row, row + shift) for row in range(matches) for shift in (0, 1)])
    labels = np.tile([1, 0], matches)
    labelled = LabelledPairs.of(pairs, labels, ["training"] * len(pairs), seed=seed)
    for chosen in (labelled.training, labelled.validation):
        assert labels[chosen].any()
    # A single match is what training stops by, too.
    assert np.any(labelled.training & labelled.validation) == (matches == 1)
