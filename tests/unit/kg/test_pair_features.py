"""Features of pairs: against the slow similarities of tables, by hand for neighbours and anchors, and shard by shard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.entity_texts import INVERSE, EntityTexts, Linked
from fingerpost.tasks.kg.pair_features import ANCHORS, PairComparer, baseline_names, neighbor_attribute
from fingerpost.tasks.kg.term_rows import TermRows
from fingerpost.tasks.kg.terms import (
    DATE,
    NEIGHBORS,
    NUMBER,
    OF_NEIGHBORS,
    OF_WHOLE,
    TEXT,
    WHOLE,
    Rarity,
    TermParams,
    Terms,
    added,
    frequencies,
    kind_of,
    most_common,
)
from fingerpost.tasks.kg.text_parts import as_terms, codes, day, number
from tests.support.table_similarities import SimilarityParams, pair_similarities

PARAMS = TermParams(buckets=2**20)
LEFT = {"name": ["Red chair 200x", "blue table", "", "Lamp 5"], "price": ["$ 1,200.50", "10", "7", "n/a"]}
RIGHT = {"name": ["red  CHAIR 200X", "table, blue", "lamp", "sofa 5"], "price": ["1200.5", "20", "", "3"]}
EVERY = np.array([(i, j) for i in range(4) for j in range(4)])


def whole(table: dict[str, list[str]]) -> list[str]:
    return [" ".join(filter(None, row)) for row in zip(*table.values(), strict=True)]


def side(table: dict[str, list[str]], **more: object) -> EntityTexts:
    count = len(next(iter(table.values())))
    return EntityTexts(more.pop("names", [""] * count), whole(table), table, **more)  # type: ignore[arg-type]


def weighed(left: EntityTexts, right: EntityTexts, kinds: dict[str, str]) -> Terms:
    """Terms as the stage weighs them."""
    rarity = {}
    for name, kind in kinds.items():
        for family in ("words", "letters"):
            parts = []
            for one in (left, right):
                rows = np.arange(len(one))
                if kind == OF_NEIGHBORS:
                    near = one.neighbor_names(name.removesuffix(">"), rows, most=PARAMS.neighbors)
                    texts = [as_terms(names) if family == "words" else " ".join(names) for names in near]
                else:
                    texts = one.texts(name, rows)
                parts.append(frequencies(texts, family, PARAMS))
            rarity[name, family] = Rarity.of(*added(parts), len(left) + len(right))
    return Terms(kinds, rarity, PARAMS)


def comparer(left: EntityTexts, right: EntityTexts, kinds: dict[str, str], anchors: object = ()) -> PairComparer:
    pairs = np.array(anchors, np.int64).reshape(-1, 2)
    return PairComparer(left, right, weighed(left, right, kinds), pairs)


TABLES = {"name": TEXT, "price": NUMBER, WHOLE: OF_WHOLE}


def test_features_are_those_of_tables() -> None:
    compared = comparer(side(LEFT), side(RIGHT), TABLES)
    slow = pair_similarities(LEFT, RIGHT, EVERY, SimilarityParams())
    found = dict(zip(compared.names, compared.features(EVERY).T, strict=True))
    assert set(slow.names) == set(found) - {"price:difference"}
    for name, values in zip(slow.names, slow.values.T, strict=True):
        assert found[name] == pytest.approx(values, rel=1e-5, abs=1e-6, nan_ok=True), name
    difference = found["price:difference"].reshape(4, 4)
    assert difference[0].tolist() == pytest.approx([0, 1180.5, np.nan, 1197.5], nan_ok=True)


def test_measures_of_the_same_and_of_different_texts() -> None:
    compared = comparer(side(LEFT), side(RIGHT), TABLES)
    found = dict(zip(compared.names, compared.features(np.array([(0, 0), (1, 1), (0, 3), (2, 0)])).T, strict=True))
    assert found["name:equal"][:3].tolist() == [1, 0, 0]
    for measure in ("words", "contained", "jaccard"):
        assert found[f"name:{measure}"] == pytest.approx([1, 1, 0, np.nan], abs=1e-6, nan_ok=True)
    assert found["name:codes_jaccard"][0] == 1
    assert found["name:codes_jaccard"][2] == 0
    assert found["name:length"].tolist() == pytest.approx([14 / 15, 10 / 11, 6 / 14, np.nan], nan_ok=True)
    assert found["name:rarest_common"][2] == 0 < found["name:rarest_common"][0]
    assert found["name:rarest_alone"][0] == 0 < found["name:rarest_alone"][2]
    assert found["price:number"][:2].tolist() == [1, 0.5]
    # An empty text is neither similar nor dissimilar.
    assert all(np.isnan(values[3]) for name, values in found.items() if name.startswith("name:"))
    assert not np.isnan(found["(all):letters"]).any()


def test_a_pair_has_the_same_bits_in_any_company() -> None:
    compared = comparer(side(LEFT), side(RIGHT), TABLES)
    together = compared.features(EVERY)
    order = np.random.default_rng(0).permutation(len(EVERY))
    assert np.array_equal(compared.features(EVERY[order]), together[order], equal_nan=True)
    for place, pair in enumerate(EVERY):
        assert np.array_equal(compared.features(pair[None])[0], together[place], equal_nan=True)
    columns = [compared.names.index(f"{name}:letters") for name in compared.own]
    assert np.array_equal(compared.letters(EVERY), together[:, columns], equal_nan=True)


def test_the_baseline_looks_at_plain_similarities_of_own_texts_alone() -> None:
    names = ("a:words", "a:letters", "a:jaccard", "a:b:length", "r>:letters", "(all):number", "(structure):probability")
    kinds = {"a": TEXT, "a:b": DATE, "r>": OF_NEIGHBORS, WHOLE: OF_WHOLE}
    assert baseline_names(names, kinds) == ("a:words", "a:letters", "a:b:length", "(all):number")


def graph(names: list[str], triples: list[tuple[int, int, int]], relations: tuple[str, ...]) -> EntityTexts:
    return EntityTexts(names, names, {}, np.array(triples, np.uint32).reshape(-1, 3), relations)


LIBRARY = graph(["book", "Ann B.", "Carl", "other"], [(0, 0, 1), (0, 0, 2), (3, 0, 2), (3, 1, 0)], ("author", "cites"))
ARCHIVE = graph(["Book", "ann b", "Dora", "third"], [(0, 0, 1), (3, 0, 1), (0, 0, 2)], ("author", "sequel"))


def test_neighbors_are_compared_by_name_and_relation() -> None:
    kinds = {WHOLE: OF_WHOLE, NEIGHBORS: OF_NEIGHBORS, "author>": OF_NEIGHBORS, f"{INVERSE}author>": OF_NEIGHBORS}
    compared = comparer(LIBRARY, ARCHIVE, kinds)
    found = dict(zip(compared.names, compared.features(np.array([(0, 0), (3, 3), (1, 1), (2, 0)])).T, strict=True))
    rarity = compared.terms.rarity["author>", "words"]
    common = rarity.values.min()
    assert found["author>:jaccard"][0] == pytest.approx(common / rarity.values.sum(), rel=1e-5)
    assert found["author>:contained"][1] == 0
    assert found["author>:rarest_common"][:2].tolist() == [pytest.approx(common), 0]
    assert found["^author>:contained"][2] == 1
    assert np.isnan(found["author>:jaccard"][2:]).all()
    assert np.isnan(found["^author>:contained"][3])
    assert f"{ANCHORS}:jaccard" in found
    assert np.isnan(found[f"{ANCHORS}:jaccard"]).all()


def test_anchors_are_neighbors_known_to_be_the_same() -> None:
    kinds = {NEIGHBORS: OF_NEIGHBORS}
    compared = comparer(LIBRARY, ARCHIVE, kinds, [(1, 1), (2, 2)])
    found = dict(zip(compared.names, compared.features(np.array([(0, 0), (3, 3), (1, 0)])).T, strict=True))
    assert found[f"{ANCHORS}:contained"].tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    swapped = comparer(LIBRARY, ARCHIVE, kinds, [(1, 2)])
    one = dict(zip(swapped.names, swapped.features(np.array([(0, 0)])).T, strict=True))
    assert one[f"{ANCHORS}:cosine"] == pytest.approx(1)
    without = PairComparer(LIBRARY, ARCHIVE, compared.terms, compared.anchors, neighbors=False)
    assert without.names == () == compared.own


def test_an_anchor_is_no_neighbor_of_itself() -> None:
    """What is known of a pair is no feature of this pair: so training pairs are not told their own label."""
    related_to_itself = graph(list("abcdef"), [(0, 0, 0), (1, 0, 0)], ("r",))
    compared = comparer(related_to_itself, related_to_itself, {NEIGHBORS: OF_NEIGHBORS}, [(0, 0)])
    found = dict(zip(compared.names, compared.features(np.array([(0, 0), (1, 1)])).T, strict=True))
    assert found[f"{ANCHORS}:contained"].tolist() == pytest.approx([np.nan, 1], nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=20))
def test_linked_neighbors_are_those_of_sets(pairs: list[tuple[int, int]]) -> None:
    owners, neighbors = np.array(pairs, np.int64).reshape(-1, 2).T
    found = Linked.of(owners, neighbors, 6)
    wanted = [sorted({other for one, other in pairs if one == row}) for row in range(6)]
    assert [some.tolist() for some in found.of_rows(np.arange(6))] == wanted


def test_parts_of_texts() -> None:
    assert codes("A4 and a4, b 7") == "_a4 _7"
    assert as_terms(["Ann  B.", "Dora", "Ann  B."]) == "_ann_b _dora"
    assert [number(text) for text in ("$ 1,200.50", "1,5 kg", "1.2.3")] == [1200.5, 1.5, 1.23]
    assert np.isnan(number("none"))
    assert day("2020-01-02T10:00") - day("2020-01-01") == 1
    assert np.isnan(day("2020-13-01"))
    assert np.isnan(day("yesterday"))


def test_kinds_of_attributes() -> None:
    assert kind_of(["1", "$ 2.50", "3,000"] * 4) == NUMBER
    assert kind_of(["2020-01-01", "2021-05-06 10:00"]) == DATE
    assert kind_of(["1"] * 8 + ["two", "three"]) == TEXT
    assert kind_of([]) == TEXT
    assert most_common({"a": 3, "b": 5, "c": 1, "d": 4}, {"b": 2, "a": 9, "c": 7, "d": 0}, 2) == ("a", "b")
    assert neighbor_attribute("author") == "author>"
    assert neighbor_attribute(NEIGHBORS) == NEIGHBORS


def test_rows_of_many_texts_are_those_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(row) for row in zip(LEFT["name"] * 3, RIGHT["name"] * 3, strict=True)]
    rarity = Rarity.of(*frequencies(texts, "letters", PARAMS), len(texts))
    whole = TermRows.of(texts, "letters", rarity, PARAMS)
    monkeypatch.setattr("fingerpost.tasks.kg.term_rows._TEXTS", 5)
    parts = TermRows.of(texts, "letters", rarity, PARAMS)
    for name in ("indptr", "terms", "parts", "rarity"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
        assert getattr(whole, name).dtype == getattr(parts, name).dtype
