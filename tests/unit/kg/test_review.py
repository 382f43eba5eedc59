"""The queue of doubtful pairs: every cause, few of one entity, words that a person understands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import table_of
from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs, accepted
from fingerpost.tasks.kg.review import CAUSES, Doubts, ReviewParams, doubts
from fingerpost.tasks.kg.stages.review import queue_review
from tests.support.alignments_scored import artifact
from tests.unit.kg.test_decision_stages import World

Pair = tuple[int, int, float]


def queue(
    rows: Sequence[Pair],
    matches: Sequence[tuple[int, int]] = (),
    *,
    structure: Sequence[Pair] = (),
    names: tuple[list[str], list[str]] | None = None,
    unlabelled: bool = False,
    types: Sequence[int] = (0,) * 10,
    **params: Any,
) -> list[tuple[int, int, str]]:
    left, right, scores = (np.array(column) for column in zip(*rows, strict=True))
    by_structure = tuple(np.array(column) for column in zip(*structure, strict=True)) if structure else None
    found = doubts(
        ScoredPairs(left, right, scores.astype(float)),
        np.array([(one, other) in set(matches) for one, other, _ in rows]),
        0.0,
        ScoredPairs(*by_structure) if by_structure else None,
        names or ([""] * len(types), [""] * len(types)),
        np.array(types),
        ReviewParams(**params),
        unlabelled=unlabelled,
    )
    return listed(found)


def listed(found: Doubts) -> list[tuple[int, int, str]]:
    causes = [CAUSES[number] for number in found.causes.tolist()]
    return list(zip(found.left.tolist(), found.right.tolist(), causes, strict=True))


def test_pairs_near_the_threshold_come_by_their_distance() -> None:
    rows = [(0, 0, 0.1), (1, 1, -0.5), (2, 2, 1.5), (3, 3, 9.0), (4, 4, -9.0)]
    matches = [(0, 0), (2, 2), (3, 3)]
    assert queue(rows, matches) == [(0, 0, "threshold"), (1, 1, "threshold"), (2, 2, "threshold")]
    assert queue(rows, matches, margin=1.0) == [(0, 0, "threshold"), (1, 1, "threshold")]


def test_a_pair_whose_entity_has_a_far_better_match_is_not_doubtful() -> None:
    assert queue([(0, 0, 8.0), (0, 1, -0.2)], [(0, 0)]) == []
    assert queue([(0, 0, 2.0), (0, 1, -0.2)], [(0, 0)]) == [(0, 1, "threshold"), (0, 0, "threshold")]


def test_probable_pairs_that_one_to_one_excludes() -> None:
    assert queue([(0, 0, 6.0), (0, 1, 5.5), (2, 2, 8.0)], [(0, 0), (2, 2)]) == [(0, 1, "rival")]


def test_decisions_against_the_structure() -> None:
    rows = [(0, 0, -6.0), (1, 1, 7.0), (2, 2, 7.0), (3, 3, -6.0)]
    structure = [(0, 0, 0.97), (1, 5, 0.9), (2, 2, 0.9), (3, 3, 0.1)]
    assert queue(rows, [(1, 1), (2, 2)], structure=structure) == [(0, 0, "structure"), (1, 1, "structure")]


def test_equal_names_that_are_no_match() -> None:
    names = ["Ann Lee", "", "both", "both"], ["ann  lee", "", "both", "x"]
    rows = [(0, 0, -9.0), (1, 1, -9.0), (2, 2, -9.0), (3, 2, -9.0)]
    assert [row[:2] for row in queue(rows, names=names)] == [(0, 0), (2, 2), (3, 2)]
    assert queue(rows, [(0, 0)], names=names)[0][:2] == (2, 2)


def test_without_labels_pairs_of_all_scores_are_asked_for() -> None:
    rows = [(number, number, -20.0 + number) for number in range(41)]
    chosen = queue(rows, unlabelled=True, pairs=20, types=(0,) * 41)
    scores = [number - 20 for number, _, cause in chosen if cause == "unlabelled"]
    assert min(scores) < -15
    assert max(scores) > 15
    assert {cause for *_, cause in chosen} == {"threshold", "unlabelled"}


def test_causes_and_types_take_turns() -> None:
    rows = [(number, number, 0.01 * number) for number in range(8)] + [(8, 8, 2.0), (9, 9, 6.0), (9, 7, 5.0)]
    types = [0] * 8 + [1, 2]
    chosen = queue(rows, [(9, 9)], pairs=3, types=types)
    assert {row[:2] for row in chosen} == {(0, 0), (8, 8), (9, 7)}


def test_the_first_pairs_of_a_queue_are_of_all_causes_however_many_one_of_them_has() -> None:
    rows = [(number, number, 0.001 * number) for number in range(20)]
    rows += [(number, number, -8.0 + number / 10) for number in range(20, 40)]
    chosen = queue(rows, unlabelled=True, pairs=20, types=(0,) * 40)
    assert [cause for *_, cause in chosen[:6]].count("unlabelled") >= 2
    shorter = queue(rows, unlabelled=True, pairs=6, types=(0,) * 40)
    assert [cause for *_, cause in shorter].count("unlabelled") >= 2


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), most=st.integers(1, 12), each=st.integers(1, 3))
def test_a_pair_is_queued_once_and_an_entity_seldom_whatever_the_order(seed: int, most: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.choice(64, 40, replace=False)
    pairs = ScoredPairs(keys // 8, keys % 8, rng.normal(0, 3, 40))
    order = rng.permutation(40)
    structure = ScoredPairs(np.arange(8), rng.permutation(8), rng.random(8))
    names = [f"n{number % 3}" for number in range(8)]
    found = []
    for some in (pairs, pairs.where(order)):
        decided = accepted(some, 0.0, AssignmentParams())
        params = ReviewParams(pairs=most, per_entity=each)
        found.append(
            listed(doubts(some, decided, 0.0, structure, (names, names), np.arange(8) % 2, params, unlabelled=True))
        )
    assert found[0] == found[1]
    assert len({row[:2] for row in found[0]}) == len(found[0]) <= most
    for side in range(2):
        assert max(np.bincount([row[side] for row in found[0]]), default=0) <= each


def test_the_queue_is_a_table_that_a_person_can_fill_in(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.calibrate()
    found = made.decide()
    rows = [(0, "colour", "red", "", ""), (0, "name", "name 0", "", ""), (7, "colour", "  ", "", "")]
    entities = made.env.store.open(made.left, kg.GRAPH).read("entities")
    graph = artifact(made.env, kg.GRAPH, {"entities": entities, "attributes": table_of(kg.ATTRIBUTES, rows)})
    ref = queue_review.execute(
        made.env,
        graph,
        made.right,
        made.candidates,
        made.score_ref,
        made.link_ref,
        made.calibration,
        made.matches,
        params=ReviewParams(pairs=30, longest=12),
        assignment=AssignmentParams(),
    )
    table = made.env.store.open(ref, kg.REVIEW).read("pairs").to_pylist()
    assert 0 < len(table) <= 30
    known = {(a, b) for a, b, *_ in made.links}
    for row in table:
        pair = int(row["left"][1:]), int(row["right"][2:])
        assert pair not in known
        assert row["accepted"] == (pair in found)
        assert row["left_name"].startswith(f"name {pair[0]}"[:11])
        assert len(row["left_name"]) <= 12
        assert f"{row['probability']:.2f}" in row["reason"]
    assert any("near the threshold" in row["reason"] for row in table)
    assert made.quality(ref)["pairs"] == len(table)


def test_parameters_that_are_refused() -> None:
    with pytest.raises(ValueError, match="review: expected pairs, per_entity and longest of at least 1"):
        ReviewParams(pairs=0)
