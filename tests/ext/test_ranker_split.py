"""Balanced 2-means: halves, subtrees alone and with the rest, and a slow version from the same first centres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.ext import ranker_split
from fingerpost.ext.ranker_split import split_rows
from fingerpost.ext.sources import source_hash
from tests.oracles import halved


def random_rows(seed: int, rows: int, features: int = 30) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    found = sparse.random_array((rows, features), density=0.3, rng=rng, dtype=np.float32, format="csr")
    found.sort_indices()
    return found


def split(rows: sparse.csr_array, members: np.ndarray, **options):
    settings = {"depth": 1, "max_iter": 20, "spherical": True, "seed": 0}
    return split_rows(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32),
        rows.data,
        rows.shape[1],
        members.astype(np.uint32),
        **(settings | options),
    )


def test_the_binary_is_of_these_sources() -> None:
    assert source_hash("ranker_split") == ranker_split.SOURCE_HASH


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 60), depth=st.integers(0, 4))
def test_leaves_hold_every_member_once_and_differ_by_one(seed: int, count: int, depth: int) -> None:
    rows = random_rows(seed, 60)
    members = np.random.default_rng(seed).permutation(60)[:count]
    order, sizes = split(rows, members, depth=depth, seed=seed)
    assert np.array_equal(np.sort(order), np.sort(members))
    assert sizes.sum() == count
    assert len(sizes) == 2**depth
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("spherical", [True, False])
def test_a_subtree_alone_is_the_same(spherical: bool) -> None:
    rows = random_rows(1, 200)
    order, sizes = split(rows, np.arange(200), depth=4, spherical=spherical, seed=5)
    top, halves = split(rows, np.arange(200), depth=1, spherical=spherical, seed=5)
    for place in (0, 1):
        members = top[:100] if place == 0 else top[100:]
        part, part_sizes = split(rows, members[::-1], depth=3, level=1, place=place, spherical=spherical, seed=5)
        assert np.array_equal(part, order[100 * place : 100 * place + 100])
        assert np.array_equal(part_sizes, sizes[8 * place : 8 * place + 8])
    assert halves.tolist() == [100, 100]


@pytest.mark.parametrize("spherical", [True, False])
def test_equals_the_slow_version_from_some_first_centres(spherical: bool) -> None:
    for seed in range(5):
        rows = random_rows(seed + 10, 14)
        order, sizes = split(rows, np.arange(14), spherical=spherical, seed=seed)
        found = set(order[: sizes[0]].tolist())
        dense, members = rows.toarray(), list(range(14))
        reachable = [
            set(halved(dense, members, (a, b), max_iter=20, spherical=spherical)[0])
            for a in members
            for b in members
            if a != b
        ]
        assert found in reachable


def test_two_far_groups_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    x = np.zeros((40, 20), np.float32)
    group = rng.permutation(np.repeat([0, 1], 20))
    for row, side in enumerate(group):
        x[row, rng.choice(10, 6, replace=False) + 10 * side] = 1
    found = sparse.csr_array(x)
    order, _ = split(found, np.arange(40), seed=3)
    assert len(set(group[order[:20]].tolist())) == 1


def test_rows_without_features_split_by_number() -> None:
    order, sizes = split(sparse.csr_array((5, 3), dtype=np.float32), np.arange(5))
    assert order.tolist() == [0, 1, 2, 3, 4]
    assert sizes.tolist() == [2, 3]
