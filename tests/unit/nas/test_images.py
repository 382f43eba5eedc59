"""Splits of labelled images: stratified, independent of the order of rows, and stable when an image is forgotten."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.nas.image_params import SPLITS, ImageParams
from fingerpost.tasks.nas.images import split_images

IDS = [f"image {number}" for number in range(200)]
LABELS = [f"class {number % 4}" for number in range(200)]
NONE = [""] * 200


def by_id(ids: list[str], labels: list[str], given_splits: list[str], **params: int) -> dict[str, str]:
    splits = split_images(ids, labels, given_splits, params=ImageParams(**params))
    return {ids[row]: str(name) for row, name in zip(splits.rows, splits.names, strict=True)}


@given(st.permutations(range(200)), st.integers(0, 5))
def test_splits_do_not_depend_on_the_order_of_rows(order: list[int], seed: int) -> None:
    shuffled = by_id([IDS[i] for i in order], [LABELS[i] for i in order], NONE, seed=seed, training=50)
    assert shuffled == by_id(IDS, LABELS, NONE, seed=seed, training=50)


def test_each_class_is_split_alike_and_limits_keep_its_fraction() -> None:
    found = by_id(IDS, LABELS, NONE)
    counts = Counter((LABELS[IDS.index(key)], split) for key, split in found.items())
    assert {counts[f"class {k}", split] for k in range(4) for split in ("test",)} == {10}
    assert {counts[f"class {k}", "validation"] for k in range(4)} == {5}
    assert Counter(found.values()) == {"training": 140, "test": 40, "validation": 20}
    uneven = [f"class {int(number >= 150)}" for number in range(200)]
    some = split_images(IDS, uneven, NONE, params=ImageParams(training=40, test=4))
    kept = Counter((uneven[row], str(name)) for row, name in zip(some.rows, some.names, strict=True))
    assert (kept["class 0", "training"], kept["class 1", "training"]) == (30, 10)
    assert (kept["class 0", "test"], kept["class 1", "test"]) == (3, 1)
    assert by_id(IDS, LABELS, NONE, seed=1) != found


def test_given_splits_stay_and_validation_images_come_from_training() -> None:
    parts = ["training"] * 160 + ["test"] * 40
    found = by_id(IDS, LABELS, parts)
    assert all(found[key] == "test" for key in IDS[160:])
    assert Counter(found.values()) == {"training": 144, "validation": 16, "test": 40}


def test_forgetting_an_image_moves_one_other_of_its_class_for_each_split_at_most() -> None:
    before = by_id(IDS, LABELS, NONE)
    for gone in range(0, 200, 17):
        rest = [i for i in range(200) if i != gone]
        after = by_id([IDS[i] for i in rest], [LABELS[i] for i in rest], NONE)
        moved = [key for key, split in after.items() if before[key] != split]
        assert len(moved) <= 2
        assert all(LABELS[IDS.index(key)] == LABELS[gone] for key in moved)


def test_classes_with_too_few_images_are_left_out_and_two_are_needed() -> None:
    labels = ["a"] * 100 + ["b"] * 96 + ["c"] * 4
    found = split_images(IDS, labels, NONE, params=ImageParams())
    assert found.left_out == ("c",)
    assert {labels[row] for row in found.rows} == {"a", "b"}
    with pytest.raises(ValueError, match=r"at least two classes .* found 1 of 1"):
        split_images(IDS, ["a"] * 200, NONE, params=ImageParams())
    with pytest.raises(ValueError, match=r"found 0 of 200 \(too few: image 0"):
        split_images(IDS, IDS, NONE, params=ImageParams())


def test_some_classes_are_chosen_by_their_names_alone() -> None:
    labels = [f"class {number % 20}" for number in range(200)]
    found = split_images(IDS, labels, NONE, params=ImageParams(classes=3))
    again = split_images(IDS[::-1], labels[::-1], NONE, params=ImageParams(classes=3))
    chosen = {labels[row] for row in found.rows}
    assert len(chosen) == 3
    assert chosen == {labels[::-1][row] for row in again.rows}
    assert set(found.names) == set(SPLITS)
    assert [IDS[row] for row in found.rows] == sorted(IDS[row] for row in found.rows)
    assert [IDS[row] for row in found.rows] == [IDS[::-1][row] for row in again.rows]
    assert found.names.tolist() == again.names.tolist()


@pytest.mark.parametrize(
    "wrong", [{"training": -1}, {"classes": 1}, {"validation_share": 1.0}, {"test_share": 0.95}, {"least_rows": 2}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="images: expected"):
        ImageParams(**wrong)  # type: ignore[arg-type]


def test_equal_images_of_a_class_are_in_one_split() -> None:
    labels = ["a", "b"] * 100
    contents = [f"{number // 10}".encode() for number in range(200)]
    found = split_images(IDS, labels, NONE, params=ImageParams(), contents=contents)
    assert len(found.rows) == 200
    splits: dict[tuple[str, bytes], set[str]] = {pair: set() for pair in zip(labels, contents, strict=True)}
    for row, split in zip(found.rows, found.names, strict=True):
        splits[labels[row], contents[row]].add(split)
    assert all(len(one) == 1 for one in splits.values())
    assert len(set.union(*splits.values())) == 3
    order = np.random.default_rng(0).permutation(200).tolist()
    ids, others, rows = ([column[row] for row in order] for column in (IDS, labels, contents))
    again = split_images(ids, others, NONE, params=ImageParams(), contents=rows)
    assert again.names.tolist() == found.names.tolist()
    # Without equal images it is as if nothing were known of them.
    distinct = split_images(IDS, labels, NONE, params=ImageParams(), contents=[key.encode() for key in IDS])
    assert distinct.names.tolist() == split_images(IDS, labels, NONE, params=ImageParams()).names.tolist()
