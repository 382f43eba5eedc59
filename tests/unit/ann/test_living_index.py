"""An index that changes beside a list of the rows that are left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.ann.compaction import GuardParams
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.ann.living_index import LivingIndex
from fingerpost.tasks.ann.search import VectorError

PARAMS = HnswParams(metric="l2", max_neighbors=6, ef_construction=80)


def made(count: int, seed: int) -> LivingIndex:
    vectors = np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)
    return LivingIndex(vectors, build(vectors, PARAMS)[0], PARAMS, guard=GuardParams(queries=50))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["add", "delete", "compact"]), max_size=6), st.integers(0, 2**32 - 1))
def test_it_finds_the_nearest_of_what_is_left(changes: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    index = made(int(random.integers(1, 60)), seed)
    alive = dict(enumerate(index.vectors))
    for change in changes:
        if change == "add":
            new = random.standard_normal((int(random.integers(1, 9)), 5)).astype(np.float32)
            alive |= dict(zip(index.add(new).tolist(), new, strict=True))
        elif change == "delete":
            gone = [row for row in alive if random.random() < 0.4]
            index.delete(gone)
            alive = {row: vector for row, vector in alive.items() if row not in gone}
        elif alive:
            origin, changed = index.compact()
            assert sorted(alive) == origin.tolist()
            alive = {row: alive[old] for row, old in enumerate(origin.tolist())}
            assert changed.graph.size == len(alive)
            assert index.deleted_share == 0
        queries = random.standard_normal((4, 5)).astype(np.float32)
        found = index.search(queries, 6, ef=100)
        near = index.within(queries, 4.0, most=50, ef=100)
        for query, (rows, inside) in enumerate(zip(found.ids, near.ids, strict=True)):
            distances = {row: float(((queries[query] - vector) ** 2).sum()) for row, vector in alive.items()}
            expected = sorted(distances, key=lambda row: (distances[row], row))
            assert rows[rows != NONE].tolist() == expected[:6]
            assert inside[inside != NONE].tolist() == [row for row in expected if distances[row] <= 4.0]


def test_deleted_rows_are_hidden_and_passed_through() -> None:
    index = made(2000, 1)
    gone = np.random.default_rng(2).permutation(2000)[:600]
    index.delete(gone)
    assert index.deleted_share == 0.3
    queries = np.random.default_rng(3).standard_normal((50, 5)).astype(np.float32)
    left = np.flatnonzero(~index.deleted)
    exact = ExactIndex(index.vectors[left], "l2").search(queries, 10)
    found = index.search(queries, 10, ef=60)
    assert not np.isin(found.ids, gone).any()
    hits = [len(set(mine.tolist()) & set(left[its].tolist())) for mine, its in zip(found.ids, exact.ids, strict=True)]
    assert sum(hits) >= 0.98 * 500
    keep = np.random.default_rng(4).random((50, 2000)) < 0.5
    filtered = index.search(queries, 10, ef=60, keep=keep)
    assert not np.isin(filtered.ids, gone).any()
    assert keep[np.arange(50)[:, None], filtered.ids].all()
    before = index.search(queries, 10, ef=60)
    origin, changed = index.compact()
    assert changed.reason == ""
    assert len(index.vectors) == 1400
    after = index.search(queries, 10, ef=60)
    same = [
        len(set(mine.tolist()) & set(origin[its].tolist())) for mine, its in zip(before.ids, after.ids, strict=True)
    ]
    assert sum(same) >= 0.97 * 500


def test_what_cannot_be_deleted_is_refused() -> None:
    index = made(30, 5)
    index.delete([3])
    for rows, message in (([30], "expected 0 to 29"), ([-1], "0 to 29"), ([3], "not deleted"), ([4, 4], "each once")):
        with pytest.raises(ValueError, match=message):
            index.delete(rows)
    index.delete([])
    index.delete([row for row in range(30) if row != 3])
    assert (index.search(np.zeros((1, 5), np.float32), 3, ef=5).ids == NONE).all()
    with pytest.raises(VectorError, match="expected a row that is left, got 30 deleted"):
        index.compact()
    with pytest.raises(VectorError, match="expected 5 columns, got 4"):
        index.add(np.zeros((1, 4), np.float32))
    assert index.add(np.ones((2, 5), np.float32)).tolist() == [30, 31]
    assert index.search(np.zeros((1, 5), np.float32), 3, ef=5).ids.tolist() == [[30, 31, NONE]]
