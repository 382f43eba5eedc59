"""Rivals, labels and scores after few entities changed: what is made again is what a full run with the same model makes."""

from pathlib import Path

import numpy as np
import pytest

from fingerpost.schemas import kg
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.refreshed_rivals import (
    LostPairs,
    SideBefore,
    SidePairs,
    in_doubt,
    refreshed_best,
    sought_again,
)
from fingerpost.tasks.kg.rivals import BestTwo
from fingerpost.tasks.kg.search import SearchParams
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scoring_inputs import pairs_of, read_rivals
from tests.support.blocking import links_of
from tests.support.refreshed_graphs import PAIRS, Days
from tests.support.shifting_graphs import Goods, goods
from tests.unit.autocomplete.logs import world


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(world(tmp_path))


def first_day(days: Days, left: Goods, right: Goods | None) -> dict[str, Ref]:
    return days.trained(days.first(left.graph(), right and right.graph()))


def next_day(days: Days, old: dict[str, Ref], left: Goods, right: Goods | None) -> dict[str, Ref]:
    return days.rescored(old, days.refreshed(old, left.graph(), right and right.graph()))


def shifted(left: Goods, right: Goods) -> tuple[Goods, Goods]:
    """A day later: some of all that may happen."""
    left = left.named("a000", "velvet sofa").named("l0003", "copper clock 3").without("l0007").priced("l0010", "77")
    right = right.named("r9000", "velvet sofa old").without("r0001", "r0002").named("r0020", right.names["r0021"])
    return left, right


def rivals_of(days: Days, made: dict[str, Ref], rivals: Ref, pairs: np.ndarray) -> np.ndarray:
    """The similarities of the best rivals of pairs on both sides, by text."""
    within, store = made["left"] == made["right"], days.env.store
    texts = len(store.open(rivals, kg.RIVALS).read("rivals")["best"][0].as_py())
    sides = read_rivals(store, rivals, texts=texts, within=within)(np.zeros((0, 2), np.int64))
    nothing = np.zeros((len(pairs), texts), dtype=np.float32)
    return -np.stack([side.gaps(pairs[:, at], pairs[:, 1 - at], nothing) for at, side in enumerate(sides)])


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_rivals_of_changed_and_labelled_pairs_are_those_of_a_search_among_all_candidates(
    days: Days, within: bool, seed: int
) -> None:
    left, right = goods(70, seed=seed, relations=False)
    old = first_day(days, left, None if within else right)
    now = shifted(left, right)
    new = next_day(days, old, now[0], None if within else now[1])
    graphs = (new["left"], new["right"])
    full = find_rivals.execute(days.env, *graphs, new["terms"], new["candidates"], new["links"], params=PAIRS)
    changed = [np.array(changed_rows(days, new, side)) for side in ("left", "right")]
    store = days.env.store
    pairs = pairs_of(store.open(new["candidates"], kg.CANDIDATES).read("candidates"))
    asked = pairs[changed[0][pairs[:, 0]] | changed[1][pairs[:, 1]]]
    labelled = pairs_of(store.open(new["labels"], kg.LINKS).read("links"))
    for some in (asked, labelled):
        assert len(some)
        assert (rivals_of(days, new, new["rivals"], some) == rivals_of(days, new, full, some)).all()
    quality = days.quality(new["rivals"])
    assert 0 < quality["compared"] < quality["pairs"] / 2


@pytest.mark.parametrize(("within", "relations"), [(False, False), (False, True), (True, True)])
def test_scores_are_carried_over_or_those_of_all_pairs(days: Days, within: bool, relations: bool) -> None:
    days.search = SearchParams(nearest=8)
    left, right = goods(70, relations=relations)
    old = first_day(days, left, None if within else right)
    now = shifted(left, right)
    new = next_day(days, old, now[0], None if within else now[1])
    before, after = days.scores(old), days.scores(new)
    full = days.scores(new | {"scores": days.scored(new)})
    assert list(after) == list(full) == list(days.rows(new))
    changed = {
        key
        for side, keys in (("left", days.keys(new["left"])), ("right", days.keys(new["right"])))
        for key, is_changed in zip(keys, changed_rows(days, new, side), strict=True)
        if is_changed
    }
    made = {pair for pair in after if changed & {*pair}}
    kept = {pair for pair in after if pair not in made}
    assert {pair: after[pair] for pair in made} == {pair: full[pair] for pair in made}
    turned = before | {pair[::-1]: score for pair, score in before.items()} if within else before
    assert {pair: after[pair] for pair in kept} == {pair: turned[pair] for pair in kept}
    quality = days.quality(new["scores"])
    assert (quality["scored"], quality["carried"]) == (len(made), len(kept))
    assert made
    assert kept


def changed_rows(days: Days, made: dict[str, Ref], side: str) -> list[bool]:
    rows: list[bool] = days.env.store.open(made[f"{side}_changes"], kg.CHANGES).read("entities")["changed"].to_pylist()
    return rows


def test_where_nothing_changed_no_pair_is_compared_again(days: Days) -> None:
    left, right = goods(50)
    old = first_day(days, left, right)
    new = next_day(days, old, left, right)
    assert days.scores(new) == days.scores(old)
    assert days.rows(new) == days.rows(old)
    pairs = pairs_of(days.env.store.open(new["candidates"], kg.CANDIDATES).read("candidates"))
    assert (rivals_of(days, new, new["rivals"], pairs) == rivals_of(days, old, old["rivals"], pairs)).all()
    assert days.quality(new["scores"])["scored"] == 0
    assert days.quality(new["rivals"])["compared"] == 0
    labels = [days.env.store.open(made["labels"], kg.LINKS).read("links").to_pylist() for made in (old, new)]
    assert labels[0] == labels[1]
    assert days.quality(new["labels"])["changed_share"] == 0.0


def test_known_pairs_stay_in_their_splits_and_assumed_ones_stay_until_something_is_known(days: Days) -> None:
    left, right = goods(50, relations=False)
    first = days.first(left.graph(), right.graph())
    keys = days.keys(first["left"]), days.keys(first["right"])

    def row(one: str, other: str) -> tuple[int, int]:
        return keys[0].index(one), keys[1].index(other)

    known = [(*row("l0000", "r0000"), 1, "training", "given"), (*row("l0001", "r0002"), 0, "test", "given")]
    known += [(*row(f"l{n:04d}", f"r{n:04d}"), 1, "training", "given") for n in range(10, 30)]
    first["links"] = links_of(days.env.store, known, "known before")
    old = days.trained(first)
    days.links = [(*row("l0000", "r0000"), 1, "test", "given"), (*row("l0001", "r0002"), 1, "test", "given")]
    days.links += [(*row(f"l{n:04d}", f"r{n:04d}"), 1, "training", "given") for n in range(11, 30)]
    new = days.rescored(old, days.refreshed(old, left.graph(), right.graph()))
    rows = days.env.store.open(new["labels"], kg.LINKS).read("links").to_pylist()
    found = {(keys[0][r["left"]], keys[1][r["right"]]): (r["label"], r["split"], r["source"]) for r in rows}
    assert found["l0000", "r0000"] == (1, "training", "given")
    assert found["l0001", "r0002"] == (1, "test", "given")
    assert ("l0010", "r0010") not in found
    before = days.env.store.open(old["labels"], kg.LINKS).read("links").to_pylist()
    assumed = {(keys[0][r["left"]], keys[1][r["right"]]) for r in before if r["source"] == "assumed"}
    assert assumed
    assert {pair for pair, said in found.items() if said[2] == "assumed"} == assumed - {("l0001", "r0002")}
    # One has another label, one is known no more.
    assert days.quality(new["labels"])["changed_share"] == round(2 / 22, 6)


def best(*rows: tuple[int, int, float, float]) -> BestTwo:
    entities, partners, first, second = zip(*rows, strict=True)
    return BestTwo(
        np.array(entities, dtype=np.uint32),
        np.array(partners, dtype=np.uint32)[:, None],
        np.array(first, dtype=np.float32)[:, None],
        np.array(second, dtype=np.float32)[:, None],
    )


def lost(*rows: tuple[int, int, float, float]) -> LostPairs:
    entities, partners, then, now = (np.array(column) for column in zip(*rows, strict=True))
    return LostPairs(entities, partners, *(values.astype(np.float32)[:, None] for values in (then, now)))


def test_the_best_two_are_sought_again_where_both_are_lost_or_one_where_they_are_wanted_exactly() -> None:
    rows, nothing, few = np.arange(6), float("nan"), np.zeros(6, dtype=bool)
    found = best(
        (0, 9, 0.9, 0.1), (1, 8, 0.9, 0.5), (2, 8, 0.9, 0.5), (3, 8, 0.0, 0.0), (4, 9, 0.9, 0.5), (5, 9, 0.9, 0.5)
    )
    pairs = [(0, 9, 0.9, nothing), (1, 9, 0.5, 0.4), (2, 9, 0.2, nothing), (3, 9, 0.0, nothing)]
    gone = lost(*pairs, (4, 9, 0.9, 0.7), (5, 9, 0.9, 0.3), (0, 7, 0.1, nothing), (5, 7, 0.4, 0.1))
    before = SideBefore(found, rows, np.arange(10), gone)
    # Entity 0 lost both; 5 lost its best and one that was neither.
    assert sought_again(before, few, few).tolist() == [True, False, False, False, False, False]
    assert sought_again(before, few, ~few).tolist() == [True, True, False, False, False, True]
    assert in_doubt(found, gone, few).tolist() == [True, False, False, False, False, True, True, True]
    assert in_doubt(found, gone, ~few).all()
    turned = SideBefore(found, rows, np.arange(10)[::-1], gone)
    # With partners in another order the smaller one of two equally good is another.
    assert sought_again(turned, few, ~few).tolist() == [True, True, False, True, False, True]


def test_the_best_two_take_what_is_new() -> None:
    before = SideBefore(
        best((0, 3, 0.9, 0.4), (1, 3, 0.9, 0.4), (2, 4, 0.3, 0.1)),
        np.array([2, 0, -1]),
        np.array([0, 1, 2, 5, 4]),
        lost((0, 2, 0.1, 0.1)),
    )
    pairs = SidePairs(np.array([0, 0, 1, 2]), np.array([5, 7, 6, 5]), np.array([True, False, False, True]))
    chosen = np.array([False, True, True, False])
    found = refreshed_best(before, np.zeros(3, dtype=bool), pairs, np.array([[0.95], [0.2]], dtype=np.float32), chosen)
    assert found.entities.tolist() == [0, 1, 2]
    assert found.partners[:, 0].tolist() == [7, 6, 5]
    assert found.best[:, 0] == pytest.approx([0.95, 0.2, 0.9])
    assert found.second[:, 0] == pytest.approx([0.9, 0.0, 0.4])


def test_a_first_partner_that_changed_comes_back_with_its_new_similarity() -> None:
    before = SideBefore(best((0, 3, 0.9, 0.4)), np.array([0]), np.array([0, 1, 2, -1]), lost((0, 3, 0.9, 0.6)))
    pairs = SidePairs(np.array([0, 0]), np.array([3, 1]), np.array([False, True]))
    assert not sought_again(before, np.zeros(1, dtype=bool), np.ones(1, dtype=bool)).any()
    chosen = np.array([True, False])
    found = refreshed_best(before, np.zeros(1, dtype=bool), pairs, np.array([[0.6]], dtype=np.float32), chosen)
    assert (found.partners[0, 0], found.best[0, 0], found.second[0, 0]) == (3, np.float32(0.6), np.float32(0.4))
