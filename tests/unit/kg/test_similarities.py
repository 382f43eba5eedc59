"""Similarities of attributes: each measure by hand, what is missing, and rivals against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.boosting import BoostingParams, fit_matcher
from fingerpost.tasks.kg.similarities import WHOLE, SimilarityParams, pair_similarities, weighted_terms

LEFT = {"name": ["Red chair 200x", "blue table", "", "Lamp"], "price": ["$ 1,200.50", "10", "7", "n/a"]}
RIGHT = {
    "price": ["1200.5", "20", "", "3"],
    "name": ["red  CHAIR 200X", "table, blue", "lamp", "sofa"],
    "more": ["a"] * 4,
}


def features(pairs: list[tuple[int, int]], **params: bool) -> dict[str, np.ndarray]:
    found = pair_similarities(LEFT, RIGHT, np.array(pairs), SimilarityParams(**params))
    assert found.values.dtype == np.float32
    return dict(zip(found.names, found.values.T, strict=True))


def test_measures_of_the_same_and_of_different_texts() -> None:
    found = features([(0, 0), (1, 1), (0, 3)])
    assert found["name:equal"].tolist() == [1, 0, 0]
    for name in ("words", "contained", "jaccard"):
        assert found[f"name:{name}"] == pytest.approx([1, 1, 0], abs=1e-6)
    assert found["name:codes_jaccard"][0] == 1
    assert np.isnan(found["name:codes_jaccard"][1:]).all()
    assert found["name:length"].tolist() == pytest.approx([14 / 15, 10 / 11, 4 / 14])
    assert found["name:rarest_common"][2] == 0 < found["name:rarest_common"][0]
    assert found["name:rarest_alone"][0] == 0 < found["name:rarest_alone"][2]


def test_numbers_are_compared_as_numbers() -> None:
    found = features([(0, 0), (1, 1), (3, 3)])["price:number"]
    assert found[:2].tolist() == [1, 0.5]
    assert np.isnan(found[2])


def test_an_empty_text_is_neither_similar_nor_dissimilar() -> None:
    found = features([(2, 0), (0, 2)])
    assert all(np.isnan(values[0]) for name, values in found.items() if name.startswith("name:"))
    assert all(np.isnan(values[1]) for name, values in found.items() if name.startswith("price:"))
    assert not np.isnan(found[f"{WHOLE}:letters"]).any()


def test_common_attributes_in_the_order_of_the_left_table() -> None:
    names = list(dict.fromkeys(name.partition(":")[0] for name in features([(0, 0)])))
    assert names == ["name", "price", WHOLE]
    assert not any(name.endswith("_rival") for name in features([(0, 0)], rivals=False))
    with pytest.raises(ValueError, match="attributes: expected at least one on both sides, got name and more"):
        pair_similarities({"name": [""]}, {"more": [""]}, np.zeros((1, 2), int), SimilarityParams())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("ab c", max_size=6), min_size=2, max_size=5),
    st.lists(st.text("ab c", max_size=6), min_size=2, max_size=5),
)
def test_rivals_are_the_best_other_partners(left: list[str], right: list[str]) -> None:
    pairs = np.array([(i, j) for i in range(len(left)) for j in range(len(right))])
    found = pair_similarities({"x": left}, {"x": right}, pairs, SimilarityParams())
    by_name = dict(zip(found.names, found.values.T, strict=True))
    terms = weighted_terms(left, right, family="char", ngram_min=2, ngram_max=4)
    every = (terms.left @ terms.right.T).toarray()
    for k, (i, j) in enumerate(pairs.tolist()):
        if left[i] and right[j]:
            of_left = every[i, j] - np.delete(every[i], j).max()
            of_right = every[i, j] - np.delete(every[:, j], i).max()
            assert by_name["x:left_rival"][k] == pytest.approx(of_left, abs=1e-6)
            assert by_name["x:right_rival"][k] == pytest.approx(of_right, abs=1e-6)


def test_a_pair_depends_on_the_tables_and_not_on_the_other_pairs() -> None:
    pairs = [(0, 0), (1, 2), (3, 1)]
    whole = features(pairs)
    for place, pair in enumerate(pairs):
        alone = features([pair])
        assert all(np.array_equal(alone[name][0], whole[name][place], equal_nan=True) for name in whole)


def test_a_matcher_of_features_with_a_column_without_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((200, 3)).astype(np.float32)
    labels = (values[:, 0] > 0.5).astype(int)
    values[:, 1] = np.nan
    values[::7, 0] = np.nan
    matcher = fit_matcher(values[:150], labels[:150], BoostingParams(trees=30))
    found = matcher.probabilities(values[150:])
    known = ~np.isnan(values[150:, 0])
    assert ((found > 0.5) == labels[150:])[known].mean() > 0.95
    again = fit_matcher(values[:150], labels[:150], BoostingParams(trees=30)).probabilities(values[150:])
    assert np.array_equal(found, again)
    with pytest.raises(ValueError, match="labels: expected pairs of both labels"):
        fit_matcher(values, np.ones(200, int), BoostingParams())
