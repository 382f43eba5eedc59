"""Candidates after few entities changed: unchanged pairs as they were, others as all entities would give them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fingerpost.schemas import kg
from fingerpost.tasks.kg.blocking import BlockingParams, Candidates
from fingerpost.tasks.kg.refresh import joined_candidates, joined_nearest, places_of_pairs
from fingerpost.tasks.kg.search import Nearest, SearchParams
from tests.support.alignments import pairs_artifact
from tests.support.refreshed_graphs import Days
from tests.support.shifting_graphs import goods
from tests.unit.autocomplete.logs import world


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(world(tmp_path))


@pytest.mark.parametrize("relations", [False, True])
def test_where_nothing_changed_all_is_as_it_was(days: Days, relations: bool) -> None:
    left, right = goods(60, relations=relations)
    old = days.first(left.graph(), right.graph())
    new = days.refreshed(old, left.graph(), right.graph())
    assert days.rows(new) == days.rows(old)
    assert days.quality(new["left_changes"])["share"] == 0.0
    assert days.quality(new["candidates"])["added"] == 0
    found, before = (days.contexts(made, "left") for made in (new, old))
    assert all((found[key] == before[key]).all() for key in before)


def test_only_pairs_of_new_and_changed_entities_are_found_again(days: Days) -> None:
    left, right = goods(80, relations=False)
    old = days.first(left.graph(), right.graph())
    # One good is new on either side, one has another name, one is gone.
    name = "velvet sofa with armrests"
    now = left.named("l9000", name).named("l0003", "copper clock 3").without("l0007"), right.named("r9000", name)
    new = days.refreshed(old, now[0].graph(), now[1].graph())
    before, after = days.rows(old), days.rows(new)
    touched = {"l9000", "l0003", "l0007", "r9000"}
    changes = days.quality(new["left_changes"])
    assert (changes["new"], changes["changed"], changes["gone"]) == (1, 1, 1)
    kept = {pair: said for pair, said in after.items() if not touched & {*pair}}
    full = {one for one, _ in after if one == "l9000" or (one, "r9000") in after}
    assert {pair for pair in before if not touched & {*pair}} - set(kept) <= {p for p in before if p[0] in full}
    assert all(before[pair] == said for pair, said in kept.items())
    assert ("l9000", "r9000") in after
    assert not any("l0007" in pair for pair in after)
    assert any(one == "l0003" for one, _ in after)
    quality = days.quality(new["candidates"])
    assert quality["pairs"] == len(after)
    assert quality["added"] == len([pair for pair in after if touched & {*pair}])
    assert quality["must_retrain"] == ""


def test_a_changed_entity_has_the_nearest_of_all_entities_now(days: Days) -> None:
    days.blocking = BlockingParams(candidates=20, shared=0, rules=("id",))
    left, right = goods(80, relations=False)
    old = days.first(left.graph(), right.graph())
    changed = left.named("l0003", "copper clock 3")
    moved = right.named("r0003", "copper clock 3").named("r9000", "copper clocks 3").without("r0005")
    new = days.refreshed(old, changed.graph(), moved.graph())
    mine, theirs = days.contexts(new, "left")["l0003"], days.contexts(new, "right")
    near = {key: float(mine @ vector) for key, vector in theirs.items() if key.startswith("r0") or key == "r9000"}
    expected = sorted(near, key=lambda key: -near[key])[:5]
    found = {other: said for (one, other), said in days.rows(new).items() if one == "l0003"}
    assert set(expected) <= set(found)
    assert {other for other, (_, sources) in found.items() if sources & 1} >= set(expected)
    assert all(found[other][0] == pytest.approx(near[other], abs=1e-5) for other in expected)


@pytest.mark.parametrize("below", [10, 10_000])
def test_within_one_table_pairs_are_of_the_smaller_row_and_of_no_entity_with_itself(days: Days, below: int) -> None:
    days.search = SearchParams(nearest=5, exact_below=below)
    left, _ = goods(60, relations=True)
    old = days.first(left.graph(), None)
    now = left.named("a000", "velvet sofa").named("l9000", "velvet sofas").named("l0004", left.names["l0009"])
    new = days.refreshed(old, now.graph(), None)
    table = days.env.store.open(new["candidates"], kg.CANDIDATES).read("candidates")
    assert all(one < other for one, other in zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True))
    pairs = {frozenset(pair) for pair in days.rows(new)}
    assert {frozenset({"a000", "l9000"}), frozenset({"l0004", "l0009"})} <= pairs
    assert len(pairs) == table.num_rows


def test_an_unchanged_entity_gives_up_its_least_similar_candidate_for_a_better_new_one(days: Days) -> None:
    left, right = goods(60, relations=False)
    old = days.first(left.graph(), right.graph())
    sizes = [one for one, _ in days.rows(old)]
    # Brands may have as many, and no name that could be given to another.
    crowded = next(one for one in left.names if sizes.count(one) == 6)
    new = days.refreshed(old, left.graph(), right.named("r9000", left.names[crowded]).graph())
    after = [pair for pair in days.rows(new) if pair[0] == crowded]
    assert len(after) == 6
    assert (crowded, "r9000") in after


def test_new_known_pairs_and_the_old_structure_are_candidates(days: Days) -> None:
    left, right = goods(40, relations=False)
    old = days.first(left.graph(), right.graph())
    pairs = set(days.rows(old))
    keys = days.keys(old["left"]), days.keys(old["right"])
    apart = [
        (i, j)
        for i, one in enumerate(keys[0])
        for j, other in enumerate(keys[1])
        if (one, other) not in pairs and one.startswith("l0") and other.startswith("r0") and one != "l0003"
    ]
    place = keys[0].index("l0003")
    far = next(j for j, other in enumerate(keys[1]) if ("l0003", other) not in pairs and other.startswith("r0"))
    days.links = [(*apart[0], 1, "training", "given")]
    old["structure"] = days.structure([(place, far, 0.9)])
    new = days.refreshed(old, left.priced("l0003", "1000").graph(), right.graph())
    after = days.rows(new)
    assert after[keys[0][apart[0][0]], keys[1][apart[0][1]]][1] == 8
    assert after["l0003", keys[1][far]][1] & 16


def test_what_shares_neighbours_is_found_by_what_was_matched_before(days: Days) -> None:
    days.blocking = BlockingParams(candidates=20, shared=3, rules=("id",))
    days.search = SearchParams(nearest=1)
    left, right = goods(40, relations=True)
    old = days.first(left.graph(), right.graph())
    keys = days.keys(old["left"]), days.keys(old["right"])
    brands = [key for key in keys[0] if key.startswith("l:")]
    rows = [(keys[0].index(key), keys[1].index(f"r:{key[2:]}"), 0.9) for key in brands]
    old["matches"] = pairs_artifact(days.env.store, "matches", rows, number=1)
    maker = left.makers["l0003"]
    new = days.refreshed(old, left.named("l0003", "nothing alike").graph(), right.graph())
    found = {other for (one, other), (_, sources) in days.rows(new).items() if one == "l0003" and sources & 2}
    assert found
    assert {right.makers[other] for other in found} == {maker}


def test_a_new_type_that_both_sides_have_asks_for_a_full_run(days: Days) -> None:
    left, right = goods(20, relations=False)
    old = days.first(left.graph(), right.graph())
    shops = [replace(side, extra=((f"{side.side}:shop", "shop", "corner", {}),)) for side in (left, right)]
    new = days.refreshed(old, *(shop.graph() for shop in shops))
    assert (
        days.quality(new["candidates"])["must_retrain"]
        == "types of pairs: brand, product before, brand, product, shop now"
    )


def nearest(*found: list[tuple[int, float]]) -> Nearest:
    flat = [pair for one in found for pair in one]
    return Nearest(
        np.cumsum([0, *map(len, found)]),
        np.array([row for row, _ in flat], dtype=np.uint32),
        np.array([score for _, score in flat], dtype=np.float32),
    )


def test_two_searches_are_joined_by_similarity() -> None:
    found = joined_nearest(nearest([(4, 0.9), (1, 0.5)], []), nearest([(7, 0.7), (0, 0.5)], [(3, 0.1)]), most=3)
    assert found.indptr.tolist() == [0, 3, 4]
    assert found.rows.tolist() == [4, 7, 0, 3]


def candidates(*rows: tuple[int, int, float, int]) -> Candidates:
    left, right, similarity, sources = zip(*sorted(rows), strict=True) if rows else ((), (), (), ())
    return Candidates(
        np.array(left, dtype=np.uint32),
        np.array(right, dtype=np.uint32),
        np.array(similarity, dtype=np.float32),
        np.array(sources, dtype=np.uint8),
    )


def test_known_pairs_stay_whatever_their_similarity_and_others_by_it() -> None:
    carried = candidates((0, 1, 0.2, 8), (0, 2, 0.3, 1), (0, 3, 0.5, 1), (1, 0, 0.1, 1), (1, 1, 0.2, 1), (1, 2, 0.3, 1))
    found = joined_candidates(carried, candidates((0, 9, 0.4, 1), (3, 3, 0.9, 1)), most=2)
    pairs = list(zip(found.left.tolist(), found.right.tolist(), strict=True))
    # Entity 1 has no new candidate, and keeps its three.
    assert pairs == [(0, 1), (0, 3), (1, 0), (1, 1), (1, 2), (3, 3)]


def test_places_of_pairs_are_those_among_others_or_none() -> None:
    among = np.array([0, 0, 2]), np.array([1, 5, 0])
    assert places_of_pairs(np.array([0, 2, 2, 0]), np.array([5, 0, 1, 9]), among).tolist() == [1, 2, -1, -1]
    nothing = np.empty(0, np.int64)
    assert places_of_pairs(np.array([0]), np.array([0]), (nothing, nothing)).tolist() == [-1]
