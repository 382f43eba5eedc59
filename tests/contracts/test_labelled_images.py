"""Labelled images to train networks on: the sample, numpy archives, folders; what is left out, and what is refused."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.image_archives import IMAGE_ARCHIVE
from fingerpost.schemas.inputs.labelled_images import COLUMNS, image_source
from fingerpost.schemas.inputs.rewriting import count_rows, remove_rows
from fingerpost.schemas.inputs.suppression import Suppressed
from tests.support.letters import letters

RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.integers(1, 256, (9, 16)).astype(np.uint8)
TEST = RANDOM.integers(1, 256, (4, 16)).astype(np.uint8)
DRAWINGS = RANDOM.random((6, 3, 3)) < 0.4
DRAWINGS[:, 0, 0] = True


def split_archive(folder: Path, **changed: Any) -> Path:
    """A file of arrays by split; ``None`` leaves one out."""
    arrays = {
        "train": TRAIN,
        "train_labels": np.arange(9) % 3,
        "test": TEST,
        "test_labels": np.array(["0", "1", "2", "0"]),
    } | changed
    np.savez(folder / "images.npz", **{name: value for name, value in arrays.items() if value is not None})
    return folder / "images.npz"


def packed_archive(folder: Path, **changed: Any) -> Path:
    """A file of packed drawings."""
    arrays = {
        "X_packed": np.packbits(DRAWINGS.reshape(6, -1), axis=1),
        "shape": np.array([3, 3]),
        "cls": np.array(["a", "a", "a", "b", "b", "b"]),
        "fn": np.array([f"{number}.png" for number in range(6)]),
    } | changed
    np.savez_compressed(folder / "drawings.npz", **{name: value for name, value in arrays.items() if value is not None})
    return folder / "drawings.npz"


def suppressed(*keys: str) -> Suppressed:
    return Suppressed.of(keys, b"salt")


def test_the_sample_is_that_of_scikit_learn() -> None:
    batch = image_source("digits").read()
    known = load_digits()
    assert batch.accepted.column_names == list(COLUMNS)
    assert batch.accepted["label"].to_pylist() == [str(label) for label in known.target]
    pixels = np.array(batch.accepted["pixels"].to_pylist())
    np.testing.assert_array_equal(pixels, np.round(known.data * 255 / 16))
    assert (pixels.min(), pixels.max(), batch.accepted["id"][-1].as_py()) == (0, 255, "digit-1796")


def test_an_archive_by_split_keeps_its_test_images(tmp_path: Path) -> None:
    rows = image_source(str(split_archive(tmp_path))).read().accepted.to_pylist()
    assert [row["id"] for row in rows] == [f"train-{n:05d}" for n in range(9)] + [f"test-{n:05d}" for n in range(4)]
    assert [row["split"] for row in rows] == ["training"] * 9 + ["test"] * 4
    assert [row["label"] for row in rows[-4:]] == ["0", "1", "2", "0"]
    assert rows[8]["pixels"] == TRAIN[8].tolist()
    square = split_archive(tmp_path, train=TRAIN.reshape(9, 4, 4).astype(float), test=TEST.reshape(4, 4, 4))
    assert image_source(str(square)).read().accepted.to_pylist() == rows


def test_packed_drawings_have_their_class_in_the_id(tmp_path: Path) -> None:
    rows = image_source(str(packed_archive(tmp_path))).read().accepted.to_pylist()
    assert [(row["id"], row["label"], row["split"]) for row in rows[2:4]] == [
        ("a/2.png", "a", ""),
        ("b/3.png", "b", ""),
    ]
    assert rows[4]["pixels"] == (DRAWINGS[4].ravel() * 255).tolist()
    bare = image_source(str(packed_archive(tmp_path, fn=None))).read().accepted
    assert bare["id"].to_pylist()[-1] == "b/00005"


def test_images_are_resized_by_the_mean_of_areas_and_blank_ones_quarantined(tmp_path: Path) -> None:
    images = TRAIN.copy()
    images[4] = 0
    batch = image_source(str(split_archive(tmp_path, train=images)), size=2).read()
    assert batch.reasons == {"zero vector": 1}
    assert batch.quarantined["id"].to_pylist() == ["train-00004"]
    means = images[0].reshape(2, 2, 2, 2).mean(axis=(1, 3)).ravel()
    np.testing.assert_allclose(batch.accepted["pixels"][0].as_py(), means, atol=1.0)


def test_forgotten_images_are_left_out_and_change_the_identity(tmp_path: Path) -> None:
    for path, key, count in (
        ("digits", "digit-0003", 1796),
        (str(split_archive(tmp_path)), "train-00003", 12),
        (str(packed_archive(tmp_path)), "b/3.png", 5),
    ):
        source, without = image_source(path), image_source(path, suppressed=suppressed(key))
        left = without.read().accepted["id"].to_pylist()
        assert key not in left
        assert len(left) == count
        assert source.identity() != without.identity()
        assert image_source(path, size=4).identity() != source.identity()
    # A key that is not in a file changes nothing there.
    assert image_source(path, suppressed=suppressed("nobody")).identity() == source.identity()


def test_forgotten_images_are_erased_from_archives_without_moving_others(tmp_path: Path) -> None:
    path, gone = split_archive(tmp_path), suppressed("train-00003", "test-00000")
    assert count_rows(path, {}, gone, IMAGE_ARCHIVE) == remove_rows(path, {}, gone, IMAGE_ARCHIVE) == 2
    assert count_rows(path, {}, gone, IMAGE_ARCHIVE) == 0
    rows = {row["id"]: row["pixels"] for row in image_source(str(path)).read().accepted.to_pylist()}
    assert len(rows) == 11
    assert rows["train-00004"] == TRAIN[4].tolist()
    assert rows["test-00001"] == TEST[1].tolist()
    named = packed_archive(tmp_path)
    before = image_source(str(named)).read().accepted.to_pylist()
    assert remove_rows(named, {}, suppressed("a/1.png"), IMAGE_ARCHIVE) == 1
    after = image_source(str(named)).read().accepted.to_pylist()
    assert after == [row for row in before if row["id"] != "a/1.png"]


@pytest.mark.parametrize(("key", "name"), [("train-00003", "train"), ("test-00000", "test")])
def test_all_else_in_a_file_of_arrays_stays_when_an_image_goes(tmp_path: Path, key: str, name: str) -> None:
    more = {"version": np.array(3), "wide": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))}
    path = split_archive(tmp_path, train=TRAIN.astype(">i2"), **more)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "how these were drawn")
        before = {member: archive.read(member) for member in archive.namelist()}
    assert remove_rows(path, {}, suppressed(key), IMAGE_ARCHIVE) == 1
    with zipfile.ZipFile(path) as archive:
        after = {member: archive.read(member) for member in archive.namelist()}
    assert list(after) == list(before)
    assert [member for member in after if after[member] != before[member]] == [f"{name}.npy"]
    with np.load(path) as arrays:
        given = {"train": TRAIN, "test": TEST}[name].copy()
        given[int(key[-1])] = 0
        np.testing.assert_array_equal(arrays[name], given)
        assert arrays["version"].shape == ()


def test_a_folder_by_class_has_no_splits_and_its_size_can_be_set(tmp_path: Path) -> None:
    folder = letters(tmp_path, classes=2, each=3, size=10)
    batch = image_source(str(folder), size=5, channels=3).read()
    assert batch.accepted["split"].to_pylist() == [""] * 6
    assert len(batch.accepted["pixels"][0]) == 75
    assert len(image_source(str(folder)).read().accepted["pixels"][0]) == 28 * 28


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train_labels": None}, "expected arrays train and train_labels, or X_packed"),
        ({"train": TRAIN[:, :15]}, r"square grey images .* found \(n, 15\)"),
        ({"train": TRAIN / 255}, "expected values from 0 to 255 in 'train'"),
        ({"train": TRAIN.astype(int) - 200}, "expected values from 0 to 255 in 'train'"),
        ({"train_labels": np.arange(8)}, "expected 9 texts or whole numbers in 'train_labels'"),
        ({"train_labels": np.arange(9) / 2}, "expected 9 texts or whole numbers"),
        ({"train_labels": np.array([None] * 9)}, "expected an array 'train_labels'"),
        ({"test_labels": None}, "expected an array 'test_labels'"),
        ({"test": TEST[:, :9]}, "expected images of one size"),
        ({"train": np.uint8(3)}, "expected one row for each image in 'train'"),
        ({"train": np.zeros((9, 0, 0), np.uint8)}, "expected square grey images"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        image_source(str(split_archive(tmp_path, **changed))).read()


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    for path, said in ((tmp_path / "text.npz", "found another format"), (tmp_path / "none.npz", "found nothing there")):
        for ask in (image_source(str(path)).check, image_source(str(path)).identity, image_source(str(path)).read):
            if (path.name, ask.__name__) == ("text.npz", "identity"):
                continue
            with pytest.raises(InputError, match=said):
                ask()
    with pytest.raises(InputError, match="expected 1 channel"):
        image_source("digits", channels=3)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([50, 3], "expected 19 bytes in each row"),
        ([50], "expected a height and width"),
        ([2, 5], "expected square images"),
        ([0, 5], "expected a height and width"),
        ([2.0, np.nan], "expected a height and width"),
        (["two", "five"], "expected a height and width"),
    ],
)
def test_packed_drawings_of_a_wrong_shape_are_refused(tmp_path: Path, shape: list[Any], said: str) -> None:
    path = str(packed_archive(tmp_path, shape=np.array(shape)))
    for ask in (image_source(path).check, image_source(path).read):
        with pytest.raises(InputError, match=said):
            ask()


@pytest.mark.parametrize("packed", [np.uint8(3), np.ones((6, 2))])
def test_packed_drawings_that_are_no_bytes_are_refused(tmp_path: Path, packed: np.ndarray) -> None:
    with pytest.raises(InputError, match="in 'X_packed', found"):
        image_source(str(packed_archive(tmp_path, X_packed=packed))).read()


@pytest.mark.parametrize("archive", [split_archive, packed_archive])
def test_damaged_archives_end_in_one_message(tmp_path: Path, archive: Callable[[Path], Path]) -> None:
    data, random = archive(tmp_path).read_bytes(), np.random.default_rng(0)
    refused = 0
    for number in range(150):
        damaged = bytearray(data)
        for place in random.integers(len(data), size=1 + number % 3):
            damaged[place] = random.integers(256)
        (tmp_path / "damaged.npz").write_bytes(damaged if number % 5 else damaged[: random.integers(len(data))])
        try:
            image_source(str(tmp_path / "damaged.npz")).read()
        except InputError:
            refused += 1
    assert refused > 75


def test_archives_that_unpack_to_far_more_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "zeros.npz", train=np.zeros((25_000, 784), np.uint8), train_labels=np.zeros(25_000, int)
    )
    with pytest.raises(InputError, match="expected it to unpack to at most 200 times its"):
        image_source(str(tmp_path / "zeros.npz")).check()
