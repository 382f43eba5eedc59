"""The trie of suggestions: built, stored, opened, and asked by the keys of prefixes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.matching import matching_key, prefix_key
from fingerpost.tasks.autocomplete.stages.trie import build_trie as build_trie_stage
from fingerpost.tasks.autocomplete.trie import LEAST_CHARACTERS, Ranges, Trie, TrieError, build_trie
from fingerpost.tasks.environment import Environment
from tests.unit.metric.worlds import committed
from tests.worlds import DAY

#: One word a line of several scripts, as people write it.
WORDS = [
    "numpy.zeros",
    "numpy.zeros_like",
    "Num",
    "num_",
    "Łódź",
    "naïve",
    "北京",
    "北京天气",
    "하나",
    "한국",
    "ไทย",
    "😀 a",
]
words = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=30)


def keys_of(texts: list[str]) -> list[str]:
    """Distinct keys in the order of their bytes, the empty one left out."""
    return sorted({matching_key(text) for text in texts} - {""})


def one_range(low: int, high: int) -> Ranges:
    return np.array([low], np.uint32), np.array([high], np.uint32)


def rows_of(ranges: Ranges) -> list[int]:
    return [row for low, high in zip(*ranges, strict=True) for row in range(low, high)]


@settings(max_examples=200, deadline=None)
@given(texts=words, prefix=st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), cut=st.integers(0, 9))
def test_every_suggestion_begins_with_the_prefix_and_no_other_does(texts: list[str], prefix: str, cut: int) -> None:
    keys = keys_of(texts)
    trie = build_trie(keys, np.arange(len(keys)))
    for asked in (prefix, prefix[:cut], *(text[:cut] for text in texts)):
        key = prefix_key(asked)
        low, high = trie.find(key)
        assert keys[low:high] == [one for one in keys if one.startswith(key)]
        best = trie.best(one_range(low, high), 3)
        assert best.tolist() == list(range(high - 1, max(low - 1, high - 4), -1))
    both = trie.find_many([prefix_key(text) for text in texts])
    assert [trie.find(prefix_key(text)) for text in texts] == list(zip(*(part.tolist() for part in both), strict=True))


def test_a_spelling_with_another_case_accent_or_width_finds_the_rows() -> None:
    keys = keys_of(WORDS)
    trie = build_trie(keys, np.ones(len(keys)))
    for spelled, rows in (
        ("LODZ", 1),
        ("ŁÓ", 1),
        ("ＮＵＭ", 4),
        ("num_", 1),
        ("num", 4),
        ("北", 2),
        ("ㅎ", 2),
        ("하ㄴ", 2),
    ):
        low, high = trie.find(prefix_key(spelled))
        assert high - low == rows, spelled


@settings(max_examples=100, deadline=None)
@given(texts=words, prefixes=st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), max_size=5))
def test_typing_errors_are_looked_for_from_four_characters_on(texts: list[str], prefixes: list[str]) -> None:
    keys = keys_of(texts)
    trie = build_trie(keys, np.ones(len(keys)))
    asked = [prefix_key(prefix) for prefix in prefixes]
    indptr, (low, high) = trie.within_one_edit_many(asked)
    for number, prefix in enumerate(asked):
        mine = slice(indptr[number], indptr[number + 1])
        one = trie.within_one_edit(prefix)
        assert (low[mine].tolist(), high[mine].tolist()) == (one[0].tolist(), one[1].tolist())
        found = [keys[row] for row in rows_of(one)]
        wanted = [key for key in keys if key.startswith(prefix[:-1]) and not key.startswith(prefix)]
        assert set(wanted) <= set(found) if len(prefix) >= LEAST_CHARACTERS else found == []
        assert not any(key.startswith(prefix) for key in found)


@pytest.mark.parametrize(
    "typed", ["nmupy", "umpy", "nuumpy", "nunpy", "numpu.zer", "numpy.zreos", "nump.zeros", "lodi"]
)
def test_one_typing_error_is_forgiven(typed: str) -> None:
    keys = keys_of([*WORDS, "lodz poland"])
    trie = build_trie(keys, np.ones(len(keys)))
    found = {keys[row] for row in rows_of(trie.within_one_edit(prefix_key(typed)))}
    assert found & {"numpy.zeros", "lodz poland"}
    assert "北京" not in found


def test_a_trie_without_keys_finds_nothing() -> None:
    trie = build_trie([], [])
    assert trie.find("") == trie.find("a") == (0, 0)
    assert len(trie.best(one_range(0, 0), 5)) == len(trie.within_one_edit("abcd")[0]) == 0
    assert trie.keys == 0


def test_keys_out_of_order_and_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="keys: expected distinct ones in the order of their bytes"):
        build_trie(["b", "a"], [1, 1])
    for weights in ([1.0], [1.0, np.nan], [1.0, np.inf]):
        with pytest.raises(ValueError, match="weights: expected 2 finite numbers"):
            build_trie(["a", "b"], weights)


def test_arrays_that_are_no_trie_are_refused() -> None:
    arrays = build_trie(["a", "ab", "b"], [1, 2, 3]).arrays()
    assert Trie(arrays).find("a") == (0, 2)
    wrong = {
        "low": arrays["low"].astype(np.int64),
        "first_child": arrays["first_child"][:-1],
        "tail_start": arrays["tail_start"][::-1].copy() + np.uint32(7),
        "first_byte": arrays["first_byte"][:2],
        "weights": arrays["weights"][:1],
        "tails": np.zeros(9, np.uint8),
    }
    for name, array in wrong.items():
        with pytest.raises(TrieError, match="rebuild the trie"):
            Trie({**arrays, name: array})
    with pytest.raises(TrieError, match="first_child: expected a contiguous array of uint32, got none"):
        Trie({name: array for name, array in arrays.items() if name != "first_child"})
    with pytest.raises(TrieError, match="children after their parents"):
        Trie({**arrays, "first_child": np.array([0, 2, 3, 4, 4], np.uint32)})


def test_the_stage_stores_the_trie_and_it_opens_without_being_built(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    keys = keys_of(WORDS)
    rows = {"query": keys, "key": keys, "users": [2] * len(keys), "weight": np.arange(len(keys), dtype=np.float32)}
    types = {field.name: field.type for field in contracts.SUGGESTIONS.table("suggestions").fields}
    table = pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()})
    suggestions = committed(store, contracts.SUGGESTIONS, {"suggestions": table})
    ref = build_trie_stage.execute(Environment(store, "toys", DAY), suggestions)
    artifact = store.open(ref, contracts.TRIE)
    opened = Trie(tensors_from_arrow(artifact.read("trie")))
    assert artifact.quality == {"suggestions": opened.keys, "nodes": opened.nodes, "bytes": opened.nbytes}
    assert [opened.find(key[:2]) for key in keys] == [build_trie(keys, rows["weight"]).find(key[:2]) for key in keys]
    assert [keys[row] for row in opened.best(one_range(0, opened.keys), 2)] == keys[:-3:-1]
