"""The trie against sorted lists, ``startswith`` and edits tried one by one."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fingerpost.ext import trie as kernel

#: Bytes that a trie could trip over: the first and the last, and those that begin and go on in UTF-8.
ODD_BYTES = [b"\x00", b"\x01", b"a", b"b", b"\x7f", b"\x80", b"\xbf", b"\xc3", b"\xff"]
byte_texts = st.lists(st.sampled_from(ODD_BYTES), max_size=7).map(b"".join)
byte_keys = st.one_of(st.lists(byte_texts, max_size=40), st.lists(st.binary(max_size=12), max_size=40)).map(
    lambda keys: sorted(set(keys))
)
#: Characters of one to four bytes, some of which share their first ones.
CHARACTERS = "abé è漢字が😀😁\0"
texts = st.text(alphabet=CHARACTERS, max_size=7)
text_keys = st.lists(texts, max_size=40).map(lambda keys: sorted(set(keys)))


def flat(keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, keys)], dtype=np.int64), np.frombuffer(b"".join(keys), np.uint8)


def trie_of(keys: Sequence[bytes]) -> kernel.Trie:
    arrays = kernel.build_trie(*flat(keys))
    return kernel.Trie(
        len(keys), *(arrays[name] for name in ("low", "first_child", "first_byte", "tail_start", "tails"))
    )


def one_range(low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([low], np.uint32), np.array([high], np.uint32)


def rows_that_begin(keys: Sequence[bytes], prefix: bytes) -> list[int]:
    return [row for row, key in enumerate(keys) if key.startswith(prefix)]


def edits(text: str, alphabet: str) -> Iterator[str]:
    """Every text at most one edit from this one."""
    yield text
    for at in range(len(text) + 1):
        head, rest = text[:at], text[at:]
        yield from (head + letter + rest for letter in alphabet)
        if rest:
            yield head + rest[1:]
            yield from (head + letter + rest[1:] for letter in alphabet)
        if len(rest) > 1:
            yield head + rest[1] + rest[0] + rest[2:]


def rows_within_one_edit(keys: Sequence[str], prefix: str) -> list[int]:
    wanted = tuple(set(edits(prefix, CHARACTERS)))
    return [row for row, key in enumerate(keys) if key.startswith(wanted) and not key.startswith(prefix)]


def expanded(low: np.ndarray, high: np.ndarray) -> list[int]:
    """The rows of ranges, which must ascend, and neither be empty nor overlap."""
    assert (low < high).all()
    assert (high[:-1] <= low[1:]).all()
    return [row for first, end in zip(low, high, strict=True) for row in range(first, end)]


@settings(max_examples=300, deadline=None)
@given(keys=byte_keys, others=st.lists(byte_texts, max_size=8), cut=st.integers(0, 12))
@example(keys=[], others=[b"", b"a"], cut=0)
@example(keys=[b""], others=[b"", b"a"], cut=0)
@example(keys=[b"", b"a", b"a\0", b"aa", b"aab"], others=[b"a", b"aabc", b"ab"], cut=1)
@example(keys=[b"\xff", b"\xff\xff", b"\xff\xff\xff"], others=[b"\xff\xfe"], cut=2)
def test_a_prefix_has_the_rows_of_the_keys_that_begin_with_it(keys: list[bytes], others: list[bytes], cut: int) -> None:
    trie = trie_of(keys)
    prefixes = [key[:cut] for key in keys] + [key + b"\0" for key in keys] + others
    low, high = trie.find_many(*flat(prefixes))
    assert (low.dtype, high.dtype) == (np.uint32, np.uint32)
    for prefix, first, end in zip(prefixes, low.tolist(), high.tolist(), strict=True):
        assert list(range(first, end)) == rows_that_begin(keys, prefix), prefix
        assert trie.find(prefix) == (first, end)
    assert trie.find(b"") == (0, len(keys))


@settings(max_examples=200, deadline=None)
@given(keys=byte_keys)
def test_nodes_spell_the_keys(keys: list[bytes]) -> None:
    arrays = kernel.build_trie(*flat(keys))
    children, tails = arrays["first_child"], arrays["tail_start"]
    nodes = len(arrays["low"])
    assert nodes <= 2 * len(keys) + 1
    spelled, stack = [], [(0, b"")]
    while stack:
        node, text = stack.pop()
        below = range(children[node], children[node + 1])
        assert len(below) != 1 or node == 0 or text in keys, "a node has a key, or two children, or is the root"
        if text in keys and keys.index(text) == arrays["low"][node]:
            spelled.append(text)
        for child in reversed(below):
            edge = bytes(arrays["first_byte"][child : child + 1]) + bytes(
                arrays["tails"][tails[child] : tails[child + 1]]
            )
            stack.append((child, text + edge))
        first_bytes = arrays["first_byte"][children[node] : children[node + 1]]
        assert (np.diff(first_bytes.astype(int)) > 0).all()
    assert spelled == keys


@settings(max_examples=300, deadline=None)
@given(keys=text_keys, prefixes=st.lists(texts, max_size=6), cut=st.integers(1, 6))
@example(keys=["abc", "abd", "ba", "è漢", "é"], prefixes=["", "a", "aé", "è"], cut=2)
@example(keys=[], prefixes=["", "abcd"], cut=1)
def test_one_edit_is_one_character(keys: list[str], prefixes: list[str], cut: int) -> None:
    trie = trie_of([key.encode() for key in keys])
    asked = prefixes + [key[:cut] for key in keys] + [key[1:] for key in keys]
    indptr, low, high = trie.within_one_edit_many(*flat([prefix.encode() for prefix in asked]))
    for number, prefix in enumerate(asked):
        mine = slice(indptr[number], indptr[number + 1])
        assert expanded(low[mine], high[mine]) == rows_within_one_edit(keys, prefix), prefix
        one = trie.within_one_edit(prefix.encode())
        assert [part.tolist() for part in one] == [low[mine].tolist(), high[mine].tolist()]


@settings(max_examples=200, deadline=None)
@given(
    weights=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3e38]), max_size=400),
    ends=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=5),
    k=st.integers(0, 12),
)
@example(weights=[0.0] * 400, ends=[(0, 400), (1, 399), (31, 64), (32, 33)], k=3)
def test_the_heaviest_rows_come_first(weights: list[float], ends: list[tuple[int, int]], k: int) -> None:
    heavy = np.array(weights, dtype=np.float32)
    heaviest = kernel.Heaviest(heavy, kernel.range_maxima(heavy))
    bounds = sorted(min(end, len(weights)) for pair in ends for end in pair)
    for first, end in ends:
        low, high = sorted((min(first, len(weights)), min(end, len(weights))))
        expected = sorted(range(low, high), key=lambda row: (-heavy[row], row))[:k]
        assert heaviest.best(*one_range(low, high), k).tolist() == expected
    # Ranges between neighbouring bounds do not overlap: all of them for one query, none for another.
    low, high = np.array(bounds[::2], np.uint32), np.array(bounds[1::2], np.uint32)
    rows, counts = heaviest.best_many(np.array([0, len(low), len(low)]), low, high, k)
    inside = [row for first, end in zip(low, high, strict=True) for row in range(first, end)]
    expected = sorted(inside, key=lambda row: (-heavy[row], row))[:k]
    assert rows[0, : counts[0]].tolist() == expected
    assert (rows[0, counts[0] :] == kernel.NONE).all()
    assert counts[1] == 0
    assert heaviest.best(low, high, k).tolist() == expected


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 64, 1000, 5000])
def test_maxima_of_every_size(rows: int) -> None:
    weights = np.random.default_rng(rows).integers(0, 50, rows).astype(np.float32)
    heaviest = kernel.Heaviest(weights, kernel.range_maxima(weights))
    for low in range(0, rows, 1 + rows // 40):
        for high in range(low + 1, rows + 1, 1 + rows // 40):
            assert heaviest.best(*one_range(low, high), 1)[0] == low + int(weights[low:high].argmax())


@given(keys=text_keys, data=st.data())
def test_texts_come_back(keys: list[str], data: st.DataObject) -> None:
    held = kernel.Texts(*flat([key.encode() for key in keys]))
    assert len(held) == len(keys)
    low = data.draw(st.integers(0, len(keys)))
    high = data.draw(st.integers(low, len(keys)))
    assert held.between(low, high) == keys[low:high]
    rows = data.draw(st.lists(st.integers(0, len(keys) - 1), max_size=9)) if keys else []
    assert held.take(np.array(rows, np.uint32)) == [keys[row] for row in rows]


@pytest.mark.parametrize(
    ("keys", "row"), [([b"b", b"a"], 1), ([b"a", b"a"], 1), ([b"ab", b"a"], 1), ([b"a", b"b", b""], 2)]
)
def test_keys_out_of_order_are_refused(keys: list[bytes], row: int) -> None:
    with pytest.raises(ValueError, match=f"keys: expected distinct ones in the order of their bytes, got row {row} "):
        kernel.build_trie(*flat(keys))


def test_what_does_not_belong_together_is_refused() -> None:
    offsets, data = flat([b"a", b"b"])
    with pytest.raises(ValueError, match="keys: expected offsets"):
        kernel.build_trie(offsets, data[:1])
    with pytest.raises(ValueError, match="keys: expected ascending offsets, got a descent at row 0"):
        kernel.build_trie(np.array([1, 0, 2]), data)
    with pytest.raises(ValueError, match="prefixes: expected offsets"):
        trie_of([b"a"]).find_many(np.zeros(0, np.int64), data)
    weights = np.arange(70, dtype=np.float32)
    with pytest.raises(ValueError, match="maxima: expected 2 levels of 2 blocks, got 1 of 1"):
        kernel.Heaviest(weights, kernel.range_maxima(weights[:40]))
    heaviest = kernel.Heaviest(weights, kernel.range_maxima(weights))
    for low, high in ((0, 71), (5, 4)):
        with pytest.raises(ValueError, match="range 0: expected 0 <= low <= high <= 70"):
            heaviest.best(*one_range(low, high), 1)
        with pytest.raises(ValueError, match="range 0: expected 0 <= low <= high <= 70"):
            heaviest.best_many(np.array([0, 1]), *one_range(low, high), 1)
    with pytest.raises(ValueError, match="ranges: expected as many ends as beginnings, got 1 and 2"):
        heaviest.best(np.zeros(2, np.uint32), np.zeros(1, np.uint32), 1)
    for indptr in ([0, 2], [1, 1], [0, 3, 1]):
        with pytest.raises(ValueError, match=r"ranges: expected (ascending )?index pointers"):
            heaviest.best_many(np.array(indptr), *one_range(0, 1), 1)
    held = kernel.Texts(offsets, data)
    with pytest.raises(ValueError, match="range: expected 0 <= low <= high <= 2, got 0 to 3"):
        held.between(0, 3)
    with pytest.raises(ValueError, match="rows: expected numbers below 2, got 2"):
        held.take(np.array([2], np.uint32))
